/** The program `shootout`: its commands, in the groups and the order in which help lists them. Nothing is run here. */

import { Command, type Option } from 'commander'
import { packageVersion } from '../core/version.ts'
import { registerBisect } from './bisect/command.ts'
import { registerCache } from './cache.ts'
import { registerCheck } from './check-command.ts'
import { registerCompare } from './compare.ts'
import { registerCompletion } from './completion/command.ts'
import { registerCopy } from './copy.ts'
import { registerDoctor } from './doctor/command.ts'
import { registerFile } from './file-command.ts'
import { registerGate } from './gate.ts'
import { registerHelp } from './help.ts'
import { registerList } from './list.ts'
import { registerPlan } from './plan.ts'
import { registerReport } from './report.ts'
import { registerRun } from './run.ts'
import { registerSelftest } from './selftest.ts'
import { registerServe } from './serve.ts'
import { registerStatus } from './status.ts'

const groups: readonly (readonly [heading: string, commands: readonly ((program: Command) => void)[]])[] = [
  ['Compare storages:', [registerRun, registerReport, registerCompare, registerList]],
  [
    'Guard a storage against becoming slower:',
    [registerGate, registerPlan, registerBisect, registerSelftest],
  ],
  ['Prepare:', [registerCheck, registerDoctor]],
  ['Use stores:', [registerServe, registerStatus, registerCopy, registerFile, registerCache]],
  ['Other:', [registerCompletion]],
]

/** What it means, what may be chosen, and what holds without it, as one would type it. */
function describeOption({ description, argChoices, defaultValue, negate }: Option): string {
  const usual = defaultValue === undefined || negate ? '' : String(defaultValue)
  const facts = [argChoices?.join(', ') ?? '', usual === '' ? '' : `default: ${usual}`].filter(Boolean)
  return facts.length === 0 ? description : `${description} (${facts.join('; ')})`
}

export function makeProgram(): Command {
  const program = new Command('shootout')
    .description('Benchmarks transactional object storages, so that the numbers can be trusted.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .configureHelp({
      // In the list of all commands names are enough, and leave room for what they do.
      subcommandTerm: (command) =>
        command.parent?.parent == null ? command.name() : `${command.name()} ${command.usage()}`,
      // Narrower than that, descriptions would not be wrapped at all.
      minWidthToWrap: 20,
      optionDescription: describeOption,
    })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'shootout: ')) })
    .showSuggestionAfterError(true)
    .showHelpAfterError('(--help shows every option)')
    .exitOverride()
  for (const [heading, commands] of groups) {
    program.commandsGroup(heading)
    for (const register of commands) register(program)
  }
  for (const command of [program, ...program.commands]) {
    if (command.commands.length > 0) registerHelp(command)
  }
  return program.addHelpText(
    'after',
    `
Examples:
  shootout run                              all storages, in under five minutes
  shootout run --storage file,sqlite        only these, with more forks each
  shootout run --storage ./mine.js,sqlite   your own against another
  shootout check ./mine.js                  does it keep its promises?

Exit codes: 0 done, 1 wrong behaviour or regression, 2 usage or configuration,
3 inconclusive, 4 could not be done (cells failed or are missing, a server is
gone, a disk is full), 5 no comparable baseline, 130 interrupted.`,
  )
}
