/**
 * What can be typed after `shootout`, read from the commands as they are registered: a command, an option or a choice
 * that is added there is completed without anything being done here.
 */

import type { Argument, Command, Option } from 'commander'
import { concurrencyKinds } from '../../results/schema.ts'
import { scenarioAliases, scenarioNames } from '../../scenarios/registry.ts'
import { storageNames } from '../../storages/registry.ts'
import { counterNames } from '../../storages/storage.ts'
import { presets } from '../config.ts'

/** What may stand where a value is expected. */
export interface Value {
  readonly words: readonly string[]
  /** Several of them, separated by commas. */
  readonly isList: boolean
  readonly paths: 'none' | 'files' | 'folders'
}

export interface CompletedOption {
  /** `--format`, `-f`. */
  readonly names: readonly string[]
  readonly summary: string
  /** Undefined for a flag, which takes none. */
  readonly value: Value | undefined
}

export interface CompletedCommand {
  /** Words after `shootout`: empty, `gate`, `file verify`. */
  readonly path: string
  readonly commands: readonly { readonly name: string; readonly summary: string }[]
  readonly options: readonly CompletedOption[]
  /** By position. The last one stands for all that follow, where it may be repeated. */
  readonly arguments: readonly Value[]
  readonly isVariadic: boolean
}

/** The program and all commands below it, each with what may follow. */
export function completionModel(program: Command): readonly CompletedCommand[] {
  return commandsOf(program, '')
}

function commandsOf(command: Command, path: string): CompletedCommand[] {
  const help = command.createHelp()
  const visible = help.visibleCommands(command)
  return [
    {
      path,
      commands: visible.map((one) => ({ name: one.name(), summary: one.description() })),
      options: help.visibleOptions(command).map(optionOf),
      arguments: command.registeredArguments.map(valueOfArgument),
      isVariadic: command.registeredArguments.at(-1)?.variadic === true,
    },
    ...visible.flatMap((one) => commandsOf(one, `${path} ${one.name()}`.trim())),
  ]
}

function optionOf(option: Option): CompletedOption {
  const names = [option.long, option.short].filter((name) => name != null)
  const takesValue = option.required || option.optional
  return { names, summary: option.description, value: takesValue ? valueOfOption(option) : undefined }
}

function valueOfOption(option: Option): Value {
  if (option.argChoices !== undefined) return words(option.argChoices)
  const placeholder = /[<[]([\w-]+)/.exec(option.flags)?.[1] ?? ''
  return byName[option.name()] ?? byPlaceholder[placeholder] ?? text
}

function valueOfArgument(argument: Argument): Value {
  return argument.argChoices === undefined
    ? (byPlaceholder[argument.name()] ?? text)
    : words(argument.argChoices)
}

const words = (of: readonly string[], isList = false): Value => ({ words: of, isList, paths: 'none' })
const text = words([])
const files: Value = { words: [], isList: false, paths: 'files' }
const folders: Value = { words: [], isList: false, paths: 'folders' }
/** A storage of one's own is named by its path. */
const storage: Value = { words: storageNames, isList: false, paths: 'files' }

/** Options whose values are known, whatever command has them. */
export const byName: Readonly<Record<string, Value>> = {
  storage: { ...storage, isList: true },
  scenario: {
    words: ['headline', 'all', ...scenarioNames, ...Object.keys(scenarioAliases)],
    isList: true,
    paths: 'files',
  },
  concurrency: words(
    concurrencyKinds.map((kind) => `${kind}:`),
    true,
  ),
  preset: words(Object.keys(presets)),
  tolerance: words(
    counterNames.map((name) => `${name}=`),
    true,
  ),
}

/** What the placeholder says: `<file>`, `<contender>`. */
export const byPlaceholder: Readonly<Record<string, Value>> = {
  contender: storage,
  storage,
  source: storage,
  destination: storage,
  file: files,
  path: files,
  before: files,
  after: files,
  trace: files,
  target: files,
  folder: folders,
  build: folders,
}
