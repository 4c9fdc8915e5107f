/** The parts of the adapter that the conformance suite cannot see from outside. */

import { expect, test } from 'vitest'
import { ConflictError } from '../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import { resolveOrThrow } from '../../src/storages/conflict-resolution.ts'
import { CommitLock } from '../../src/storages/mvcc/commit-lock.ts'
import { InvalidationLog } from '../../src/storages/mvcc/invalidation-log.ts'
import { mvccAdapter } from '../../src/storages/mvcc-adapter.ts'
import { openContext } from '../../src/storages/open.ts'
import { SlowStore } from './slow-base.ts'

const tid = (value: number) => value as Tid
const oids = (...values: number[]) => new Set(values as Oid[])
const reader = {}

test('the commit lock is granted in the order of arrival', async () => {
  const lock = new CommitLock()
  const owners = [{}, {}, {}, {}]
  const granted: number[] = []
  expect(lock.acquire(owners[0]!)).toBeUndefined()
  const waiting = owners.slice(1).map(async (owner, index) => {
    await lock.acquire(owner)
    granted.push(index + 1)
    lock.release(owner)
  })
  lock.release(owners[0]!)
  await Promise.all(waiting)
  expect(granted).toEqual([1, 2, 3])
})

test('who does not hold the commit lock cannot release it, and who waits gives up its place', async () => {
  const lock = new CommitLock()
  const [holder, waiter, third] = [{}, {}, {}]
  expect(lock.acquire(holder)).toBeUndefined()
  const waiting = lock.acquire(waiter)
  const next = lock.acquire(third)
  lock.release({})
  lock.release(waiter)
  await expect(waiting).rejects.toThrow('aborted while it waited')
  lock.release(holder)
  await next
  let isIdle = false
  const idle = lock.idle().then(() => {
    isIdle = true
  })
  await Promise.resolve()
  expect(isIdle).toBe(false)
  lock.release(third)
  await idle
})

test('a reader who was away longer than the log remembers is told that everything changed', () => {
  const log = new InvalidationLog(noTid)
  for (let number = 1; number <= 250; number++) {
    log.append(tid(number), oids(...Array.from({ length: 1000 }, (_, index) => index)), undefined)
    if (log.isDue) log.forget(noTid)
  }
  expect(log.since(tid(1), reader)).toBe('all')
  expect((log.since(tid(248), reader) as ReadonlySet<Oid>).size).toBe(1000)
  expect(log.since(tid(250), reader)).toEqual(new Set())
})

test('what every reader has seen is forgotten, and nothing else', () => {
  const log = new InvalidationLog(noTid)
  for (let number = 1; number <= 1000; number++) {
    log.append(tid(number), oids(number), undefined)
    if (log.isDue) log.forget(tid(number - 10))
  }
  expect((log.since(tid(990), reader) as ReadonlySet<Oid>).size).toBe(10)
  expect(log.since(tid(500), reader)).toBe('all')
})

test('a storage that was opened with data tells new readers nothing of the past', () => {
  const log = new InvalidationLog(tid(500))
  log.append(tid(501), oids(7), undefined)
  expect(log.since(tid(500), reader)).toEqual(oids(7))
  expect(log.since(tid(499), reader)).toBe('all')
})

test('a committer is not told of its own transaction, and is told of those around it', () => {
  const log = new InvalidationLog(noTid)
  log.append(tid(1), oids(1), {})
  log.append(tid(2), oids(1, 2), reader)
  log.append(tid(3), oids(3), {})
  expect(log.since(noTid, reader)).toEqual(oids(1, 3))
})

const conflict = {
  oid: 5 as Oid,
  baseSerial: tid(10),
  base: Uint8Array.of(1),
  committed: { serial: tid(20), data: Uint8Array.of(2) },
  mine: Uint8Array.of(3),
}

test('what a resolver throws is the cause of the conflict', () => {
  const cause = new RangeError('cannot')
  try {
    resolveOrThrow(() => {
      throw cause
    }, conflict)
    expect.fail('nothing was thrown')
  } catch (error) {
    expect(error).toBeInstanceOf(ConflictError)
    expect((error as ConflictError).cause).toBe(cause)
    expect((error as ConflictError).details).toEqual({ oid: 5, current: 20, base: 10 })
  }
})

test('a resolver that answers with anything but bytes is a conflict that says so', () => {
  const resolver = (() => 'merged') as never
  expect(() => resolveOrThrow(resolver, conflict)).toThrow(ConflictError)
  try {
    resolveOrThrow(resolver, conflict)
  } catch (error) {
    expect((error as Error).cause).toMatchObject({ message: expect.stringContaining('string, not bytes') })
  }
})

test.each([
  ['no resolver', undefined, conflict],
  ['no base', () => Uint8Array.of(9), { ...conflict, base: undefined }],
  ['a deleted object', () => Uint8Array.of(9), { ...conflict, committed: { serial: tid(20), data: null } }],
  ['a deletion', () => Uint8Array.of(9), { ...conflict, mine: null }],
])('with %s nothing is merged', (_, resolver, given) => {
  expect(() => resolveOrThrow(resolver, given)).toThrow(ConflictError)
})

test('a commit that the base storage fails frees the lock, and the storage goes on', async () => {
  class FailingStore extends SlowStore {
    isFailing = false
    override async commit(transaction: Parameters<SlowStore['commit']>[0]): Promise<void> {
      if (this.isFailing) throw new Error('the disk is full')
      await super.commit(transaction)
    }
  }
  const base = new FailingStore()
  const storage = mvccAdapter(base, openContext())
  const instance = await storage.newInstance()
  const commit = async () => {
    await instance.pollInvalidations()
    const transaction = instance.begin()
    await transaction.store(1 as Oid, noTid, Uint8Array.of(1))
    return await (await transaction.vote()).finish()
  }
  base.isFailing = true
  await expect(commit()).rejects.toThrow('the disk is full')
  expect(storage.lastTid).toBe(noTid)
  base.isFailing = false
  const committed = await commit()
  expect(storage.lastTid).toBe(committed)
  await storage.close()
})
