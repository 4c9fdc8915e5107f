/** Counters: they stand beside every time in the results, so they count what happened and nothing else. */

import { noTid, type Oid } from '../../core/ids.ts'
import type { Storage } from '../../storages/storage.ts'
import { counterNames, type StorageCounters } from '../../storages/storage.ts'
import { needsCache, topic } from '../behaviour.ts'
import { begun, holds, same } from '../claims.ts'

/** What `body` adds to the counters. */
async function added(storage: Storage, body: () => Promise<unknown>): Promise<StorageCounters> {
  const before = storage.counters()
  await body()
  const now = storage.counters()
  return Object.fromEntries(
    counterNames.map((name) => [name, now[name] - before[name]]),
  ) as unknown as StorageCounters
}

export const counters = topic('counters', (it) => {
  it('all of them are there, and are whole numbers', async (shop) => {
    const client = await shop.client()
    await client.createOne('a')
    const counted = client.storage.counters()
    for (const name of counterNames) {
      holds(
        Number.isSafeInteger(counted[name]) && counted[name] >= 0,
        `${name} (${counted[name]}) is a whole number`,
      )
    }
  })

  it('a reading does not change afterwards', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    const reading = client.storage.counters()
    const copy = { ...reading }
    await client.write(oid, 'b')
    await client.readNow(oid)
    same({ ...reading }, copy, 'the earlier reading')
  })

  it('they never go back', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('0')
    let last = client.storage.counters()
    for (let round = 0; round < 10; round++) {
      await client.write(oid, `${round}`)
      await client.readNow(oid)
      const now = client.storage.counters()
      for (const name of counterNames) holds(now[name] >= last[name], `${name} does not go back`)
      last = now
    }
  })

  it('a load counts one revision and its bytes', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('12345')
    await client.poll()
    const counted = await added(client.storage, () => client.load(oid))
    same([counted.loads, counted.loadedBytes], [1, 5], 'loads and loadedBytes')
  })

  it('loadMany counts every revision that it returns', async (shop) => {
    const client = await shop.client()
    const oids = await client.create('1', '22', '333')
    await client.poll()
    const counted = await added(client.storage, () => client.readMany([...oids, 5555 as Oid]))
    same([counted.loads, counted.loadedBytes], [3, 6], 'loads and loadedBytes')
  })

  it('an object that does not exist is not counted', async (shop) => {
    const client = await shop.client()
    await client.createOne('a')
    await client.poll()
    const counted = await added(client.storage, () => client.read(5555 as Oid))
    same(counted.loads, 0, 'loads')
  })

  it('no more loads come from the backend than there are', async (shop) => {
    const client = await shop.client()
    const oids = await client.create('a', 'b', 'c')
    await client.poll()
    const counted = await added(client.storage, async () => {
      for (let round = 0; round < 3; round++) await client.readMany(oids)
    })
    same(counted.loads, 9, 'loads')
    holds(counted.backendLoads <= 9, `backendLoads (${counted.backendLoads}) is at most 9`)
  })

  it('a commit counts its revisions and their bytes', async (shop) => {
    const client = await shop.client()
    const oids = await client.newOids(3)
    await client.poll()
    const counted = await added(client.storage, () =>
      client.commitHere(new Map(oids.map((oid, index) => [oid, 'x'.repeat(index + 1)]))),
    )
    same([counted.commits, counted.stores, counted.storedBytes], [1, 3, 6], 'commits, stores and storedBytes')
  })

  it('of two stores of one object, one is counted', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const counted = await added(client.storage, async () => {
      const transaction = await client.stage(new Map([[oid, 'first']]))
      await transaction.store(oid, noTid, new Uint8Array(2))
      await (await transaction.vote()).finish()
    })
    same([counted.commits, counted.stores, counted.storedBytes], [1, 1, 2], 'commits, stores and storedBytes')
  })

  it('an aborted transaction counts no commit and no store', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    await client.poll()
    const counted = await added(client.storage, async () =>
      (await client.vote(new Map([[oid, 'a']]))).abort(),
    )
    same([counted.commits, counted.stores, counted.storedBytes], [0, 0, 0], 'commits, stores and storedBytes')
  })

  it('a conflict counts no commit', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('a')
    await a!.poll()
    await b!.write(oid, 'b')
    const counted = await added(a!.storage, () => a!.commitHere(new Map([[oid, 'mine']])).catch(() => {}))
    same([counted.commits, counted.conflicts], [0, 1], 'commits and conflicts')
  })
})

export const cache = topic(
  'cache',
  (it) => {
    it('it stays below its limit', async (shop) => {
      const client = await shop.client()
      const storage = client.storage
      for (let round = 0; round < 20; round++) {
        const oids = await client.create(...Array.from({ length: 20 }, () => 'x'.repeat(20_000)))
        await client.poll()
        await client.readMany(oids)
        const { bytes, bytesLimit } = storage.cache!
        holds(bytes <= bytesLimit, `bytes (${bytes}) is at most the limit (${bytesLimit})`)
      }
    })

    it('clear empties it', async (shop) => {
      const client = await shop.client()
      const oid = await client.createOne('a')
      await client.readNow(oid)
      await client.storage.cache!.clear()
      same(client.storage.cache!.entries, 0, 'entries')
      same(await client.readNow(oid), 'a', 'the object')
    })

    it('what was read is not read from the backend again', async (shop) => {
      const [a, b] = await shop.clients(2)
      const oids = await a!.create('a', 'b', 'c')
      await a!.poll()
      await a!.readMany(oids)
      await b!.poll()
      const counted = await added(a!.storage, async () => {
        for (const oid of oids) await b!.load(oid)
      })
      same([counted.loads, counted.backendLoads], [3, 0], 'loads and backendLoads')
    })

    it('after clear the backend is asked', async (shop) => {
      const client = await shop.client()
      const oids = await client.create('a', 'b', 'c')
      await client.poll()
      await client.storage.cache!.clear()
      // In one call: between several, a storage may read ahead.
      const counted = await added(client.storage, () => client.readMany(oids))
      same([counted.loads, counted.backendLoads], [3, 3], 'loads and backendLoads')
    })

    it('it never gives an old state to a new snapshot', async (shop) => {
      const [reader, writer] = await shop.clients(2)
      const oid = await writer!.createOne('0')
      for (let round = 1; round <= 50; round++) {
        await reader!.readNow(oid)
        await writer!.write(oid, `${round}`)
        same(await reader!.readNow(oid), `${round}`, `the object in round ${round}`)
      }
    })

    it('it never gives a new state to an old snapshot', async (shop) => {
      const [reader, writer, third] = await shop.clients(3)
      const oid = await writer!.createOne('old')
      await reader!.poll()
      await writer!.write(oid, 'new')
      same(await third!.readNow(oid), 'new', 'the object for a new reader')
      same(await reader!.read(oid), 'old', 'the object for the old reader')
    })

    it('clearing it while others read is harmless', async (shop) => {
      const [reader, writer] = await shop.clients(2)
      const oids = await writer!.create('a', 'b', 'c', 'd')
      await reader!.poll()
      const reading = begun(async () => {
        for (let round = 0; round < 20; round++) {
          same(await reader!.readMany(oids), ['a', 'b', 'c', 'd'], 'the objects')
        }
      })
      for (let round = 0; round < 10; round++) {
        await writer!.storage.cache!.clear()
        await new Promise((resolve) => setImmediate(resolve))
      }
      await reading
    })
  },
  needsCache,
)
