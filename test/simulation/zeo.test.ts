/**
 * Clients and a server over a network that delays, cuts and forgets. Whatever happens to connections: no update is
 * lost or done twice, no snapshot is stale or torn, and nobody waits for ever.
 */

import { describe, expect, test } from 'vitest'
import { isTransient, ObjectNotFoundError } from '../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import { Random } from '../../src/core/random.ts'
import memory from '../../src/storages/memory.ts'
import { openContext, openStorage } from '../../src/storages/open.ts'
import type { Revision, Storage, StorageInstance } from '../../src/storages/storage.ts'
import type { AheadSettings } from '../../src/storages/zeo/client-ahead.ts'
import { ClientCache, shareClientCache } from '../../src/storages/zeo/client-cache.ts'
import { type ClientStorage, openClient } from '../../src/storages/zeo/client-storage.ts'
import { ZeoServer } from '../../src/storages/zeo/server.ts'
import { SimulatedNetwork, VirtualTimers } from './simulated-transport.ts'

const left = 1 as Oid
const right = 2 as Oid
const encode = (value: number) => new TextEncoder().encode(`${value}`)
const decode = (data: Uint8Array) => Number(new TextDecoder().decode(data))

interface World {
  readonly storage: Storage
  readonly server: ZeoServer
  readonly network: SimulatedNetwork
  readonly timers: VirtualTimers
  readonly random: Random
  /** @param cache of this client; by default one of its own */
  open(cache?: ClientCache): Promise<ClientStorage>
}

/** Each of the two refers to the other. */
const references = () => [left, right]
const ahead = { neighbours: 0, depth: 0, objectsMax: 10, bytesMax: 1000, references }
/** The clients differ: some are sent neighbours, some follow references themselves. */
const waysAhead: readonly AheadSettings[] = [{ ...ahead, neighbours: 4 }, { ...ahead, depth: 2 }, ahead]

const newCache = (updateStates = false) => new ClientCache(shareClientCache(64 * 1024), { updateStates })

async function world(
  seed: string,
  cutAt: ReadonlySet<number>,
  delayMs: readonly [number, number],
): Promise<World> {
  const timers = new VirtualTimers()
  const random = new Random(seed)
  const network = new SimulatedNetwork({ timers, random: random.split('network'), delayMs, cutAt })
  const storage = await openStorage(memory, { history: false })
  const server = new ZeoServer({
    storage,
    capabilities: memory.capabilities({ history: false }),
    name: 'memory',
    timers,
    references,
    log: () => {},
  })
  let opened = 0
  const open = async (cache = newCache(++opened % 2 === 0)): Promise<ClientStorage> => {
    for (;;) {
      try {
        const dial = () => network.connect((wire) => server.accept(wire))
        const servers = [{ address: 'simulated', dial }]
        const readAhead = waysAhead[opened % waysAhead.length]!
        return await openClient({ servers, timers, waitMs: 60_000, cache, readAhead }, openContext())
      } catch (error) {
        if (!isTransient(error)) throw error
      }
    }
  }
  return { storage, server, network, timers, random, open }
}

/** Reads both objects, which every transaction changes alike. */
async function readBoth(instance: StorageInstance): Promise<{ value: number; serial: Tid }> {
  const [a, b] = await instance.loadMany([left, right])
  return checkBoth(a, b)
}

/** As `readBoth`, one after the other, the second while it is being prefetched, or has been sent along. */
async function readInTurn(instance: StorageInstance): Promise<{ value: number; serial: Tid }> {
  const a = await loadIfThere(instance, left)
  // A prefetch whose connection is lost fails; the load behind it says the same.
  const prefetching = Promise.resolve(instance.prefetch!([right, left])).catch((error: unknown) => {
    if (!isTransient(error)) throw error
  })
  const b = await loadIfThere(instance, right)
  await prefetching
  return checkBoth(a, b)
}

async function loadIfThere(instance: StorageInstance, oid: Oid): Promise<Revision | undefined> {
  try {
    return await instance.load(oid)
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return undefined
    throw error
  }
}

function checkBoth(a: Revision | undefined, b: Revision | undefined): { value: number; serial: Tid } {
  const values = [a, b].map((one) => (one === undefined ? 0 : decode(one.data)))
  expect(values[0], 'a snapshot shows half of a transaction').toBe(values[1])
  expect(a?.serial).toBe(b?.serial)
  return { value: values[0]!, serial: a?.serial ?? noTid }
}

/** Adds one to both, until it works. Returns the tid. Errors that are not transient end the test. */
async function increment(instance: StorageInstance, atOnce: boolean): Promise<Tid> {
  for (;;) {
    let transaction: ReturnType<StorageInstance['begin']> | undefined
    try {
      await instance.pollInvalidations()
      const { value, serial } = await (atOnce ? readInTurn : readBoth)(instance)
      transaction = instance.begin()
      await transaction.store(left, serial, encode(value + 1))
      await transaction.store(right, serial, encode(value + 1))
      if (atOnce) return (await transaction.commit!()).tid
      return await (await transaction.vote()).finish()
    } catch (error) {
      await transaction?.abort()
      if (!isTransient(error)) throw error
    } finally {
      await instance.afterCompletion()
    }
  }
}

/** Clients that count; each sees its own commits at once, and time going forward. */
async function countTogether(given: World, clientCount: number, rounds: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: clientCount }, () => given.open()))
  const tids: Tid[] = []
  await Promise.all(
    clients.flatMap((client, index) =>
      [0, 1].map(async (second) => {
        const instance = client.newInstance()
        let lastSnapshot = noTid as Tid
        for (let round = 0; round < rounds; round++) {
          const tid = await increment(instance, (index + second) % 2 === 0)
          tids.push(tid)
          await instanceSees(instance, tid)
          expect(instance.snapshotTid, 'time goes back').toBeGreaterThanOrEqual(lastSnapshot)
          lastSnapshot = instance.snapshotTid
        }
        await instance.release()
      }),
    ),
  )
  expect(new Set(tids).size).toBe(tids.length)
  await Promise.all(clients.map((client) => client.close()))
  const instance = await given.storage.newInstance()
  await instance.pollInvalidations()
  const { value } = await readBoth(instance)
  expect(value, 'updates lost, or done twice').toBe(clientCount * 2 * rounds)
}

async function instanceSees(instance: StorageInstance, tid: Tid): Promise<void> {
  for (;;) {
    try {
      await instance.pollInvalidations()
      expect(instance.snapshotTid, 'a stale read').toBeGreaterThanOrEqual(tid)
      const { serial } = await readInTurn(instance)
      expect(serial, 'a stale read').toBeGreaterThanOrEqual(tid)
      return
    } catch (error) {
      if (!isTransient(error)) throw error
    } finally {
      await instance.afterCompletion()
    }
  }
}

describe('disconnect', () => {
  test('at every segment of a run of two clients, nothing is lost', async () => {
    const whole = await world('every', new Set(), [0.1, 2])
    await whole.timers.run(countTogether(whole, 2, 2))
    expect(whole.network.segments).toBeGreaterThan(50)
    for (let segment = 1; segment <= whole.network.segments; segment++) {
      const given = await world('every', new Set([segment]), [0.1, 2])
      await given.timers.run(countTogether(given, 2, 2)).catch((error: Error) => {
        throw new Error(`cut at segment ${segment}: ${error.message}`, { cause: error })
      })
      expect(given.network.cuts).toBeLessThanOrEqual(1)
    }
  })

  test('again and again at random, with eight instances, nothing is lost', async () => {
    for (let round = 0; round < 40; round++) {
      const seed = `random ${round}`
      const random = new Random(seed)
      const cuts = new Set(Array.from({ length: 15 }, () => 1 + random.integer(600)))
      const given = await world(seed, cuts, [0.01, random.float() < 0.5 ? 1 : 50])
      await given.timers.run(countTogether(given, 4, 3)).catch((error: Error) => {
        throw new Error(`seed "${seed}": ${error.message}`, { cause: error })
      })
    }
  })
})

test('without disconnects, delays alone change nothing', async () => {
  for (let round = 0; round < 20; round++) {
    const given = await world(`delays ${round}`, new Set(), [0, 20])
    await given.timers.run(countTogether(given, 4, 4))
  }
})

test('a commit takes one round trip, and so does a load', async () => {
  const given = await world('round trips', new Set(), [10, 10])
  await given.timers.run(
    (async () => {
      const client = await given.open()
      const instance = client.newInstance()
      await instance.pollInvalidations()
      const took = async (work: () => Promise<unknown>) => {
        const from = given.timers.now()
        await work()
        return Math.round(given.timers.now() - from)
      }
      const transaction = instance.begin()
      for (let id = 1; id <= 100; id++) transaction.store(id as Oid, noTid, encode(id))
      expect(await took(() => transaction.commit())).toBe(20)
      expect(await took(async () => instance.pollInvalidations())).toBe(20)
      client.cache!.clear()
      expect(await took(async () => instance.load(left))).toBe(20)
      expect(await took(async () => instance.load(left))).toBe(0)
      client.cache!.clear()
      expect(
        await took(async () => instance.loadMany(Array.from({ length: 100 }, (_, id) => (id + 1) as Oid))),
      ).toBe(20)
      instance.afterCompletion()
      await new Promise<void>((resolve) => given.timers.after(100, resolve))
      // Nobody else has written: the next snapshot is there already.
      expect(instance.pollInvalidations()).toEqual(new Set())
      await client.close()
    })(),
  )
})

test('a snapshot opened ahead is not used once something newer was committed', async () => {
  const given = await world('ahead', new Set(), [1, 1])
  const idle = () => new Promise<void>((resolve) => given.timers.after(20, resolve))
  await given.timers.run(
    (async () => {
      const [here, there] = [await given.open(), await given.open()]
      const [reader, neighbour, stranger] = [here.newInstance(), here.newInstance(), there.newInstance()]
      for (const writer of [neighbour, stranger, neighbour]) {
        // Twice without changes: the second time, the next snapshot is asked for ahead.
        for (let round = 0; round < 2; round++) {
          await reader.pollInvalidations()
          reader.afterCompletion()
          await idle()
        }
        const tid = await increment(writer, true)
        // What the neighbour commits is seen at once; what a stranger commits, when the notice has arrived.
        if (writer === stranger) await idle()
        const changed = await reader.pollInvalidations()
        expect(reader.snapshotTid).toBe(tid)
        expect(changed).toEqual(new Set([left, right]))
        expect((await readBoth(reader)).serial).toBe(tid)
        reader.afterCompletion()
        await idle()
      }
      await Promise.all([here.close(), there.close()])
    })(),
  )
})

test('a client that dies with a vote lets the others go on', async () => {
  const given = await world('dies', new Set(), [1, 1])
  await given.timers.run(
    (async () => {
      const [dying, living] = [await given.open(), await given.open()]
      const holder = dying.newInstance()
      await holder.pollInvalidations()
      const transaction = holder.begin()
      transaction.store(left, noTid, encode(9))
      await transaction.vote()
      const instance = living.newInstance()
      const counting = increment(instance, true)
      await new Promise<void>((resolve) => given.timers.after(50, resolve))
      dying.session.close()
      await counting
      await instance.pollInvalidations()
      expect((await readBoth(instance)).value).toBe(1)
      await living.close()
    })(),
  )
})

test('heartbeats keep a connection on which nothing happens', async () => {
  const given = await world('idle', new Set(), [1, 1])
  await given.timers.run(
    (async () => {
      const client = await given.open()
      const instance = client.newInstance()
      await instance.pollInvalidations()
      // Ten minutes with nothing to do: heartbeats keep the connection.
      await new Promise<void>((resolve) => given.timers.after(600_000, resolve))
      await instance.loadMany([left])
      expect(given.server.counts).toMatchObject({ connections: 1, dropped: 0 })
      await client.close()
    })(),
  )
})

test('a network that has gone silent is noticed at both ends, and the vote of the lost client ends', async () => {
  const given = await world('silent', new Set(), [1, 1])
  const pause = (ms: number) => new Promise<void>((resolve) => given.timers.after(ms, resolve))
  await given.timers.run(
    (async () => {
      const lost = await given.open()
      const [holder, reader] = [lost.newInstance(), lost.newInstance()]
      await holder.pollInvalidations()
      await reader.pollInvalidations()
      const transaction = holder.begin()
      transaction.store(left, noTid, encode(9))
      const voted = await transaction.vote()
      given.network.isSilent = true
      await expect(reader.loadMany([right])).rejects.toMatchObject({ code: 'disconnected' })
      await expect(voted.finish()).rejects.toMatchObject({ code: 'disconnected' })
      // The server has heard nothing for as long, give or take a heartbeat.
      await pause(60_000)
      expect(given.server.status()).toMatchObject({ clients: 0, views: 0, voted: 0 })
      given.network.isSilent = false
      const instance = (await given.open()).newInstance()
      await increment(instance, true)
      await instance.pollInvalidations()
      expect((await readBoth(instance)).value).toBe(1)
      // The lost client comes back by itself.
      await reader.pollInvalidations()
      expect((await readBoth(reader)).value).toBe(1)
    })(),
  )
})

/** Loads are evaluated at once and answered after a while, so that polls of other views overtake them. */
function answerLate(storage: Storage, timers: VirtualTimers, random: Random): void {
  const newInstance = storage.newInstance.bind(storage)
  storage.newInstance = async () => {
    const instance = await newInstance()
    const load = instance.load.bind(instance)
    instance.load = async (oid) => {
      const revision = await load(oid)
      await new Promise<void>((resolve) => timers.after(100 * random.float(), resolve))
      return revision
    }
    return instance
  }
}

test('an answer that comes late never brings a stale state', async () => {
  for (let round = 0; round < 40; round++) {
    const given = await world(`late ${round}`, new Set(), [0, 10])
    answerLate(given.storage, given.timers, given.random)
    const cache = newCache(round % 2 === 0)
    await given.timers.run(
      (async () => {
        const [here, there] = [await given.open(cache), await given.open()]
        const [writer, slow, quick] = [there.newInstance(), here.newInstance(), here.newInstance()]
        await increment(writer, true)
        await slow.pollInvalidations()
        const late = [slow.load(left), slow.load(right)]
        const tid = await increment(writer, true)
        await quick.pollInvalidations()
        expect(quick.snapshotTid).toBe(tid)
        const reading = Promise.all([quick.load(left), quick.load(right)])
        for (const { serial } of await Promise.all(late)) expect(serial).toBe(slow.snapshotTid)
        for (const { serial } of await reading) expect(serial).toBe(tid)
        // Also where what is known of changes has to be learnt anew, and only the states themselves say what they are.
        cache.index.forget()
        await instanceSees(quick, tid)
        cache.index.forget()
        expect((await readBoth(slow)).serial).toBe(slow.snapshotTid)
        expect(cache.entries).toBe(4)
        await Promise.all([here.close(), there.close()])
      })(),
    )
  }
})
