/** `shootout file`: looks at a log of the file storage, and salvages a damaged one. Never changes the log itself. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { remainingText, StatusLine } from '../report/status-line.ts'
import { isTerminal } from './console.ts'
import { dumpFile, type Output, recoverFile, verifyFile } from './file.ts'

/** Often enough for the eye. */
const redrawMs = 100

/** A log of many gigabytes takes minutes, so a person who watches is told how far it is. */
function watched(action: (output: Output) => number): number {
  const status = new StatusLine(process.stderr)
  const startMs = performance.now()
  let drawnMs = startMs
  const output: Output = {
    line(text) {
      status.erase()
      process.stdout.write(`${text}\n`)
    },
  }
  const progress = (fraction: number): void => {
    const nowMs = performance.now()
    if (nowMs - drawnMs < redrawMs) return
    drawnMs = nowMs
    status.show(`reading ${Math.floor(fraction * 100)} %${remainingText(fraction, nowMs - startMs)}`)
  }
  try {
    return action(isTerminal(process.stderr) ? { ...output, progress } : output)
  } finally {
    status.erase()
  }
}

export function registerFile(program: Command): void {
  const file = program.command('file').description('verify, recover or dump a log of the file storage')
  file
    .command('verify')
    .description('read every transaction and check it')
    .argument('<path>', 'the log')
    .action((path: string) => {
      process.exitCode = watched((output) => verifyFile(resolve(path), output))
    })
  file
    .command('recover')
    .description('copy every transaction that can be verified into a new log')
    .argument('<path>', 'the damaged log, which stays as it is')
    .argument('<target>', 'the new log; must not exist')
    .action((path: string, target: string) => {
      process.exitCode = watched((output) => recoverFile(resolve(path), resolve(target), output))
    })
  file
    .command('dump')
    .description('print the transactions')
    .argument('<path>', 'the log')
    .option('--records', 'with every record')
    .action((path: string, flags: { readonly records?: boolean }) => {
      process.exitCode = watched((output) =>
        dumpFile(resolve(path), { records: flags.records === true }, output),
      )
    })
}
