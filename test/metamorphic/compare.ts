/** Performs one history on several storages and finds the first result in which they differ. */

import { storeSource } from '../../src/conformance/stores.ts'
import { Workshop } from '../../src/conformance/workshop.ts'
import { describeError } from '../../src/core/errors.ts'
import { parseOptions } from '../../src/core/options.ts'
import { Random } from '../../src/core/random.ts'
import type { StorageModule } from '../../src/storages/storage.ts'
import { perform } from './interpreter.ts'
import type { Abilities } from './operations.ts'

export interface Contender {
  readonly name: string
  readonly module: StorageModule
  readonly options: Readonly<Record<string, unknown>>
}

export interface Difference {
  readonly results: readonly { readonly name: string; readonly line: string }[]
  /** The results of all before it, which are equal. */
  readonly before: readonly string[]
}

/** What all of them can do. */
export function commonAbilities(contenders: readonly Contender[]): Abilities {
  const capabilities = contenders.map(({ module, options }) =>
    module.capabilities(parseOptions(module.name, module.options, options)),
  )
  return {
    deletion: capabilities.every((one) => one.deletion),
    history: capabilities.every((one) => one.history),
    undo: capabilities.every((one) => one.undo),
    pack: capabilities.every((one) => one.pack),
    reopen: capabilities.every((one) => one.persistent),
    iteration: capabilities.every((one) => one.iteration && one.history),
  }
}

export async function findDifference(
  contenders: readonly Contender[],
  lines: readonly string[],
): Promise<Difference | undefined> {
  const abilities = commonAbilities(contenders)
  const all: { name: string; results: string[] }[] = []
  for (const contender of contenders)
    all.push({ name: contender.name, results: await performOn(contender, lines, abilities) })
  const length = Math.max(...all.map(({ results }) => results.length))
  for (let index = 0; index < length; index++) {
    const results = all.map(({ name, results }) => ({ name, line: results[index] ?? 'nothing' }))
    if (!areEqual(results.map(({ line }) => line))) {
      return { results, before: all[0]!.results.slice(0, index) }
    }
  }
  return undefined
}

/** A storage may always say that everything may have changed; then only the time of the snapshot counts. */
function areEqual(lines: readonly string[]): boolean {
  const isVague = lines.some((line) => line.includes('poll → all at'))
  return new Set(isVague ? lines.map((line) => line.slice(line.lastIndexOf(' at '))) : lines).size === 1
}

async function performOn(
  { module, options }: Contender,
  lines: readonly string[],
  abilities: Abilities,
): Promise<string[]> {
  const typed = parseOptions(module.name, module.options, options)
  const source = await storeSource(module, typed, undefined, () => {})
  if (!source.available) throw new Error(`${module.name} cannot be used here: ${source.reason}`)
  const shop = new Workshop(module, typed, source, new Random('metamorphic'))
  try {
    return await perform(shop, lines, abilities)
  } catch (error) {
    return [`it failed with ${describeError(error)}`]
  } finally {
    await shop.dispose()
    await source.dispose()
  }
}

/** The smallest history that still shows a difference: pieces are taken away for as long as it stays. */
export async function shrink(contenders: readonly Contender[], lines: readonly string[]): Promise<string[]> {
  let small = [...lines]
  for (let piece = Math.ceil(small.length / 2); piece >= 1; piece = piece === 1 ? 0 : Math.ceil(piece / 2)) {
    for (let start = 0; start < small.length; ) {
      const without = small.toSpliced(start, piece)
      if ((await findDifference(contenders, without)) === undefined) start += piece
      else small = without
    }
  }
  return small
}

export function describeDifference({ results, before }: Difference): string {
  return [
    ...before.slice(-8).map((line) => `${''.padStart(20)} ${line}`),
    ...results.map(({ name, line }) => `${name.padStart(20)} ${line}`),
  ].join('\n')
}
