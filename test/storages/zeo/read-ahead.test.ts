/** What comes before it is asked for: neighbours that the server sends along, and what clients fetch in the background. */

import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { Database, PersistentMap, references as recordReferences } from '../../../src/database/index.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import type { Storage, StorageInstance } from '../../../src/storages/storage.ts'
import { BodyReader } from '../../../src/storages/zeo/body.ts'
import type { AheadSettings } from '../../../src/storages/zeo/client-ahead.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import { openClient } from '../../../src/storages/zeo/client-storage.ts'
import { FrameParser } from '../../../src/storages/zeo/frame-parser.ts'
import zeo from '../../../src/storages/zeo/index.ts'
import { prefetchedMax, types } from '../../../src/storages/zeo/protocol.ts'
import { bytes, eventually, type Given, oid, Served, text, write } from './harness.ts'
import { type Heard, RawClient } from './raw-client.ts'

let served: Served
afterEach(() => served.stop())

/** Test records: the numbers of the objects that they refer to, and perhaps a word. */
const references = (data: Uint8Array): Oid[] => {
  const words = text(data).split(' ')
  if (words.includes('unreadable')) throw new Error('not a record')
  return words.filter((word) => /^\d+$/.test(word)).map((word) => oid(Number(word)))
}

const start = async (given: Given = {}) => {
  served = await Served.start({ references, ...given })
  return served
}

/** Objects by number. */
async function fill(storage: Storage, objects: Readonly<Record<number, string>>): Promise<Tid> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  for (const [id, content] of Object.entries(objects))
    await transaction.store(oid(Number(id)), noTid, bytes(content))
  const tid = await (await transaction.vote()).finish()
  await instance.release()
  return tid
}

/** A tree of numbers: children of n are 10n + 1 … 10n + 3. */
const tree = {
  1: '11 12 13',
  11: '111 112 113',
  12: '121 122 123',
  13: '131 132 133',
  ...Object.fromEntries(
    [11, 12, 13].flatMap((parent) => [1, 2, 3].map((place) => [parent * 10 + place, 'leaf'])),
  ),
}

/** While it is closed, `loadMany` of the served storage waits. */
class Gate {
  passing: Promise<void> | undefined

  /** Returns how to open it. */
  close(): () => void {
    let open!: () => void
    this.passing = new Promise((resolve) => {
      open = resolve
    })
    return open
  }
}

/** Notes what is read from the served storage: `load 1`, `many 1,2,3`. */
function noteReads(storage: Storage, gate?: Gate): string[] {
  const noted: string[] = []
  const newInstance = storage.newInstance.bind(storage)
  storage.newInstance = async () => {
    const instance = await newInstance()
    const load = instance.load.bind(instance)
    const loadMany = instance.loadMany.bind(instance)
    instance.load = (id) => {
      noted.push(`load ${id}`)
      return load(id)
    }
    instance.loadMany = (ids) => {
      noted.push(`many ${ids.join()}`)
      return gate?.passing === undefined ? loadMany(ids) : gate.passing.then(() => loadMany(ids))
    }
    return instance
  }
  return noted
}

/** The objects read by `loadMany`, in order. */
const readTogether = (noted: readonly string[]) =>
  noted.filter((one) => one.startsWith('many')).flatMap((one) => one.slice(5).split(',').map(Number))

describe('neighbours', () => {
  const load = (raw: RawClient, request: number, id: number, objects = 100, bytesMax = 65536) =>
    raw.say(types.load, request, 1, raw.fields.id(oid(id)).u32(objects).u32(bytesMax).take())

  async function reader(): Promise<RawClient> {
    const raw = new RawClient(served.server)
    raw.say(types.poll, 1, 1, raw.fields.id(noTid).u8(0).take())
    await raw.answer(1)
    return raw
  }

  const sentAlong = (raw: RawClient) => raw.objects.map((one) => Number(one.oid))

  test('come behind the object, nearest first, in its snapshot, and no more than allowed', async () => {
    await start()
    const tid = await fill(served.storage, tree)
    const raw = await reader()
    load(raw, 2, 1, 5)
    await raw.settle(3)
    const place = (found: (one: Heard) => boolean) => raw.heard.findIndex(found)
    expect(place(({ id }) => id === 2)).toBeLessThan(place(({ type }) => type === types.objects))
    expect(sentAlong(raw)).toEqual([11, 12, 13, 111, 112])
    for (const { snapshot, view } of raw.objects)
      expect({ snapshot, view }).toEqual({ snapshot: tid, view: 1 })
    expect(served.server.status()).toMatchObject({ neighbours: 5, loads: 1 })
  })

  test('stay within the bytes that are allowed', async () => {
    await start()
    await fill(served.storage, { 1: '2 3 4', 2: 'x'.repeat(60), 3: 'y'.repeat(60), 4: 'z' })
    const raw = await reader()
    load(raw, 2, 1, 100, 100)
    await raw.settle(3)
    expect(sentAlong(raw)).toEqual([2])
    expect(served.server.status()).toMatchObject({ neighbours: 1, neighbourBytes: 60 })
  })

  test('a load that arrives with the one before is answered before the neighbours of either', async () => {
    await start()
    await fill(served.storage, tree)
    const raw = await reader()
    load(raw, 2, 11)
    load(raw, 3, 12)
    await raw.settle(4)
    const order = raw.heard.map(({ type, id }) => (type === types.objects ? 'objects' : id)).slice(-5)
    expect(order.slice(0, 3)).toEqual([2, 3, 4])
    expect(sentAlong(raw).sort()).toEqual([111, 112, 113, 121, 122, 123])
  })

  test('what was sent is not sent again until it has changed', async () => {
    await start()
    const tid = await fill(served.storage, { 1: '2 3', 2: 'a', 3: 'b', 5: '2 6', 6: 'c', 7: '2 3 6' })
    const raw = await reader()
    load(raw, 2, 1)
    await raw.settle(3)
    load(raw, 4, 5)
    await raw.settle(5)
    expect(sentAlong(raw)).toEqual([2, 3, 6])
    await write(await served.storage.newInstance(), oid(2), 'changed')
    // The client asks what has changed since, and hears of it.
    raw.say(types.poll, 6, 1, raw.fields.id(tid).u8(0).take())
    await raw.answer(6)
    load(raw, 7, 7)
    await raw.settle(8)
    expect(sentAlong(raw)).toEqual([2, 3, 6, 2])
  })

  test('who asks for what it was sent has lost it, and is sent its neighbours again', async () => {
    await start()
    await fill(served.storage, { 1: '2', 2: '3', 3: 'leaf' })
    const raw = await reader()
    load(raw, 2, 1)
    await raw.settle(3)
    load(raw, 4, 2)
    await raw.settle(5)
    expect(sentAlong(raw)).toEqual([2, 3, 3])
  })

  test('end with the snapshot in which they were found', async () => {
    await start()
    await fill(served.storage, tree)
    const raw = await reader()
    load(raw, 2, 1)
    raw.say(types.complete, 0, 1)
    raw.say(types.poll, 3, 1, raw.fields.id(noTid).u8(0).take())
    await raw.answer(3)
    await raw.settle(4)
    expect(sentAlong(raw)).toEqual([])
  })

  test('of a record that nobody can read there are none, nor where the server finds no references', async () => {
    await start()
    await fill(served.storage, { 1: 'unreadable 2', 2: 'x', 3: '2' })
    const raw = await reader()
    load(raw, 2, 1)
    await raw.settle(3)
    expect(sentAlong(raw)).toEqual([])
    await served.stop()
    served = await Served.start()
    await fill(served.storage, { 3: '2', 2: 'x' })
    const other = await reader()
    load(other, 2, 3)
    await other.settle(3)
    expect(other.objects).toEqual([])
  })

  test('in the cache of the client they save loads, and are counted as used', async () => {
    await start()
    await fill(served.storage, tree)
    const client = await served.client({ cache: newCache(), readAhead: { ...ahead, neighbours: 100 } })
    const instance = client.newInstance()
    await instance.pollInvalidations()
    await instance.load(oid(1))
    const counts = client.cache!.ahead
    await eventually(() => counts.received === 12, 'twelve neighbours')
    const before = client.counters()
    expect(text((await instance.load(oid(122))).data)).toBe('leaf')
    await instance.load(oid(13))
    await instance.load(oid(13))
    const after = client.counters()
    expect(after.backendLoads - before.backendLoads).toBe(0)
    expect(after.roundTrips).toBe(before.roundTrips)
    expect(counts).toMatchObject({ used: 2, usedBytes: 4 + 11 })
    expect(counts.wastedBytes).toBe(counts.receivedBytes - 15)
  })

  test('whose first use leads on: what it refers to is fetched, since the server was not asked', async () => {
    await start()
    await fill(served.storage, tree)
    const client = await served.client({ cache: newCache(), readAhead: { ...ahead, neighbours: 3 } })
    const instance = client.newInstance()
    await instance.pollInvalidations()
    await instance.load(oid(1))
    const counts = client.cache!.ahead
    await eventually(() => counts.received === 3, 'three neighbours')
    await instance.load(oid(11))
    await eventually(() => counts.received === 6, 'three more')
    const before = client.counters().roundTrips
    await instance.load(oid(112))
    await instance.load(oid(11))
    expect(client.counters().roundTrips).toBe(before)
    expect(served.server.status()).toMatchObject({ loads: 1, neighbours: 3, prefetched: 3 })
  })

  test('a client that wants them and cannot have them is told', async () => {
    served = await Served.start()
    const said: string[] = []
    await served.client({
      cache: newCache(),
      readAhead: { ...ahead, neighbours: 8 },
      log: (message) => said.push(message),
    })
    expect(said).toEqual([expect.stringMatching(/sends no neighbours/)])
  })
})

const newCache = (bytesLimit = 1024 ** 2) => new ClientCache(shareClientCache(bytesLimit))
const ahead: AheadSettings = { neighbours: 0, depth: 0, objectsMax: 100, bytesMax: 65536, references }

/** Objects 1 … count of some bytes each. */
const many = (count: number, size = 4) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [index + 1, 'x'.repeat(size)]))
const upTo = (count: number) => Array.from({ length: count }, (_, index) => oid(index + 1))

async function reading(given: Parameters<Served['client']>[0] = {}) {
  const client = await served.client(given)
  const instance = client.newInstance()
  await instance.pollInvalidations()
  return { client, instance }
}

describe('prefetch', () => {
  test('a load is answered before what is left of a prefetch, and is not sent twice', async () => {
    await start()
    const count = 1024
    await fill(served.storage, many(count, 1000))
    const raw = new RawClient(served.server)
    raw.say(types.poll, 1, 1)
    await raw.answer(1)
    raw.onMessage = ({ type }) => {
      if (type !== types.objects) return
      raw.onMessage = () => {}
      raw.say(types.load, 3, 1, raw.fields.id(oid(count)).take())
    }
    for (const id of upTo(count)) {
      if (id === 1) raw.fields.u32(0xffff_ffff)
      raw.fields.id(id)
    }
    raw.say(types.prefetch, 2, 1, raw.fields.take())
    expect(new BodyReader((await raw.answer(2)).body).u32()).toBe(count)
    const order = raw.heard.map(({ type, id }) => (type === types.objects ? 'objects' : `${id}`))
    const [first, load, last] = [order.indexOf('objects'), order.indexOf('3'), order.lastIndexOf('objects')]
    // A step comes to one message; at most the one under way and its successor were before it.
    expect(order.filter((one) => one === 'objects').length).toBeGreaterThanOrEqual(16)
    expect(load - first).toBeLessThanOrEqual(4)
    expect(last - load).toBeGreaterThan(10)
    expect(raw.objects.map((one) => one.oid).join()).toBe(upTo(count - 1).join())
  })

  test('ends with its snapshot, answered with how far it came', async () => {
    await start()
    await fill(served.storage, many(1000, 1000))
    const raw = new RawClient(served.server)
    raw.say(types.poll, 1, 1)
    await raw.answer(1)
    raw.onMessage = ({ type }) => {
      if (type === types.objects) raw.say(types.complete, 0, 1)
    }
    raw.fields.u32(0xffff_ffff)
    for (const id of upTo(1000)) raw.fields.id(id)
    raw.say(types.prefetch, 2, 1, raw.fields.take())
    const came = new BodyReader((await raw.answer(2)).body).u32()
    expect(came).toBeGreaterThan(0)
    expect(came).toBeLessThan(500)
    expect(raw.objects.length).toBe(came)
  })

  test('is called off on request, and one that brings too much ends by itself', async () => {
    await start()
    await fill(served.storage, many(1000, 1000))
    const raw = new RawClient(served.server)
    raw.say(types.poll, 1, 1)
    await raw.answer(1)
    const ask = (request: number, allowed: number) => {
      raw.fields.u32(allowed)
      for (const id of upTo(1000)) raw.fields.id(id)
      raw.say(types.prefetch, request, 1, raw.fields.take())
    }
    ask(2, 100_000)
    const came = new BodyReader((await raw.answer(2)).body).u32()
    expect([came, raw.objects.length]).toEqual([112, 112])
    raw.onMessage = ({ type }) => {
      if (type === types.objects) raw.say(types.cancel, 0, 1, raw.fields.u32(3).take())
    }
    ask(3, 0xffff_ffff)
    expect(new BodyReader((await raw.answer(3)).body).u32()).toBeLessThan(500)
  })

  test('more objects than a request may name are refused, more requests than may wait bring nothing', async () => {
    await start({ limits: { prefetchesMax: 1 } })
    await fill(served.storage, many(200))
    const raw = new RawClient(served.server)
    raw.say(types.poll, 1, 1)
    await raw.answer(1)
    raw.fields.u32(1)
    for (const id of upTo(prefetchedMax + 1)) raw.fields.id(id)
    raw.say(types.prefetch, 2, 1, raw.fields.take())
    expect((await raw.answer(2)).type).toBe(types.failed)
    raw.fields.u32(0xffff_ffff)
    for (const id of upTo(200)) raw.fields.id(id)
    const body = raw.fields.take().slice()
    raw.say(types.prefetch, 3, 1, body)
    raw.say(types.prefetch, 4, 1, body)
    await raw.answer(3)
    await raw.answer(4)
    expect(raw.objects.length).toBe(200)
  })

  test('a load in the same breath goes before it, and two requests at most are under way', async () => {
    await start()
    const count = 100_000
    await fill(served.storage, many(count))
    const noted = noteReads(served.storage)
    const { client, instance } = await reading({ cache: newCache(64 * 1024 ** 2) })
    const before = client.counters()
    const prefetching = instance.prefetch(upTo(count))
    const loading = instance.load(oid(count))
    expect(client.counters().roundTrips - before.roundTrips).toBe(3)
    await loading
    // Two requests, of 8 bytes for each object, and one load; nothing more was written or waits to be.
    expect(client.counters().bytesWritten - before.bytesWritten).toBeLessThan(2 * (prefetchedMax + 10) * 8)
    expect(noted[0]).toBe(`load ${count}`)
    await prefetching
    expect(readTogether(noted).join()).toBe(upTo(count - 1).join())
    const hits = client.counters()
    await instance.loadMany(upTo(count))
    expect(client.counters().roundTrips).toBe(hits.roundTrips)
  })

  test('leaves the client behind what is asked for in the same breath', async () => {
    await start()
    await fill(served.storage, many(10))
    const wire = await served.place.dial()
    const said: number[] = []
    const parser = new FrameParser(
      { messageBytesMax: 1024 ** 2, assemblyBytesMax: 0, streamsMax: 0 },
      (type) => said.push(type),
    )
    const write = wire.write.bind(wire)
    wire.write = (pieces) => {
      for (const piece of pieces) parser.push(piece)
      write(pieces)
    }
    const servers = [{ address: 'tapped', dial: async () => wire }]
    const client = await openClient({ servers, cache: newCache() }, openContext())
    const instance = client.newInstance()
    await instance.pollInvalidations()
    const stop = new AbortController()
    const prefetching = instance.prefetch(upTo(9), stop.signal)
    stop.abort()
    await Promise.all([prefetching, instance.load(oid(10))])
    expect(said.slice(-3)).toEqual([types.load, types.prefetch, types.cancel])
    await client.close()
  })

  test('without a cache, what was prefetched is held for the snapshot', async () => {
    await start()
    await fill(served.storage, many(50))
    const noted = noteReads(served.storage)
    const { client, instance } = await reading()
    await instance.prefetch(upTo(50))
    const before = client.counters()
    for (const id of upTo(50)) await instance.load(id)
    expect(client.counters().roundTrips).toBe(before.roundTrips)
    await instance.prefetch(upTo(2))
    instance.afterCompletion()
    await instance.pollInvalidations()
    await instance.load(oid(1))
    expect(noted.filter((one) => one.startsWith('load'))).toEqual(['load 1'])
  })

  test('objects that are wanted twice, or are being loaded, are asked for once', async () => {
    await start()
    await fill(served.storage, many(10))
    const noted = noteReads(served.storage)
    const { client, instance } = await reading({ cache: newCache() })
    const before = client.counters().roundTrips
    const loading = instance.load(oid(1))
    await Promise.all([
      instance.prefetch([oid(1), oid(2), oid(2)]),
      instance.prefetch([oid(2), oid(3)]),
      instance.prefetch([oid(3), oid(1)]),
      loading,
    ])
    expect(noted).toEqual(['load 1', 'many 2', 'many 3'])
    expect(client.counters().roundTrips - before).toBe(3)
    await instance.prefetch([oid(1), oid(2), oid(3)])
    expect(noted.length).toBe(3)
  })

  test('a load of what is being prefetched overtakes, and counts once', async () => {
    await start()
    await fill(served.storage, many(300, 100))
    const held = new Gate()
    const noted = noteReads(served.storage, held)
    const { client, instance } = await reading({ cache: newCache() })
    const before = client.counters()
    const open = held.close()
    const prefetching = instance.prefetch(upTo(300))
    await eventually(() => noted.length > 0, 'a step of the prefetch')
    const loading = Promise.all([instance.load(oid(1)), instance.load(oid(300))])
    const written = client.counters().bytesWritten + 2 * 24
    await eventually(() => served.server.status().bytesRead === written, 'the server has both loads')
    open()
    for (const { data } of await loading) expect(data.length).toBe(100)
    await prefetching
    const after = client.counters()
    expect(after.loads - before.loads).toBe(2)
    // Never sent twice: it had its turn with the load.
    expect(noted).toContain('load 300')
    expect(readTogether(noted)).toEqual(upTo(299))
  })

  test('unknown objects, none at all, and objects that no cache takes are fine', async () => {
    await start()
    await fill(served.storage, { 1: 'x'.repeat(200_000), 2: 'small' })
    const { client, instance } = await reading({ cache: newCache() })
    await instance.prefetch([])
    await instance.prefetch([oid(77), oid(1), oid(78), oid(2)])
    const before = client.counters().roundTrips
    expect((await instance.load(oid(1))).data.length).toBe(200_000)
    expect(client.counters().roundTrips).toBe(before)
    await expect(instance.load(oid(77))).rejects.toMatchObject({ code: 'object-not-found' })
  })

  test('objects larger than a request may bring all come, in several requests', async () => {
    await start()
    await fill(served.storage, Object.fromEntries(upTo(40).map((id) => [id, 'x'.repeat(1024 ** 2)])))
    const { client, instance } = await reading()
    const before = client.counters().roundTrips
    await instance.prefetch(upTo(40))
    // 16 MiB each. What is held without a cache is bounded too.
    expect(client.counters().roundTrips - before).toBe(3)
    const counted = client.counters()
    for (const id of upTo(40)) expect((await instance.load(id)).data.length).toBe(1024 ** 2)
    expect(client.counters().roundTrips - counted.roundTrips).toBe(40 - 16)
  })

  const long = async () => {
    await start()
    await fill(served.storage, many(20_000, 100))
    const noted = noteReads(served.storage)
    return { noted, ...(await reading({ cache: newCache(16 * 1024 ** 2) })) }
  }

  test('called off by its signal, it resolves, and the rest is not asked for', async () => {
    const { noted, instance } = await long()
    const stop = new AbortController()
    const prefetching = instance.prefetch(upTo(20_000), stop.signal)
    await eventually(() => noted.length > 2, 'some steps')
    stop.abort()
    await prefetching
    await instance.prefetch([oid(20_000)])
    expect(readTogether(noted).length).toBeLessThan(5000)
    expect(readTogether(noted).at(-1)).toBe(20_000)
    await instance.prefetch(upTo(10), AbortSignal.abort())
  })

  test('the end of the snapshot ends it', async () => {
    const { noted, instance } = await long()
    const prefetching = instance.prefetch(upTo(20_000))
    await eventually(() => noted.length > 2, 'some steps')
    instance.afterCompletion()
    await prefetching
    await instance.pollInvalidations()
    const came = readTogether(noted).length
    expect(came).toBeLessThan(5000)
    expect((await instance.load(oid(20_000))).data.length).toBe(100)
    expect(readTogether(noted).length).toBe(came)
  })

  test('a lost connection fails it, as it does any request', async () => {
    const { noted, instance } = await long()
    const prefetching = instance.prefetch(upTo(20_000))
    await eventually(() => noted.length > 2, 'some steps')
    served.cut()
    await expect(prefetching).rejects.toMatchObject({ code: 'disconnected' })
  })
})

describe('by depth', () => {
  const settings = (depth: number, objectsMax = 100): AheadSettings => ({ ...ahead, depth, objectsMax })

  async function loaded(instance: StorageInstance, noted: string[], ...oids: number[]): Promise<string[]> {
    noted.length = 0
    for (const id of oids) await instance.load(oid(id))
    // What follows from it is asked for behind it, and has been answered when this has.
    for (let level = 0; level < 6; level++) await instance.prefetch!([oid(9000 + level)])
    return noted.filter((one) => !/ 90\d\d$/.test(one))
  }

  test('the references of what was loaded are followed, breadth first, a request for each level', async () => {
    await start()
    await fill(served.storage, tree)
    const noted = noteReads(served.storage)
    for (const [depth, expected] of [
      [1, ['many 11,12,13']],
      [2, ['many 11,12,13', 'many 111,112,113,121,122,123,131,132,133']],
    ] as const) {
      const { client, instance } = await reading({ cache: newCache(), readAhead: settings(depth) })
      expect(await loaded(instance, noted, 1)).toEqual(['load 1', ...expected])
      const before = client.counters().roundTrips
      await instance.load(oid(12))
      expect(client.counters().roundTrips).toBe(before)
      expect(client.cache!.ahead.used).toBe(1)
    }
  })

  test('the first use of what was fetched leads on', async () => {
    await start()
    await fill(served.storage, tree)
    const noted = noteReads(served.storage)
    const { instance } = await reading({ cache: newCache(), readAhead: settings(1) })
    expect(await loaded(instance, noted, 1)).toEqual(['load 1', 'many 11,12,13'])
    expect(await loaded(instance, noted, 12, 12)).toEqual(['many 121,122,123'])
  })

  test('no more objects than allowed follow from one load', async () => {
    await start()
    await fill(served.storage, tree)
    const noted = noteReads(served.storage)
    const { instance } = await reading({ cache: newCache(), readAhead: settings(5, 4) })
    expect(await loaded(instance, noted, 1)).toEqual(['load 1', 'many 11,12,13', 'many 111'])
  })

  test('circles end, what is here is not asked for, and what cannot be read leads nowhere', async () => {
    await start()
    await fill(served.storage, { 1: '2 1', 2: '1 3', 3: '2 4', 4: 'unreadable 5', 5: 'x' })
    const noted = noteReads(served.storage)
    const { instance } = await reading({ cache: newCache(), readAhead: settings(10) })
    expect(await loaded(instance, noted, 1)).toEqual(['load 1', 'many 2', 'many 3', 'many 4'])
    expect(await loaded(instance, noted, 1, 2, 3, 4)).toEqual([])
  })

  test('the end of the snapshot ends it', async () => {
    await start()
    await fill(served.storage, Object.fromEntries(upTo(500).map((id) => [id, `${id + 1}`])))
    const noted = noteReads(served.storage)
    const { instance } = await reading({ cache: newCache(), readAhead: settings(16, 1000) })
    await instance.load(oid(1))
    await eventually(() => noted.length > 3, 'some levels')
    instance.afterCompletion()
    await instance.pollInvalidations()
    const came = noted.length
    await instance.prefetch([oid(9000)])
    expect(noted.slice(came)).toEqual(['many 9000'])
  })
})

describe('options', () => {
  const open = (given: Record<string, unknown>) =>
    openStorage(
      zeo,
      parseOptions('zeo', zeo.options, { address: `unix:${join(served.folder, 's')}`, ...given }),
    )

  test.each([
    [{ neighbours: 8, cacheBytesLimit: 0 }, /need a cache/],
    [{ prefetchDepth: 1, cacheBytesLimit: 0 }, /need a cache/],
    [{ neighbours: 8, prefetchDepth: 1 }, /give one of them/],
  ])('%j is refused with a reason', async (given, reason) => {
    await start()
    await expect(open(given)).rejects.toThrow(reason)
  })

  test.each([{ neighbours: 32 }, { prefetchDepth: 2 }])(
    'with %j, records of the object layer lead to others',
    async (given) => {
      await start({ references: recordReferences })
      const writing = new Database(served.storage)
      await writing.transact(async (connection) => {
        const items = new PersistentMap(Array.from({ length: 20 }, (_, key) => [key, new PersistentMap()]))
        const root = await connection.root
        root.set('items', items)
      })
      await writing.close()
      const storage = await open(given)
      const reading = new Database(storage)
      await reading.transact(async (connection) => {
        const items = (await connection.root).get('items') as PersistentMap<PersistentMap>
        await connection.activate(items)
        const { ahead } = storage.cache as ClientCache
        // The map of items, unless it was asked for before it came, and the items.
        await eventually(() => ahead.received >= 20, 'the items')
        const before = storage.counters().backendLoads
        for (let key = 0; key < 20; key++) await connection.activate(items.get(key)!)
        expect(storage.counters().backendLoads).toBe(before)
      })
      await reading.close()
      await storage.close()
    },
  )
})
