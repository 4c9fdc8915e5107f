import { describe, expect, test } from 'vitest'
import { realFileSystem } from '../../../src/core/file-system.ts'
import { noTid, type Tid } from '../../../src/core/ids.ts'
import { bytes, commit, current, oid, openFile, openSimulated, temporaryLog, text } from './support.ts'

describe('a log', () => {
  test('keeps what was committed, over closing and opening', async () => {
    const path = temporaryLog()
    const storage = await openFile(path)
    const instance = storage.newInstance()
    await commit(instance, { 0: 'root', 1: 'one' })
    const tid = await commit(instance, { 1: 'changed' })
    expect(storage.lastTid).toBe(tid)
    await storage.close()
    const again = await openFile(path)
    expect(again.lastTid).toBe(tid)
    expect(await current(again, 0)).toBe('root')
    expect(await current(again, 1)).toBe('changed')
    expect(again.newInstance().newOids(2)).toEqual([2, 3])
  })

  test('that is closed twice at once waits for the same commits both times', async () => {
    // Longer than this test may take.
    const { storage, close } = await openSimulated(realFileSystem, temporaryLog(), { claimWaitMs: 600_000 })
    const instance = storage.newInstance()
    instance.pollInvalidations()
    const transaction = instance.begin()
    transaction.store(oid(1), noTid, bytes('one'))
    const voted = await transaction.vote()
    const closed = Promise.all([storage.close(), storage.close()])
    await voted.finish()
    await closed
    await close()
    expect(() => storage.newInstance()).toThrow('is closed')
  })

  test('shows each snapshot its own revision', async () => {
    const storage = await openFile(temporaryLog())
    const writer = storage.newInstance()
    const first = await commit(writer, { 1: 'a' })
    const reader = storage.newInstance()
    reader.pollInvalidations()
    const second = await commit(writer, { 1: 'b', 2: 'new' })
    expect(text(reader.load(oid(1)).data)).toBe('a')
    expect(() => reader.load(oid(2))).toThrow('object 2')
    expect(reader.pollInvalidations()).toEqual(new Set([1, 2]))
    expect(text(reader.load(oid(1)).data)).toBe('b')
    expect(reader.loadBefore(oid(1), second)).toMatchObject({ serial: first, nextSerial: second })
    expect(reader.loadBefore(oid(1), first)).toBeUndefined()
  })

  test('refuses a change of a revision that is no longer current', async () => {
    const storage = await openFile(temporaryLog())
    const one = storage.newInstance()
    const two = storage.newInstance()
    const first = await commit(one, { 1: 'a' })
    two.pollInvalidations()
    const late = two.begin()
    late.store(oid(1), first, bytes('late'))
    await commit(one, { 1: 'b' })
    await expect(late.vote()).rejects.toMatchObject({ code: 'conflict', transient: true, oid: 1 })
    late.abort()
    expect(await current(storage, 1)).toBe('b')
  })

  test('merges with the resolver, and says which objects it merged', async () => {
    const storage = await openFile(
      temporaryLog(),
      {},
      {
        resolveConflict: (_oid, base, committed, mine) =>
          bytes(String(Number(text(committed)) + Number(text(mine)) - Number(text(base)))),
      },
    )
    const one = storage.newInstance()
    const first = await commit(one, { 1: '10' })
    const two = storage.newInstance()
    two.pollInvalidations()
    const late = two.begin()
    late.store(oid(1), first, bytes('13'))
    await commit(one, { 1: '15' })
    const voted = await late.vote()
    expect(voted.resolvedOids).toEqual([1])
    await voted.finish()
    expect(await current(storage, 1)).toBe('18')
  })

  test('lets two votes for different objects stand at once, and one for the same wait', async () => {
    const storage = await openFile(temporaryLog())
    const instances = [0, 1, 2].map(() => storage.newInstance())
    for (const instance of instances) instance.pollInvalidations()
    const [a, b, c] = instances.map((instance) => instance.begin())
    a!.store(oid(1), 0 as Tid, bytes('a'))
    b!.store(oid(2), 0 as Tid, bytes('b'))
    c!.store(oid(1), 0 as Tid, bytes('c'))
    const votedA = await a!.vote()
    const votedB = await b!.vote()
    const votingC = c!.vote()
    await votedB.finish()
    await votedA.abort()
    await (await votingC).finish()
    expect(await current(storage, 1)).toBe('c')
  })

  test('flushes once for many committers', async () => {
    const storage = await openFile(temporaryLog())
    const before = storage.counters().syncs
    const tids = await Promise.all(
      Array.from({ length: 32 }, (_, at) => commit(storage.newInstance(), { [at + 1]: `object ${at}` })),
    )
    expect(new Set(tids).size).toBe(32)
    expect(storage.counters().syncs - before).toBeLessThanOrEqual(2)
    expect(storage.lastTid).toBe(Math.max(...tids))
  })

  test('calls onTid once, before the transaction can be seen', async () => {
    const storage = await openFile(temporaryLog())
    const instance = storage.newInstance()
    const before = await commit(instance, { 1: 'a' })
    instance.pollInvalidations()
    const transaction = instance.begin()
    transaction.store(oid(1), before, bytes('b'))
    const voted = await transaction.vote()
    const seen: unknown[] = []
    const other = storage.newInstance()
    const tid = await voted.finish((own) => {
      other.pollInvalidations()
      seen.push(own, storage.lastTid, text(other.load(oid(1)).data))
    })
    expect(seen).toEqual([tid, before, 'a'])
    expect(storage.lastTid).toBe(tid)
  })

  test('iterates, restores and gives the history', async () => {
    const storage = await openFile(temporaryLog())
    const instance = storage.newInstance()
    const tids = [
      await commit(instance, { 0: 'r', 1: 'a' }),
      await commit(instance, { 1: 'b' }),
      await commit(instance, { 1: null }),
    ]
    const copy = await openFile(temporaryLog())
    for await (const transaction of storage.iterate()) await copy.restore(transaction)
    const seen = []
    for await (const transaction of copy.iterate(tids[1]!)) seen.push(transaction.tid)
    expect(seen).toEqual(tids.slice(1))
    expect(await current(copy, 1)).toBeUndefined()
    expect(copy.history(oid(1), 9).map((entry) => [entry.tid, entry.bytes])).toEqual([
      [tids[2], 0],
      [tids[1], 1],
      [tids[0], 1],
    ])
  })

  test('says so when positions were left half exchanged by a pack that ended in the middle', async () => {
    const storage = await openFile(temporaryLog(), { durability: 'os' })
    const instance = storage.newInstance()
    await commit(instance, { 1: 'a' })
    const { log } = storage
    log.spareIndex.replace(log.index, () => new Float64Array(512).fill(64))
    instance.pollInvalidations()
    expect(() => instance.load(oid(1))).toThrow(expect.objectContaining({ code: 'log-failed' }))
    log.index.replace(log.spareIndex, () => undefined)
  })

  test('takes an object of 256 MiB', async () => {
    const storage = await openFile(temporaryLog(), { durability: 'os' })
    const instance = storage.newInstance()
    instance.pollInvalidations()
    const transaction = instance.begin()
    const data = new Uint8Array(256 * 1024 ** 2).fill(7)
    data[data.length - 1] = 9
    transaction.store(oid(1), 0 as Tid, data)
    await (await transaction.vote()).finish()
    instance.pollInvalidations()
    const loaded = instance.load(oid(1)).data
    expect(loaded.length).toBe(data.length)
    expect(Buffer.compare(loaded, data)).toBe(0)
  })
})
