/**
 * One history, many storages, equal results.
 *
 * Whatever the storages are made of, the same operations over several connections must have the same outcome. To
 * repeat a failure and shrink it, give the file that it names:
 *
 *     HISTORY=<file> npx vitest run --project source test/metamorphic
 *
 * HISTORIES=100 tries more of them.
 */

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Random } from '../../src/core/random.ts'
import { loadStorageModule, storageUrl } from '../../src/storages/registry.ts'
import { mutantModule, mutants } from '../conformance/mutants/mutants.ts'
import slow from '../storages/slow-base.ts'
import { type Contender, commonAbilities, describeDifference, findDifference, shrink } from './compare.ts'
import { generate } from './operations.ts'

const historyCount = Number(process.env['HISTORIES'] ?? 12)
const length = 250

const bundled = async (name: string, options: { history?: boolean } = {}): Promise<Contender> => ({
  name: options.history === true ? `${name} with history` : name,
  module: await loadStorageModule(storageUrl(name)),
  options,
})

const memory = await bundled('memory')
const memoryHistory = await bundled('memory', { history: true })
const file = await bundled('file')
const sqlite = await bundled('sqlite')
const sqliteHistory = await bundled('sqlite', { history: true })
const late: Contender = { name: 'late', module: slow, options: {} }

/** Each group agrees in what it can do, and so can be asked for all of it. */
const groups: readonly (readonly [string, readonly Contender[]])[] = [
  ['all storages', [memory, memoryHistory, late, file, sqlite]],
  ['storages with history', [memoryHistory, file, sqliteHistory]],
  ['storages that keep their data', [file, sqliteHistory]],
]

function explain(
  contenders: readonly Contender[],
  lines: readonly string[],
  seed: string,
  difference: string,
): string {
  const path = join(mkdtempSync(join(tmpdir(), 'shootout-history-')), 'history.txt')
  writeFileSync(path, `${lines.join('\n')}\n`)
  return (
    `${contenders.map(({ name }) => name).join(', ')} differ (seed ${seed}):\n${difference}\n` +
    `The history is in ${path}. To shrink it: HISTORY=${path} npx vitest run --project source test/metamorphic`
  )
}

for (const [title, contenders] of groups) {
  describe(title, () => {
    const given = process.env['HISTORY']
    if (given !== undefined) {
      test(`agree on ${given}`, { timeout: 600_000 }, async () => {
        const lines = readFileSync(given, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
        if ((await findDifference(contenders, lines)) === undefined) return
        const small = await shrink(contenders, lines)
        const difference = await findDifference(contenders, small)
        expect.fail(`\n${describeDifference(difference!)}\n\nThe smallest history:\n${small.join('\n')}`)
      })
      return
    }
    for (let number = 1; number <= historyCount; number++) {
      const seed = `${title}/${number}`
      test(`agree on history ${number}`, async () => {
        const lines = generate(new Random(seed), length, commonAbilities(contenders))
        const difference = await findDifference(contenders, lines)
        if (difference !== undefined)
          expect.fail(explain(contenders, lines, seed, describeDifference(difference)))
      })
    }
  })
}

describe('broken storages', () => {
  for (const name of [
    'overwrites what others committed',
    'ignores readCurrent',
    'serves a cached revision for ever',
    'reads the present instead of the snapshot',
    'reports changed objects only when this instance has read them',
    'does not say what it merged',
  ]) {
    test(`a storage that ${name} is found, and the history shrinks to a few lines`, async () => {
      const broken: Contender = {
        name: 'broken',
        module: mutantModule(mutants.find((one) => one.name === name)!),
        options: {},
      }
      const contenders = [memory, broken]
      const lines = generate(new Random(name), 1000, commonAbilities(contenders))
      expect(await findDifference(contenders, lines)).toBeDefined()
      const small = await shrink(contenders, lines)
      expect(await findDifference(contenders, small)).toBeDefined()
      expect(small.length).toBeLessThanOrEqual(12)
    })
  }
})
