/** The parts of the shared SQL storage whose order or arithmetic a database cannot be made to show at will. */

import { describe, expect, test } from 'vitest'
import type { Oid, Tid } from '../../../src/core/ids.ts'
import { OidSet } from '../../../src/core/oid-set.ts'
import { Random } from '../../../src/core/random.ts'
import type { Committed, Row } from '../../../src/storages/sql/adapter.ts'
import { CommitOrder } from '../../../src/storages/sql/commit-order.ts'
import { importDriver } from '../../../src/storages/sql/driver.ts'
import { LoadBatch } from '../../../src/storages/sql/load-batch.ts'
import { OidLease } from '../../../src/storages/sql/oid-lease.ts'
import { packRows } from '../../../src/storages/sql/row-pack.ts'
import { SessionPool } from '../../../src/storages/sql/session-pool.ts'
import { coded } from '../../coded.ts'
import { freshRandom } from '../../fresh-random.ts'

const tick = () => new Promise(setImmediate)

describe('commit order', () => {
  function commits(count: number, from = 1) {
    let newest = (from - 1) as Tid
    const told: number[] = []
    const order = new CommitOrder(() => newest)
    const sent = Array.from({ length: count }, (_, index) => {
      const tid = (from + index) as Tid
      let answer: (commit: Committed) => void = () => {}
      let fail: (error: Error) => void = () => {}
      const promise = new Promise<Committed>((resolve, reject) => {
        answer = resolve
        fail = reject
      })
      const outcome = order.follow(promise, (commit) => {
        newest = commit.tid
        told.push(commit.tid)
        return commit.tid
      })
      outcome.catch(() => {})
      return { answer: () => answer({ tid, previous: (tid - 1) as Tid }), fail, outcome }
    })
    return { told, sent }
  }

  test('answers in any order are told in the order of the tids', async () => {
    const random = freshRandom()
    for (let round = 0; round < 50; round++) {
      const { told, sent } = commits(8)
      for (const one of random.shuffled(sent)) {
        one.answer()
        if (random.float() < 0.5) await tick()
      }
      await Promise.all(sent.map(({ outcome }) => outcome))
      expect(told, `round ${round}`).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    }
  })

  test('a commit that follows on the last one told waits for nobody', async () => {
    const { told, sent } = commits(3)
    sent[0]!.answer()
    await sent[0]!.outcome
    expect(told).toEqual([1])
  })

  test('one that failed keeps nobody waiting', async () => {
    const { told, sent } = commits(2)
    sent[1]!.answer()
    await tick()
    expect(told).toEqual([])
    sent[0]!.fail(new Error('lost'))
    await sent[1]!.outcome
    expect(told).toEqual([2])
  })
})

describe('oid lease', () => {
  test('requests at the same moment get different ids, in whole groups', async () => {
    let next = 16
    let leases = 0
    const lease = new OidLease(async (count) => {
      leases++
      await tick()
      const first = next
      next += count
      return first as Oid
    }, 16)
    const taken = await Promise.all(Array.from({ length: 50 }, (_, index) => lease.take(1 + (index % 40))))
    const all = taken.flat()
    expect(new Set(all).size).toBe(all.length)
    for (const oids of taken) {
      expect(oids.length % 16).toBe(0)
      expect(oids[0]! % 16).toBe(0)
      expect(oids).toEqual(oids.toSorted((a, b) => a - b))
    }
    expect(leases).toBeLessThan(4)
  })

  test('an id that somebody chose is left out', async () => {
    const lease = new OidLease(() => 100 as Oid, 1)
    expect(await lease.take(1)).toEqual([100])
    lease.skip(105 as Oid)
    expect(await lease.take(2)).toEqual([106, 107])
  })
})

test('a set of oids holds what was added, also far apart', () => {
  const random = new Random('oid-set')
  const set = new OidSet()
  const model = new Set<number>()
  for (let round = 0; round < 5000; round++) {
    const oid = (random.float() < 0.5 ? random.integer(70_000) : random.integer(2 ** 31) * 1000) as Oid
    expect(set.add(oid)).toBe(!model.has(oid))
    model.add(oid)
  }
  for (const oid of model) expect(set.has(oid as Oid)).toBe(true)
  for (let oid = 0; oid < 70_000; oid++) expect(set.has(oid as Oid)).toBe(model.has(oid))
})

test('a batch of loads answers each with its own object, and all with the one error', async () => {
  const row = (oid: Oid): Row => ({ oid, serial: 1 as Tid, data: new Uint8Array([oid]) })
  let isBroken = false
  const batch = new LoadBatch(
    async (oid) => row(oid),
    async (oids) => {
      if (isBroken) throw new Error('lost')
      return oids.filter((oid) => oid < 3).map(row)
    },
  )
  const loads = [1, 2, 3, 1].map((oid) => batch.load(oid as Oid))
  expect((await Promise.all(loads)).map((found) => found?.oid)).toEqual([1, 2, undefined, 1])
  isBroken = true
  const failing = await Promise.allSettled([batch.load(1 as Oid), batch.load(2 as Oid)])
  expect(failing.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})

test('packed rows say where each object lies, deletions and empty objects too', () => {
  const change = (oid: number, text: string | null) => ({
    oid: oid as Oid,
    base: 0 as Tid,
    data: text === null ? null : new TextEncoder().encode(text),
  })
  const packed = packRows([change(1, 'ab'), change(2, null), change(3, ''), change(4, 'c')])
  expect(packed).toMatchObject({ oids: [1, 2, 3, 4], starts: [1, 3, 3, 3], lengths: [2, -1, 0, 1] })
  expect(packed.contents.toString()).toBe('abc')
})

test('a pool hands out idle sessions, never broken ones, and closes what is too many', async () => {
  const closed: number[] = []
  let count = 0
  const open = () => {
    const id = count++
    return { id, isBroken: false, close: () => void closed.push(id) }
  }
  const pool = new SessionPool(open, () => 1)
  const [a, b] = [await pool.take(), await pool.take()]
  await pool.giveBack(a)
  await pool.giveBack(b)
  expect(closed).toEqual([1])
  a.isBroken = true
  expect((await pool.take()).id).toBe(2)
  await pool.close()
  expect(() => pool.take()).toThrow(/closed/)
})

test('a driver that is not installed is named, with the command that installs it', async () => {
  const missing = { name: 'pg', install: 'npm install pg' }
  const loading = importDriver(missing, () => import(['not', 'installed', 'anywhere'].join('-')))
  await expect(loading).rejects.toThrow(coded('driver-missing', /pg cannot be loaded.*npm install pg/))
})
