/** `shootout check`: the conformance suite, without a test framework. */

import type { Command } from 'commander'
import { storageUrl } from '../storages/registry.ts'
import { runCheck } from './check.ts'
import { parseContender } from './contenders.ts'
import { useColor } from './report.ts'

interface CheckFlags {
  readonly json?: boolean
  readonly only?: string
  readonly seed?: string
}

export function registerCheck(program: Command): void {
  program
    .command('check')
    .description('test whether a storage keeps the promises of the contract')
    .argument('<storage>', 'NAME or ./module.js, with ?option=value&…')
    .option(
      '--only <list>',
      'only these topics, or behaviours whose name contains one of these, comma-separated',
    )
    .option('--seed <text>', 'seed of everything random, as printed by a failure')
    .option('--json', 'for programs')
    .action(async (text: string, flags: CheckFlags) => {
      const request = parseContender(text)
      process.exitCode = await runCheck(storageUrl(request.storage), request.options ?? {}, {
        json: flags.json === true,
        ...(flags.only === undefined ? {} : { only: flags.only.split(',') }),
        color: useColor(process.stdout),
        storageName: request.storage,
        ...(flags.seed === undefined ? {} : { seed: flags.seed }),
        write: (text) => void process.stdout.write(text),
      })
    })
}
