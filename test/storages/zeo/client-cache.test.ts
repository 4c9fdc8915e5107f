/** The cache of a client: what it saves, and that it is never believed more than is proven. */

import { afterEach, describe, expect, test } from 'vitest'
import type { Oid } from '../../../src/core/ids.ts'
import type { Storage, StorageInstance } from '../../../src/storages/storage.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import { bytes, oid, read, Served, text, write } from './harness.ts'

let served: Served
afterEach(() => served.stop())

const newCache = (updateStates = false) => new ClientCache(shareClientCache(256 * 1024), { updateStates })

/** What `work` made the client ask. */
async function asked(storage: Storage, work: () => Promise<unknown>) {
  const before = storage.counters()
  await work()
  const after = storage.counters()
  return {
    loads: after.loads - before.loads,
    backendLoads: after.backendLoads - before.backendLoads,
    roundTrips: after.roundTrips - before.roundTrips,
  }
}

async function load(instance: StorageInstance, ...oids: readonly Oid[]): Promise<string[]> {
  const found: string[] = []
  for (const one of oids) found.push(text((await instance.load(one)).data))
  return found
}

describe('saving', () => {
  test('what was read or committed through the storage is not asked for again', async () => {
    served = await Served.start()
    const client = await served.client({ cache: newCache() })
    const [one, two] = [client.newInstance(), client.newInstance()]
    await write(one, oid(1), 'a')
    await write(one, oid(2), 'b')
    await two.pollInvalidations()
    expect(await asked(client, () => load(two, oid(1), oid(2)))).toEqual({
      loads: 2,
      backendLoads: 0,
      roundTrips: 0,
    })
    client.cache!.clear()
    expect(await asked(client, () => load(two, oid(1), oid(2)))).toMatchObject({ backendLoads: 2 })
    expect(await asked(client, () => load(two, oid(2), oid(1)))).toMatchObject({ backendLoads: 0 })
  })

  test('a commit of somebody else invalidates what it changed, and nothing else', async () => {
    served = await Served.start()
    const client = await served.client({ cache: newCache() })
    const other = (await served.client()).newInstance()
    const instance = client.newInstance()
    await write(instance, oid(1), 'mine')
    await write(instance, oid(2), 'mine too')
    await instance.pollInvalidations()
    await write(other, oid(1), 'theirs')
    await write(other, oid(3), 'new')
    // By an instance that has never polled, too: it asks for what is new to the storage.
    const fresh = client.newInstance()
    await fresh.pollInvalidations()
    expect(await asked(client, () => load(fresh, oid(2)))).toMatchObject({ backendLoads: 0 })
    expect(await load(fresh, oid(1), oid(2), oid(3))).toEqual(['theirs', 'mine too', 'new'])
    // The snapshot of before still shows what it showed.
    expect(await load(instance, oid(1), oid(2))).toEqual(['mine', 'mine too'])
  })

  test('objects wanted by several at the same time are asked for once', async () => {
    served = await Served.start()
    await write((await served.client()).newInstance(), oid(1), 'a')
    const client = await served.client({ cache: newCache() })
    const instances = Array.from({ length: 5 }, () => client.newInstance())
    for (const instance of instances) await instance.pollInvalidations()
    const counted = await asked(client, () =>
      Promise.all(instances.map((instance) => load(instance, oid(1)))),
    )
    expect(counted).toEqual({ loads: 5, backendLoads: 1, roundTrips: 1 })
  })

  test('with updateStates, what somebody else changed is there with the notice', async () => {
    served = await Served.start()
    const other = (await served.client()).newInstance()
    for (const updateStates of [false, true]) {
      const client = await served.client({ cache: newCache(updateStates) })
      const instance = client.newInstance()
      await write(other, oid(1), `old ${updateStates}`)
      expect(await read(instance, oid(1))).toBe(`old ${updateStates}`)
      await write(other, oid(1), `new ${updateStates}`)
      await instance.pollInvalidations()
      const counted = await asked(client, async () => {
        expect(await load(instance, oid(1))).toEqual([`new ${updateStates}`])
      })
      expect(counted.backendLoads).toBe(updateStates ? 0 : 1)
    }
  })
})

describe('doubt', () => {
  test('after a reconnection to the same run, what was known is still known', async () => {
    served = await Served.start()
    const client = await served.client({ cache: newCache() })
    const instance = client.newInstance()
    const other = (await served.client()).newInstance()
    await write(instance, oid(1), 'a')
    await write(instance, oid(2), 'b')
    await instance.pollInvalidations()
    served.cut()
    await write(other, oid(1), 'changed meanwhile')
    expect(await instance.pollInvalidations()).toEqual(new Set([oid(1)]))
    expect(await asked(client, () => load(instance, oid(2)))).toMatchObject({ backendLoads: 0 })
    expect(await load(instance, oid(1))).toEqual(['changed meanwhile'])
  })

  test('another run of the server may serve anything: nothing of before is believed', async () => {
    served = await Served.start()
    const cache = newCache()
    const client = await served.client({ cache })
    const instance = client.newInstance()
    await write(instance, oid(1), 'a')
    await write(instance, oid(2), 'b')
    await instance.pollInvalidations()
    await served.stopServer()
    // Behind the back of everybody, without a new tid.
    const own = await served.storage.newInstance()
    await write(own, oid(2), 'changed meanwhile')
    await served.listen()
    await instance.pollInvalidations()
    expect(await load(instance, oid(1), oid(2))).toEqual(['a', 'changed meanwhile'])
  })

  test('a cache that was left by a storage of another run is not used', async () => {
    served = await Served.start()
    const cache = shareClientCache(256 * 1024)
    const first = await served.client({ cache: new ClientCache(cache) })
    await write(first.newInstance(), oid(1), 'a')
    await read(first.newInstance(), oid(1))
    await first.close()
    const second = await served.client({ cache: new ClientCache(cache) })
    expect(second.cache!.entries).toBeGreaterThan(0)
    await second.close()
    await served.stopServer()
    await served.listen()
    const third = await served.client({ cache: new ClientCache(cache) })
    expect(third.cache!.entries).toBe(0)
    expect(await read(third.newInstance(), oid(1))).toBe('a')
  })

  test('what others write around the server is not missed', async () => {
    served = await Served.start()
    const client = await served.client({ cache: newCache() })
    const instance = client.newInstance()
    const around = await served.storage.newInstance()
    for (let round = 0; round < 20; round++) {
      await write(round % 2 === 0 ? around : instance, oid(1), `${round}`)
      if (round % 3 === 0) await write(around, oid(1), `${round} again`)
      expect(await read(instance, oid(1))).toBe(round % 3 === 0 ? `${round} again` : `${round}`)
    }
  })

  test('emptying the store empties the cache of every client', async () => {
    served = await Served.start()
    const [one, two] = [
      await served.client({ cache: newCache() }),
      await served.client({ cache: newCache() }),
    ]
    const [here, there] = [one.newInstance(), two.newInstance()]
    await write(here, oid(1), 'old')
    expect(await read(there, oid(1))).toBe('old')
    here.afterCompletion()
    there.afterCompletion()
    await one.zap()
    expect(one.cache!.entries).toBe(0)
    expect(await read(there, oid(1))).toBe(undefined)
    await write(here, oid(1), 'new')
    expect(await read(there, oid(1))).toBe('new')
    expect(bytes('new')).toEqual((await there.load(oid(1))).data)
  })
})
