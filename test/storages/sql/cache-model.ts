/**
 * What the state cache must never do, for every SQL storage: answer with what a snapshot does not show. Processes are
 * played by caches of their own, threads by several storages over one.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { noTid, type Oid } from '../../../src/core/ids.ts'
import { type OptionsOf, type OptionsSpec, parseOptions } from '../../../src/core/options.ts'
import type { Random } from '../../../src/core/random.ts'
import type { StateCache } from '../../../src/storages/cache/state-cache.ts'
import { openContext } from '../../../src/storages/open.ts'
import type {
  ConflictResolver,
  SharedState,
  Storage,
  StorageInstance,
  StorageModule,
} from '../../../src/storages/storage.ts'
import { freshRandom } from '../../fresh-random.ts'
import { createAccounts, runClient, toBytes, toText } from './race-model.ts'

type Options = OptionsOf<OptionsSpec>

/** One process: what its threads share, and the storages that they opened. */
export class TestProcess {
  readonly storages: readonly Storage[]
  readonly #shared: SharedState<unknown>

  static async start(
    module: StorageModule,
    options: Options,
    threads = 1,
    resolveConflict?: ConflictResolver,
  ): Promise<TestProcess> {
    const context = openContext(resolveConflict === undefined ? {} : { resolveConflict })
    const shared = await module.share!(options, context)
    const storages: Storage[] = []
    for (let thread = 0; thread < threads; thread++) {
      storages.push(await module.open(options, context, structuredClone(shared.state)))
    }
    return new TestProcess(storages, shared)
  }

  constructor(storages: readonly Storage[], shared: SharedState<unknown>) {
    this.storages = storages
    this.#shared = shared
  }

  get storage(): Storage {
    return this.storages[0]!
  }

  async close(): Promise<void> {
    for (const storage of this.storages) await storage.close()
    await this.#shared.close()
  }
}

export async function polled(storage: Storage): Promise<StorageInstance> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  return instance
}

/** Commits these states, whatever is there. */
export async function put(storage: Storage, states: ReadonlyMap<Oid, string | null>): Promise<void> {
  const instance = await polled(storage)
  const current = await instance.loadMany([...states.keys()])
  const transaction = instance.begin()
  for (const [index, [oid, text]] of [...states].entries()) {
    const serial = current[index]?.serial ?? noTid
    if (text === null) await transaction.delete!(oid, serial)
    else await transaction.store(oid, serial, toBytes(text))
  }
  await (await transaction.vote()).finish()
  await instance.release()
}

export async function read(instance: StorageInstance, oids: readonly Oid[]): Promise<(string | undefined)[]> {
  const revisions = await instance.loadMany(oids)
  return revisions.map((revision) => revision && toText(revision.data))
}

async function backendLoads(storage: Storage, body: () => Promise<unknown>): Promise<number> {
  const before = storage.counters().backendLoads
  await body()
  return storage.counters().backendLoads - before
}

const [a, b, c] = [1, 2, 3] as [Oid, Oid, Oid]

/** Larger than the smallest cache all together, so that the accounts are pushed out again and again. */
const fillers = Array.from({ length: 300 }, (_, index) => (1000 + index) as Oid)

/** Reads fillers until `isOver`. */
async function fill(storage: Storage, random: Random, isOver: () => boolean): Promise<void> {
  const instance = await storage.newInstance()
  while (!isOver()) {
    await instance.pollInvalidations()
    const chosen = random.shuffled(fillers).slice(0, 40)
    expect(new Set((await read(instance, chosen)).map((text) => text!.length))).toEqual(new Set([500]))
    await new Promise(setImmediate)
  }
  await instance.release()
}

/** @param newStore makes an empty store and gives its options, with these among them */
export function testCache(
  module: StorageModule,
  newStore: (given: Readonly<Record<string, unknown>>) => Promise<Options>,
): void {
  const processes: TestProcess[] = []

  afterEach(async () => {
    for (const one of processes.splice(0)) await one.close()
  })

  async function start(
    options: Options,
    threads?: number,
    resolver?: ConflictResolver,
  ): Promise<TestProcess> {
    const started = await TestProcess.start(module, options, threads, resolver)
    processes.push(started)
    return started
  }

  // What clients do over a large cache is raced elsewhere: it is the default.
  test.each([
    { cacheBytesLimit: '64kb', fillerCount: 1 },
    { cacheBytesLimit: 0, fillerCount: 0 },
  ])('threads and processes race over caches: $cacheBytesLimit', async ({ cacheBytesLimit, fillerCount }) => {
    const random = freshRandom()
    const options = await newStore({ cacheBytesLimit })
    const one = await start(options, 2)
    const other = await start(options)
    const oids = await createAccounts(one.storage, 5)
    if (fillerCount > 0) await put(other.storage, new Map(fillers.map((oid) => [oid, `${oid}`.padEnd(500)])))
    const storages = [...one.storages, other.storage]
    let isOver = false
    const filling = Array.from({ length: fillerCount }, (_, index) =>
      fill(storages[index]!, random.split('fill', index), () => isOver),
    )
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, (_, client) =>
        runClient(storages[client % storages.length]!, { oids, rounds: 40, random: random.split(client) }),
      ),
    )
    isOver = true
    await Promise.all(filling)
    const commits = outcomes.reduce((sum, outcome) => sum + outcome.commits, 0)
    expect(commits).toBeGreaterThan(10)
    if (cacheBytesLimit === 0) {
      expect(one.storage.cache).toBeUndefined()
      const { loads, backendLoads: asked } = one.storage.counters()
      expect(asked).toBe(loads)
      return
    }
    const cache = one.storage.cache as StateCache
    const { hits, evictions } = cache.statistics()
    expect(hits).toBeGreaterThan(0)
    if (fillerCount > 0) expect(evictions).toBeGreaterThan(0)
    expect(cache.audit()).toEqual([])
  })

  test('what one thread committed or read, the others do not ask for', async () => {
    const { storages } = await start(await newStore({}), 2)
    await put(
      storages[0]!,
      new Map([
        [a, 'a'],
        [b, 'b'],
      ]),
    )
    const reader = await polled(storages[1]!)
    expect(await backendLoads(storages[1]!, () => read(reader, [a, b]))).toBe(0)
    await reader.release()
  })

  test('a snapshot is shown what it showed, however much is committed elsewhere meanwhile', async () => {
    const options = await newStore({})
    const [one, other] = [await start(options, 2), await start(options)]
    await put(
      one.storage,
      new Map([
        [a, 'a0'],
        [b, 'b0'],
      ]),
    )
    const old = await polled(one.storage)
    expect(await read(old, [a])).toEqual(['a0'])
    for (let round = 1; round <= 3; round++) {
      await put(
        other.storage,
        new Map([
          [a, `a${round}`],
          [b, null],
          [c, 'c'],
        ]),
      )
      const fresh = await polled(one.storages[1]!)
      expect(await read(fresh, [a, b, c])).toEqual([`a${round}`, undefined, 'c'])
      await fresh.release()
      await put(other.storage, new Map([[b, `b${round}`]]))
      expect(await read(old, [a, b, c])).toEqual(['a0', 'b0', undefined])
    }
    expect(await old.pollInvalidations()).toEqual(new Set([a, b, c]))
    expect(await read(old, [a, b, c])).toEqual(['a3', 'b3', 'c'])
    await old.release()
  })

  test('a store that another process emptied is read anew', async () => {
    const options = await newStore({})
    const [one, other] = [await start(options, 2), await start(options)]
    await put(
      one.storage,
      new Map([
        [a, 'old a'],
        [b, 'old b'],
      ]),
    )
    const [reader, lazy] = [await polled(one.storage), await polled(one.storages[1]!)]
    expect(await read(reader, [a, b])).toEqual(['old a', 'old b'])
    expect(await read(lazy, [a])).toEqual(['old a'])
    await reader.afterCompletion()
    await lazy.afterCompletion()
    await other.storage.zap()
    await put(other.storage, new Map([[b, 'new b']]))
    expect(await reader.pollInvalidations()).toBe('all')
    expect(await read(reader, [a, b])).toEqual([undefined, 'new b'])
    await put(other.storage, new Map([[a, 'new a']]))
    expect(await lazy.pollInvalidations()).toBe('all')
    expect(await read(lazy, [a, b])).toEqual(['new a', 'new b'])
    const late = await polled(one.storages[1]!)
    expect(await read(late, [a, b])).toEqual(['new a', 'new b'])
    for (const instance of [reader, lazy, late]) await instance.release()
  })

  test('emptying the store empties the cache of all threads', async () => {
    const { storages } = await start(await newStore({}), 2)
    await put(storages[0]!, new Map([[a, 'old']]))
    const reader = await polled(storages[0]!)
    expect(await read(reader, [a])).toEqual(['old'])
    await reader.afterCompletion()
    await storages[1]!.zap()
    expect(storages[0]!.cache!.entries).toBe(0)
    expect(await reader.pollInvalidations()).toBe('all')
    expect(await read(reader, [a])).toEqual([undefined])
    await reader.release()
  })

  test('objects that packing removed are not found in the cache', async () => {
    const { storage } = await start(await newStore({}))
    await put(
      storage,
      new Map([
        [0 as Oid, 'root'],
        [a, 'garbage'],
      ]),
    )
    const reader = await polled(storage)
    expect(await read(reader, [a])).toEqual(['garbage'])
    await reader.afterCompletion()
    await storage.pack!({ before: storage.lastTid, references: () => [] })
    await reader.pollInvalidations()
    expect(await read(reader, [0 as Oid, a])).toEqual(['root', undefined])
    await reader.release()
  })

  test('a conflict is resolved without asking for the state that both started from', async () => {
    const resolver: ConflictResolver = (_oid, base, committed, mine) =>
      toBytes(`${toText(base)}|${toText(committed)}|${toText(mine)}`)
    const statements: number[] = []
    for (const cacheBytesLimit of [0, '1mb']) {
      const options = await newStore({ cacheBytesLimit })
      const [one, other] = [await start(options, 1, resolver), await start(options)]
      const oid = (cacheBytesLimit === 0 ? a : b) as Oid
      await put(one.storage, new Map([[oid, 'base']]))
      const mine = await polled(one.storage)
      const { serial } = await mine.load(oid)
      await put(other.storage, new Map([[oid, 'theirs']]))
      const transaction = mine.begin()
      await transaction.store(oid, serial, toBytes('mine'))
      const before = one.storage.counters().statements
      const voted = await transaction.vote()
      statements.push(one.storage.counters().statements - before)
      expect(voted.resolvedOids).toEqual([oid])
      await voted.finish()
      expect(await mine.pollInvalidations()).toEqual(new Set([oid]))
      expect(await read(mine, [oid])).toEqual(['base|theirs|mine'])
      await mine.release()
    }
    expect(statements[1]).toBe(statements[0]! - 1)
  })

  test('what a conflict was about need not be asked for when the transaction is repeated', async () => {
    const options = await newStore({})
    const [one, other] = [await start(options), await start(options)]
    await put(one.storage, new Map([[a, 'base']]))
    const mine = await polled(one.storage)
    const { serial } = await mine.load(a)
    await put(other.storage, new Map([[a, 'theirs']]))
    const transaction = mine.begin()
    await transaction.store(a, serial, toBytes('mine'))
    await expect(async () => transaction.vote()).rejects.toMatchObject({ code: 'conflict' })
    await transaction.abort()
    expect(await read(mine, [a])).toEqual(['base'])
    await mine.pollInvalidations()
    expect(await backendLoads(one.storage, () => read(mine, [a]))).toBe(0)
    expect(await read(mine, [a])).toEqual(['theirs'])
    await mine.release()
  })

  test('what was prefetched is there, also when the cache cannot hold it', async () => {
    const options = await newStore({ cacheBytesLimit: '64kb' })
    const [one, other] = [await start(options), await start(options)]
    const large = 'x'.repeat(100_000)
    await put(
      other.storage,
      new Map([
        [a, large],
        [b, 'small'],
      ]),
    )
    const reader = await polled(one.storage)
    await reader.prefetch!([a, b, c])
    expect(await backendLoads(one.storage, () => read(reader, [a, b, c]))).toBe(0)
    expect(await read(reader, [a, b, c])).toEqual([large, 'small', undefined])
    await reader.pollInvalidations()
    expect(await backendLoads(one.storage, () => read(reader, [a, b]))).toBe(1)
    await reader.release()
  })

  test('the next process begins with what this one knew, except for what has changed since', async () => {
    const cacheFile = join(mkdtempSync(join(tmpdir(), 'shootout-cache-')), 'cache.db')
    const options = await newStore({ cacheFile })
    const before = await TestProcess.start(module, options, 2)
    await put(
      before.storage,
      new Map([
        [a, 'a'],
        [b, 'b'],
        [c, 'c'],
      ]),
    )
    await before.close()
    const other = await start({ ...options, cacheFile: '' })
    await put(
      other.storage,
      new Map([
        [b, 'new b'],
        [c, null],
      ]),
    )
    const { storage } = await start(options)
    const reader = await polled(storage)
    expect(await backendLoads(storage, () => read(reader, [a]))).toBe(0)
    expect(await read(reader, [a, b, c])).toEqual(['a', 'new b', undefined])
    await reader.release()
    rmSync(dirname(cacheFile), { recursive: true, force: true })
  })

  test('a cache that is too small is refused', async () => {
    const options = await newStore({ cacheBytesLimit: 1 })
    await expect(start(options)).rejects.toMatchObject({ code: 'cache-too-small' })
  })
}

export function asModule(module: unknown): StorageModule {
  return module as StorageModule
}

/** For modules whose stores are opened by options. */
export function optionsFor(module: StorageModule, given: Readonly<Record<string, unknown>>): Options {
  return parseOptions(module.name, module.options, given)
}
