/** `shootout check`: the conformance suite, without a test framework. */

import type { Command } from 'commander'
import { storageUrl } from '../storages/registry.ts'
import { runCheck } from './check.ts'
import { parseContender } from './contenders.ts'

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
    .option('--only <text>', 'only behaviours whose name contains this')
    .option('--seed <text>', 'seed of everything random, as printed by a failure')
    .option('--json', 'for programs')
    .action(async (text: string, flags: CheckFlags) => {
      const request = parseContender(text)
      process.exitCode = await runCheck(storageUrl(request.storage), request.options ?? {}, {
        json: flags.json === true,
        ...(flags.only === undefined ? {} : { only: flags.only }),
        ...(flags.seed === undefined ? {} : { seed: flags.seed }),
        write: (line) => process.stdout.write(line),
      })
    })
}
