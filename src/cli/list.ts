/** `shootout list`: what there is to compare, and by which work. */

import type { Command } from 'commander'
import { parseOptions } from '../core/options.ts'
import { formatBytes } from '../core/units.ts'
import { loadScenarioModule, scenarioAliases, scenarioNames, scenarioUrl } from '../scenarios/registry.ts'
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
    .option('--json', 'for programs')
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
      const lines = ['Storages']
      for (const module of storages) lines.push(...describeStorage(module, flags.long === true))
      if (scenarios.length > 0) lines.push('', 'Scenarios')
      for (const module of scenarios) {
        const aliases = aliasesOf(module.name)
        lines.push(
          `  ${module.name.padEnd(22)} ${module.summary}${aliases.length === 0 ? '' : ` (also: ${aliases.join(', ')})`}`,
        )
        if (flags.long) lines.push(...wrap(module.description, 96).map((line) => `      ${line}`), '')
      }
      process.stdout.write(`${lines.join('\n')}\n`)
    })
}

function aliasesOf(scenario: string): string[] {
  return Object.keys(scenarioAliases).filter((alias) => scenarioAliases[alias] === scenario)
}

function capabilitiesOf(module: StorageModule) {
  return module.capabilities(parseOptions(module.name, module.options, {}))
}

function describeStorage(module: StorageModule, long: boolean): string[] {
  const facts = capabilitiesOf(module)
  const abilities = Object.entries(facts)
    .filter(([, value]) => value === true)
    .map(([name]) => name)
  const lines = [`  ${module.name.padEnd(22)} ${module.summary}`]
  if (!long) return lines
  lines.push(`      reach ${facts.reach}, durability ${facts.durability}; ${abilities.join(', ')}`)
  for (const [name, one] of Object.entries(module.options)) {
    const shown = one.form === 'bytes' ? formatBytes(one.default as number) : JSON.stringify(one.default)
    lines.push(`      ?${name}=<${one.form}>`, `          ${one.summary} (default ${shown})`)
  }
  return [...lines, '']
}

function wrap(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1)!
    if (last.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}
