import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConflictError, CorruptDataError, isTransient } from '../../src/core/errors.ts'
import { Random } from '../../src/core/random.ts'
import { BTree } from '../../src/database/b-tree.ts'
import { BTreeBucket } from '../../src/database/b-tree-bucket.ts'
import { compareKeys } from '../../src/database/b-tree-keys.ts'
import { BTreeNode } from '../../src/database/b-tree-node.ts'
import type { Connection } from '../../src/database/connection.ts'
import { Database } from '../../src/database/database.ts'
import type { MapKey } from '../../src/database/persistent-map.ts'
import { encodeRecord } from '../../src/database/record-encoder.ts'
import { resolveConflict } from '../../src/database/resolve-conflict.ts'
import { TestStorage } from './test-storage.ts'

async function treeOf(connection: Connection): Promise<BTree<number>> {
  const tree = (await connection.root).get('tree')
  if (!(tree instanceof BTree)) throw new Error('no tree')
  return (await connection.activate(tree)) as BTree<number>
}

async function withTree(
  keys: Iterable<MapKey>,
  storage = new TestStorage({ resolveConflict }),
): Promise<Database> {
  const database = new Database(storage)
  await database.transact(async (connection) => {
    const tree = new BTree<number>()
    let value = 0
    for (const key of keys) await tree.set(key, value++)
    ;(await connection.root).set('tree', tree)
  })
  return database
}

async function begun(database: Database): Promise<Connection> {
  const connection = await database.openConnection()
  await connection.begin()
  return connection
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

/** Everything in it, once it has been seen that order and look-up agree. */
async function contents(tree: BTree<number>): Promise<Map<MapKey, number>> {
  const entries = await all(tree.entries())
  for (let at = 1; at < entries.length; at++)
    expect(compareKeys(entries[at - 1]![0], entries[at]![0])).toBe(-1)
  for (const [key, value] of entries) expect(await tree.get(key)).toBe(value)
  return new Map(entries)
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
const sorted = (model: ReadonlyMap<MapKey, number>) => [...model].sort((a, b) => compareKeys(a[0], b[0]))

describe('a BTree', () => {
  test('is a map, through any history of changes, commits, aborts and forgetting', async () => {
    const key = fc.oneof(fc.integer({ min: -300, max: 300 }), fc.integer({ min: 0, max: 300 }).map(String))
    const step = fc.oneof(
      { weight: 10, arbitrary: fc.tuple(fc.constant('set' as const), key) },
      { weight: 8, arbitrary: fc.tuple(fc.constant('delete' as const), key) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('setRun' as const), key) },
      { weight: 3, arbitrary: fc.tuple(fc.constant('deleteRun' as const), key) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('commit' as const), key) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('abort' as const), key) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('forget' as const), key) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const database = await withTree([])
        const connection = await begun(database)
        let tree = await treeOf(connection)
        let saved = new Map<MapKey, number>()
        let model = new Map<MapKey, number>()
        let value = 0
        for (const [kind, at] of steps) {
          const run = typeof at === 'number' ? numbers(100).map((offset) => at + offset) : [at]
          if (kind === 'set' || kind === 'setRun') {
            for (const one of kind === 'set' ? [at] : run) {
              await tree.set(one, ++value)
              model.set(one, value)
            }
          } else if (kind === 'delete' || kind === 'deleteRun') {
            for (const one of kind === 'delete' ? [at] : run)
              expect(await tree.delete(one)).toBe(model.delete(one))
          } else if (kind === 'forget') {
            connection.minimizeCache()
            tree = await treeOf(connection)
          } else {
            if (kind === 'commit') {
              await connection.commit()
              saved = new Map(model)
            } else {
              await connection.abort()
              model = new Map(saved)
            }
            await connection.begin()
            tree = await treeOf(connection)
          }
        }
        expect([...(await contents(tree))]).toStrictEqual(sorted(model))
        await connection.abort()
        await connection.begin()
        connection.minimizeCache()
        expect([...(await contents(await treeOf(connection)))]).toStrictEqual(sorted(saved))
      }),
      { seed: 20_260_102, numRuns: 60 },
    )
  })

  test('of three levels finds everything, before and after most of it is deleted', async () => {
    const random = new Random('three levels')
    const keys = random.shuffled(numbers(30_000))
    const database = await withTree(keys)
    const connection = await begun(database)
    const tree = await treeOf(connection)
    expect(await tree.count()).toBe(30_000)
    expect(await all(tree.keys({ from: 12_345, to: 12_350 }))).toStrictEqual([
      12_345, 12_346, 12_347, 12_348, 12_349,
    ])
    for (const key of keys.slice(10)) expect(await tree.delete(key)).toBe(true)
    await connection.commit()
    await connection.begin()
    connection.minimizeCache()
    const left = await contents(await treeOf(connection))
    expect([...left.keys()]).toStrictEqual(keys.slice(0, 10).sort((a, b) => a - b))
    const again = await treeOf(connection)
    for (const key of keys.slice(0, 10)) await again.delete(key)
    expect(await again.count()).toBe(0)
    await again.set('new', 1)
    expect(await again.get('new')).toBe(1)
  })

  test('gives ranges with the first bound in and the second out', async () => {
    const keys = [...numbers(200).map((index) => index * 2), 'a', 'b', 'c']
    const connection = await begun(await withTree(keys))
    const tree = await treeOf(connection)
    await fc.assert(
      fc.asyncProperty(
        fc.option(fc.oneof(fc.integer({ min: -5, max: 405 }), fc.constantFrom('', 'a', 'b', 'd')), {
          nil: undefined,
        }),
        fc.option(fc.oneof(fc.integer({ min: -5, max: 405 }), fc.constantFrom('', 'a', 'b', 'd')), {
          nil: undefined,
        }),
        async (from, to) => {
          const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
          const wanted = keys.filter(
            (key) =>
              (from === undefined || compareKeys(key, from) >= 0) &&
              (to === undefined || compareKeys(key, to) < 0),
          )
          expect(await all(tree.keys(range))).toStrictEqual(wanted)
        },
      ),
      { seed: 20_260_103, numRuns: 200 },
    )
  })

  test('loads one record per level for a key, and writes one for a change that splits nothing', async () => {
    const storage = new TestStorage({ resolveConflict })
    await withTree(numbers(5000), storage)
    const connection = await begun(new Database(storage))
    const tree = await treeOf(connection)
    const before = connection.transferCounts()
    expect(await tree.get(2500)).toBe(2500)
    expect(connection.transferCounts().loads - before.loads).toBe(2)
    await tree.set(2500, -1)
    storage.calls.length = 0
    await connection.commit()
    expect(storage.calls.filter((call) => call.startsWith('store'))).toHaveLength(1)
    expect(storage.calls.filter((call) => call.startsWith('readCurrent'))).toHaveLength(2)
  })

  test('answers at once where its nodes are loaded', async () => {
    const connection = await begun(await withTree(numbers(500)))
    const tree = await treeOf(connection)
    expect(tree.get(77)).toBe(77)
    expect(tree.has(501)).toBe(false)
    expect(tree.set(77, 1)).toBeUndefined()
    expect(tree.delete(78)).toBe(true)
  })

  test('refuses keys that it could not order', () => {
    const tree = new BTree<number>()
    for (const key of [1.5, Number.NaN, null, {}, undefined]) {
      expect(() => tree.set(key as unknown as MapKey, 1)).toThrow(TypeError)
    }
  })

  test('merges concurrent insertions into one bucket', async () => {
    const database = await withTree([10, 20, 30])
    const [a, b] = [await begun(database), await begun(database)]
    await (await treeOf(a)).set(15, 150)
    await (await treeOf(b)).set(25, 250)
    await (await treeOf(b)).delete(10)
    await a.commit()
    await b.commit()
    const merged = await contents(await treeOf(await begun(database)))
    expect([...merged]).toStrictEqual([
      [15, 150],
      [20, 1],
      [25, 250],
      [30, 2],
    ])
  })

  test.each([
    [
      'both set one key',
      [10, 20],
      (tree: BTree<number>) => tree.set(15, 1),
      (tree: BTree<number>) => tree.set(15, 2),
    ],
    [
      'both delete one key',
      [10, 20],
      (tree: BTree<number>) => tree.delete(10),
      (tree: BTree<number>) => tree.delete(10),
    ],
    [
      'one deletes what the other changes',
      [10, 20],
      (tree: BTree<number>) => tree.delete(10),
      (tree: BTree<number>) => tree.set(10, 5),
    ],
    [
      'one splits the bucket that the other adds to',
      numbers(64),
      (tree: BTree<number>) => tree.set(100, 1),
      (tree: BTree<number>) => tree.set(5.0 + 200, 1),
    ],
    [
      'one empties the bucket that the other adds to',
      [10],
      (tree: BTree<number>) => tree.delete(10),
      (tree: BTree<number>) => tree.set(20, 1),
    ],
  ])('does not merge when %s', async (_name, keys, one, other) => {
    for (const [first, second] of [
      [one, other],
      [other, one],
    ] as const) {
      const database = await withTree(keys)
      const [a, b] = [await begun(database), await begun(database)]
      await first(await treeOf(a))
      await second(await treeOf(b))
      await a.commit()
      await expect(b.commit()).rejects.toSatisfy(isTransient)
      await b.abort()
    }
  })

  test('a bucket that somebody split is not changed behind its tree’s back', async () => {
    const database = await withTree(numbers(200))
    const [a, b] = [await begun(database), await begun(database)]
    const treeA = await treeOf(a)
    // Fill the last bucket until its node changes.
    for (let key = 200; key < 300; key++) await treeA.set(key, key)
    await (await treeOf(b)).set(199.0, -1)
    await a.commit()
    await expect(b.commit()).rejects.toSatisfy(isTransient)
  })

  test('has the changes of both, when two transactions run at once and the loser repeats', async () => {
    const change = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 150 }))
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 150 }),
        fc.array(change, { minLength: 1, maxLength: 30 }),
        fc.array(change, { minLength: 1, maxLength: 30 }),
        async (initial, changesA, changesB) => {
          const database = await withTree(numbers(initial))
          const apply = async (connection: Connection, changes: typeof changesA, value: number) => {
            const tree = await treeOf(connection)
            for (const [isSet, key] of changes) await (isSet ? tree.set(key, value) : tree.delete(key))
          }
          const after = (start: Map<MapKey, number>, changes: typeof changesA, value: number) => {
            const result = new Map(start)
            for (const [isSet, key] of changes) {
              if (isSet) result.set(key, value)
              else result.delete(key)
            }
            return result
          }
          const [a, b] = [await begun(database), await begun(database)]
          await apply(a, changesA, 1000)
          await apply(b, changesB, 2000)
          await a.commit()
          const base = new Map<MapKey, number>(numbers(initial).map((key) => [key, key]))
          const afterA = after(base, changesA, 1000)
          let model = after(afterA, changesB, 2000)
          try {
            await b.commit()
            // B saw the state before A: what it did there is what counts, deleting nothing included.
            const alone = after(base, changesB, 2000)
            model = new Map(afterA)
            for (const key of new Set([...base.keys(), ...alone.keys()])) {
              const value = alone.get(key)
              if (value === base.get(key)) continue
              if (value === undefined) model.delete(key)
              else model.set(key, value)
            }
          } catch (error) {
            expect(isTransient(error)).toBe(true)
            await b.abort()
            await b.begin()
            await apply(b, changesB, 2000)
            await b.commit()
          }
          const fresh = await begun(new Database(database.storage))
          expect([...(await contents(await treeOf(fresh)))]).toStrictEqual(sorted(model))
        },
      ),
      { seed: 20_260_104, numRuns: 300 },
    )
  })

  test('on a storage that merges nothing, concurrent changes of one bucket conflict', async () => {
    const database = await withTree([10, 20], new TestStorage())
    const [a, b] = [await begun(database), await begun(database)]
    await (await treeOf(a)).set(15, 1)
    await (await treeOf(b)).set(16, 1)
    await a.commit()
    await expect(b.commit()).rejects.toBeInstanceOf(ConflictError)
  })

  test('works on a storage that makes one wait for everything', async () => {
    const storage = new TestStorage({ waits: true })
    await withTree(numbers(300), storage)
    const connection = await begun(new Database(storage))
    const tree = await treeOf(connection)
    await tree.set(1000, 1)
    expect(await tree.delete(5)).toBe(true)
    expect(await tree.has(5)).toBe(false)
    expect(await tree.count()).toBe(300)
  })

  test('with a damaged bucket, node or head says so', () => {
    const bucket = new BTreeBucket()
    for (const state of [null, [], [0, 1], ['x', 1, 2], [0, 2, 'a', 1, 'b'], [0, 1.5, 'a']]) {
      expect(() => bucket.setState(state)).toThrow(CorruptDataError)
    }
    const node = new BTreeNode()
    for (const state of [null, [], [bucket, 1], [bucket, 'x', bucket, 1, bucket], [1, 2, 3]]) {
      expect(() => node.setState(state)).toThrow(CorruptDataError)
    }
    expect(() => new BTree().setState(null)).toThrow(CorruptDataError)
    expect(encodeRecord(BTreeBucket.className, bucket.getState()).length).toBeGreaterThan(0)
  })
})
