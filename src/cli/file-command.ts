/** `shootout file`: looks at a log of the file storage, and salvages a damaged one. Never changes the log itself. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { dumpFile, type Output, recoverFile, verifyFile } from './file.ts'

const output: Output = { line: (text) => void process.stdout.write(`${text}\n`) }

export function registerFile(program: Command): void {
  const file = program.command('file').description('verify, recover or dump a log of the file storage')
  file
    .command('verify')
    .description('read every transaction and check it')
    .argument('<path>', 'the log')
    .action((path: string) => {
      process.exitCode = verifyFile(resolve(path), output)
    })
  file
    .command('recover')
    .description('copy every transaction that can be verified into a new log')
    .argument('<path>', 'the damaged log, which stays as it is')
    .argument('<target>', 'the new log; must not exist')
    .action((path: string, target: string) => {
      process.exitCode = recoverFile(resolve(path), resolve(target), output)
    })
  file
    .command('dump')
    .description('print the transactions')
    .argument('<path>', 'the log')
    .option('--records', 'with every record')
    .action((path: string, flags: { readonly records?: boolean }) => {
      process.exitCode = dumpFile(resolve(path), { records: flags.records === true }, output)
    })
}
