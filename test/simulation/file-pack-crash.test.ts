/**
 * Losing power at any operation of a pack, while commits go on: the log is the old one or the new one, and either
 * holds everything that was confirmed.
 */

import { describe, expect, test } from 'vitest'
import { describeError } from '../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import { Random } from '../../src/core/random.ts'
import { emptyMetadata } from '../../src/storages/storage.ts'
import { bytes, commit, type OpenedLog, openSimulated, text } from '../storages/file/support.ts'
import { type Faults, SimulatedFileSystem } from './simulated-file-system.ts'

const path = '/disk/data.log'

/** Objects name what they refer to: `content>1,2`. */
const references = (data: Uint8Array): Oid[] =>
  (text(data).split('>')[1] ?? '').split(',').filter(Boolean).map(Number) as Oid[]

/** What each object is to hold, as far as it is known: a commit that failed may or may not be there. */
class Expected {
  readonly values = new Map<number, Set<string | undefined>>()

  async commit(opened: OpenedLog, changes: Readonly<Record<number, string>>): Promise<void> {
    for (const [id, value] of Object.entries(changes)) this.values.get(Number(id))?.add(value)
    for (const [id, value] of Object.entries(changes)) {
      if (!this.values.has(Number(id))) this.values.set(Number(id), new Set([undefined, value]))
    }
    const instance = opened.storage.newInstance()
    try {
      await commit(instance, changes)
    } finally {
      instance.release()
    }
    for (const [id, value] of Object.entries(changes)) this.values.set(Number(id), new Set([value]))
  }
}

async function workload(files: SimulatedFileSystem, seed: string, expected: Expected): Promise<void> {
  const random = new Random(seed)
  const opened = await openSimulated(files, path)
  await expected.commit(opened, { 0: 'root>1,2,3', 1: 'a', 2: 'b', 3: 'c', 9: 'garbage' })
  for (let round = 0; round < 6; round++) {
    await expected.commit(opened, { [1 + (round % 3)]: `${round}`.repeat(random.integer(700)) })
  }
  const packing = opened.storage.pack({ before: opened.storage.lastTid, references })
  // Collected, or not yet: both are right.
  expected.values.get(9)?.add(undefined)
  const commits = async () => {
    for (let round = 0; round < 4; round++) {
      await expected.commit(opened, { [1 + (round % 3)]: `during ${round}`, [10 + round]: 'new' })
    }
  }
  const outcomes = await Promise.allSettled([packing, commits()])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  await expected.commit(opened, { 1: 'after the pack' })
  await opened.close()
}

async function verify(files: SimulatedFileSystem, expected: Expected): Promise<Tid> {
  const opened = await openSimulated(files, path)
  const instance = opened.storage.newInstance()
  instance.pollInvalidations()
  for (const [id, values] of expected.values) {
    const [revision] = instance.loadMany([id as Oid])
    expect([...values], `object ${id}`).toContain(revision && text(revision.data))
  }
  let last = 0
  for await (const { tid } of opened.storage.iterate()) {
    expect(tid).toBeGreaterThan(last)
    last = tid
  }
  const { lastTid } = opened.storage
  await commit(instance, { 20: 'goes on' })
  await opened.close()
  expect([...files.snapshot().keys()].filter((name) => name.endsWith('.pack'))).toEqual([])
  return lastTid
}

/** In the future, as seen from the clock of the simulation or any other. */
const restored = {
  tid: (2 ** 52) as Tid,
  metadata: emptyMetadata,
  records: [{ oid: 1 as Oid, data: bytes('restored') }],
  wholeSince: (2 ** 52 - 7) as Tid,
}

describe('restoring what comes from a packed store', () => {
  async function workloadOfRestore(files: SimulatedFileSystem, expected: Expected): Promise<void> {
    const opened = await openSimulated(files, path)
    await expected.commit(opened, { 0: 'root>1', 1: 'a' })
    await expected.commit(opened, { 1: 'b', 2: 'c' })
    expected.values.get(1)?.add('restored')
    await opened.storage.restore(restored)
    expected.values.set(1, new Set(['restored']))
    await opened.close()
  }

  test('loses nothing, and the transaction is never there without what it says of the pack', async () => {
    const whole = new SimulatedFileSystem(new Random('restore'))
    await workloadOfRestore(whole, new Expected())
    let there = 0
    for (let stopAt = 1; stopAt <= whole.operations; stopAt++) {
      const files = new SimulatedFileSystem(new Random('restore'), { stopAt })
      const expected = new Expected()
      await workloadOfRestore(files, expected).catch(() => {})
      for (let outcome = 0; outcome < 4; outcome++) {
        const after = files.afterPowerLoss(new Random(`${stopAt}/${outcome}`))
        const opened = await openSimulated(after, path)
        const isThere = opened.storage.lastTid === restored.tid
        if (isThere) there++
        expect([isThere ? restored.wholeSince : noTid, restored.wholeSince]).toContain(
          opened.storage.wholeSince(),
        )
        await opened.close()
        await verify(after, expected)
      }
    }
    expect(there).toBeGreaterThan(4)
  })
})

describe('packing', () => {
  test('leaves the old log or the new one, wherever power is lost', async () => {
    for (const seed of ['a', 'b']) {
      const whole = new SimulatedFileSystem(new Random(seed))
      await workload(whole, seed, new Expected())
      expect(whole.operations).toBeGreaterThan(40)
      for (let stopAt = 1; stopAt <= whole.operations; stopAt++) {
        const files = new SimulatedFileSystem(new Random(seed), { stopAt })
        const expected = new Expected()
        await workload(files, seed, expected).catch(() => {})
        for (let outcome = 0; outcome < 4; outcome++) {
          const label = `${seed}/${stopAt}/${outcome}`
          try {
            await verify(files.afterPowerLoss(new Random(label)), expected)
          } catch (error) {
            const message = `stopped at operation ${stopAt}, outcome ${label}: ${describeError(error)}`
            throw new Error(message, { cause: error })
          }
        }
      }
    }
  }, 120_000)

  test('that finds the disk full, or failing, changes nothing and can be repeated', async () => {
    const trials: Faults[] = [{ bytesFree: 100 }, { bytesFree: 500 }, { failingSyncs: new Set([1]) }]
    for (const [at, faults] of trials.entries()) {
      const files = new SimulatedFileSystem(new Random(`fault ${at}`))
      const opened = await openSimulated(files, path)
      const { storage } = opened
      const instance = storage.newInstance()
      for (let round = 0; round < 5; round++)
        await commit(instance, { 0: 'root>1', 1: `${round}`.repeat(600) })
      instance.afterCompletion()
      const before = files.snapshot()
      files.syncs = 0
      files.faults = faults
      await expect(storage.pack({ before: storage.lastTid, references })).rejects.toThrow()
      expect([...files.snapshot().keys()]).toEqual([...before.keys()])
      expect(files.snapshot().get(path)).toEqual(before.get(path))
      files.faults = {}
      expect(await storage.pack({ before: storage.lastTid, references })).toMatchObject({
        removedRevisions: 8,
      })
      expect(await storage.pack({ before: storage.lastTid, references })).toMatchObject({
        removedRevisions: 0,
      })
      await opened.close()
    }
  })
})
