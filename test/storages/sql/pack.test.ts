/** Packing of SQL stores, under commits. What every storage's pack promises is in the conformance suite. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noTid, type Oid, rootOid, type Tid } from '../../../src/core/ids.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { openStorage } from '../../../src/storages/open.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import type { Storage, StorageInstance } from '../../../src/storages/storage.ts'
import { freshRandom } from '../../fresh-random.ts'
import { toBytes, toText } from './race-model.ts'

let folder: string
let storage: Storage

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-pack-'))
})

afterEach(async () => {
  await storage.close()
  rmSync(folder, { recursive: true, force: true })
})

const open = (history: boolean) =>
  openStorage(
    sqlite,
    parseOptions('sqlite', sqlite.options, { path: join(folder, 'a'), history, durability: 'os' }),
  )

/** Records of these tests are lists of the oids they refer to. */
const references = (data: Uint8Array): Oid[] => JSON.parse(toText(data)) as Oid[]

/** Writes lists of references; null deletes. */
async function write(
  instance: StorageInstance,
  lists: ReadonlyMap<Oid, readonly Oid[] | null>,
): Promise<Tid> {
  await instance.pollInvalidations()
  const current = await instance.loadMany([...lists.keys()])
  const transaction = instance.begin()
  let index = 0
  for (const [oid, list] of lists) {
    const serial = current[index++]?.serial ?? noTid
    if (list === null) await transaction.delete!(oid, serial)
    else await transaction.store(oid, serial, toBytes(JSON.stringify(list)))
  }
  return (await transaction.vote()).finish()
}

async function existing(instance: StorageInstance, oids: readonly Oid[]): Promise<readonly Oid[]> {
  await instance.pollInvalidations()
  const found = await instance.loadMany(oids)
  return oids.filter((_, index) => found[index] !== undefined)
}

describe.each([{ history: false }, { history: true }])('with %o', ({ history }) => {
  test('what cannot be reached goes, cycles too, and what can be reached stays', async () => {
    storage = await open(history)
    const instance = await storage.newInstance()
    const [a, b, c, d] = (await instance.newOids(4)) as [Oid, Oid, Oid, Oid]
    await write(
      instance,
      new Map([
        [rootOid, [a]],
        [a, [b]],
        [b, [a]],
        [c, [d]],
        [d, [c]],
      ]),
    )
    const result = await storage.pack!({ before: storage.lastTid, references })
    expect(result).toMatchObject({ removedObjects: 2, removedRevisions: 2 })
    expect(await existing(instance, [rootOid, a, b, c, d])).toEqual([rootOid, a, b])
    expect(await storage.pack!({ before: storage.lastTid, references })).toMatchObject({
      removedObjects: 0,
      removedRevisions: 0,
    })
  })

  test('an object changed after the pack time stays, and what it refers to', async () => {
    storage = await open(history)
    const instance = await storage.newInstance()
    const [a, b] = (await instance.newOids(2)) as [Oid, Oid]
    const before = await write(
      instance,
      new Map([
        [rootOid, []],
        [b, []],
      ]),
    )
    await write(instance, new Map([[a, [b]]]))
    await storage.pack!({ before, references })
    expect(await existing(instance, [a, b])).toEqual([a, b])
  })

  test('a deletion that is packed is still reported to who polled before it', async () => {
    storage = await open(history)
    const writer = await storage.newInstance()
    const [a] = (await writer.newOids(1)) as [Oid]
    await write(
      writer,
      new Map([
        [rootOid, [] as Oid[]],
        [a, []],
      ]),
    )
    const reader = await storage.newInstance()
    await reader.pollInvalidations()
    await reader.afterCompletion()
    await write(writer, new Map([[a, null]]))
    expect(await storage.pack!({ before: storage.lastTid })).toMatchObject({ removedObjects: 1 })
    const changed = await reader.pollInvalidations()
    expect(changed === 'all' || changed.has(a)).toBe(true)
    await expect(async () => reader.load(a)).rejects.toMatchObject({ code: 'object-not-found' })
  })

  test('references that move while packing goes on are never lost', async () => {
    const random = freshRandom()
    storage = await open(history)
    const instance = await storage.newInstance()
    const holders = await instance.newOids(1200)
    const leaves = await instance.newOids(1200)
    await write(
      instance,
      new Map<Oid, readonly Oid[]>([
        [rootOid, holders],
        ...holders.map((oid, index) => [oid, [leaves[index]!]] as const),
        ...leaves.map((oid) => [oid, []] as const),
      ]),
    )
    let isPacking = true
    const mover = await storage.newInstance()
    const moving = (async () => {
      while (isPacking) {
        // Two holders swap what they refer to: nothing becomes garbage.
        const [x, y] = random.shuffled(holders) as [Oid, Oid, ...Oid[]]
        await mover.pollInvalidations()
        const [dataX, dataY] = await mover.loadMany([x, y])
        await write(
          mover,
          new Map([
            [x, references(dataY!.data)],
            [y, references(dataX!.data)],
          ]),
        )
        await mover.afterCompletion()
        await new Promise(setImmediate)
      }
    })()
    const packing = Promise.resolve(storage.pack!({ before: storage.lastTid, references }))
    const [outcome] = await Promise.allSettled([packing])
    isPacking = false
    await moving
    if (outcome.status === 'rejected') throw outcome.reason
    const result = outcome.value
    expect(result.removedObjects).toBe(0)
    expect(await existing(instance, leaves)).toEqual(leaves)
  })

  test('packing can be stopped', async () => {
    storage = await open(history)
    const instance = await storage.newInstance()
    await write(instance, new Map([[rootOid, []]]))
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(storage.pack!({ before: storage.lastTid, signal })).rejects.toThrow('enough')
  })
})

test('with history, replaced revisions go and what a snapshot at the pack time shows stays', async () => {
  storage = await open(true)
  const instance = await storage.newInstance()
  const tids: Tid[] = []
  for (let round = 0; round < 5; round++)
    tids.push(await write(instance, new Map([[rootOid, [round as Oid]]])))
  const packTid = tids[2]!
  expect(await storage.pack!({ before: packTid })).toMatchObject({ removedRevisions: 2, removedObjects: 0 })
  const history = await instance.history!(rootOid, 10)
  expect(history.map(({ tid }) => tid)).toEqual([tids[4], tids[3], tids[2]])
  const kept: Tid[] = []
  for await (const { tid } of storage.iterate!()) kept.push(tid)
  expect(kept).toEqual(tids.slice(2))
  const transaction = instance.begin()
  await expect(transaction.undo!(packTid)).rejects.toMatchObject({ code: 'undo' })
  await transaction.abort()
  const again = instance.begin()
  expect(await again.undo!(tids[4]!)).toEqual([rootOid])
  await (await again.vote()).finish()
  await instance.pollInvalidations()
  expect(references((await instance.load(rootOid)).data)).toEqual([3])
})
