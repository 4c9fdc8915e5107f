#!/usr/bin/env node
/** The command line: arguments → command → exit code. */

import { Command, CommanderError } from 'commander'
import { describeError, ShootoutError, UsageError } from '../core/errors.ts'
import { packageVersion } from '../core/version.ts'
import { commands } from './commands.ts'
import { exitCodes } from './exit-codes.ts'

const program = new Command('shootout')
  .description('Benchmarks transactional object storages, so that the numbers can be trusted.')
  .version(packageVersion(), '-V, --version', 'print the version')
  .helpCommand(true)
  .showSuggestionAfterError(true)
  .showHelpAfterError('(--help shows every option)')
  .exitOverride()

for (const register of commands) register(program)

program.addHelpText(
  'after',
  `
Examples:
  shootout run                                        compare every bundled storage, in under five minutes
  shootout run --storage file,sqlite --objects 1,5,20 --concurrency async:1,threads:4
  shootout run --storage ./my-storage.js,sqlite       compare a storage of your own
  shootout check ./my-storage.js                      does it keep its promises?

Exit codes: 0 done, 1 wrong behaviour or regression, 2 usage, 3 inconclusive, 4 failed or missing cells, 5 no
comparable baseline, 130 interrupted.`,
)

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed its message; asking for help or the version is not an error.
    return error.exitCode === 0 ? exitCodes.pass : exitCodes.usage
  }
  process.stderr.write(`shootout: ${describeError(error)}\n`)
  if (error instanceof UsageError) return exitCodes.usage
  if (error instanceof ShootoutError)
    return error.code === 'nothing-to-measure' ? exitCodes.incomplete : exitCodes.usage
  process.stderr.write(
    `This is a defect of shootout. Please report it with this trace:\n${(error as Error).stack}\n`,
  )
  return exitCodes.internal
}
