/** `shootout list`: what there is to compare, and by which work. */

import type { Command } from 'commander'
import { parseOptions } from '../core/options.ts'
import { padEnd, wrap } from '../report/terminal.ts'
import { loadScenarioModule, scenarioAliases, scenarioNames, scenarioUrl } from '../scenarios/registry.ts'
import type { ScenarioModule } from '../scenarios/scenario.ts'
import { loadStorageModule, storageNames, storageUrl } from '../storages/registry.ts'
import type { StorageModule } from '../storages/storage.ts'

interface ListFlags {
  readonly long?: boolean
  readonly json?: boolean
}

export function registerList(program: Command): void {
  program
    .command('list')
    .description('show storages and scenarios')
    .argument('[storage...]', 'only these storages: names, or ./module.js')
    .option('-l, --long', 'with options and full descriptions')
    .option('--json', 'print JSON')
    .action(async (names: readonly string[], flags: ListFlags) => {
      const storages = await Promise.all(
        (names.length === 0 ? storageNames : names).map((name) => loadStorageModule(storageUrl(name))),
      )
      const scenarios = await Promise.all(
        (names.length === 0 ? scenarioNames : []).map((name) => loadScenarioModule(scenarioUrl(name))),
      )
      if (flags.json) {
        const listed = {
          storages: storages.map((module) => ({
            name: module.name,
            summary: module.summary,
            capabilities: capabilitiesOf(module),
            options: Object.entries(module.options).map(([name, one]) => ({
              name,
              form: one.form,
              default: one.default,
              summary: one.summary,
            })),
          })),
          scenarios: scenarios.map((module) => ({
            name: module.name,
            aliases: aliasesOf(module.name),
            summary: module.summary,
            description: module.description,
            requires: module.requires,
          })),
        }
        process.stdout.write(`${JSON.stringify(listed, null, 2)}\n`)
        return
      }
      const isLong = flags.long === true
      const lines = [
        'Storages',
        ...storages.flatMap((module) => describeStorage(module, isLong)),
        ...(scenarios.length === 0 ? [] : ['', 'Scenarios']),
        ...scenarios.flatMap((module) => describeScenario(module, isLong)),
        ...(isLong ? [] : ['', `Options and all that is known: shootout list ${storages[0]!.name} --long`]),
      ]
      process.stdout.write(`${lines.join('\n').trimEnd()}\n`)
    })
}

function aliasesOf(scenario: string): string[] {
  return Object.keys(scenarioAliases).filter((alias) => scenarioAliases[alias] === scenario)
}

function capabilitiesOf(module: StorageModule) {
  return module.capabilities(parseOptions(module.name, module.options, {}))
}

function describeStorage(module: StorageModule, isLong: boolean): string[] {
  const head = named(module.name, module.summary)
  if (!isLong) return [head]
  const facts = capabilitiesOf(module)
  const abilities = Object.entries(facts)
    .filter(([, value]) => value === true)
    .map(([name]) => name)
  const options = Object.entries(module.options).flatMap(([name, one]) => {
    const usual = one.format(one.default)
    const text = usual === '' ? one.summary : `${one.summary} (default ${usual})`
    return [below(6, `?${name}=<${one.form}>`), below(10, text)]
  })
  return [
    head,
    below(6, `reach ${facts.reach}, durability ${facts.durability}; ${abilities.join(', ')}`),
    ...options,
    '',
  ]
}

function describeScenario({ name, summary, description }: ScenarioModule, isLong: boolean): string[] {
  const aliases = aliasesOf(name)
  const also = aliases.length === 0 ? '' : ` (also: ${aliases.join(', ')})`
  return [named(name, `${summary}${also}`), ...(isLong ? [below(6, description), ''] : [])]
}

/** Beyond this a line is hard to follow. */
const widthMax = 120
/** Of the longest name, and a space. */
const nameWidth = 22

/** Into other programs, one line per item. */
const width = (): number =>
  process.stdout.columns === undefined ? Infinity : Math.min(process.stdout.columns, widthMax)

function named(name: string, text: string): string {
  const indent = nameWidth + 2
  return `  ${padEnd(name, nameWidth)}${wrap(text, width() - indent).replaceAll('\n', `\n${' '.repeat(indent)}`)}`
}

function below(indent: number, text: string): string {
  const margin = ' '.repeat(indent)
  return `${margin}${wrap(text, width() - indent).replaceAll('\n', `\n${margin}`)}`
}
