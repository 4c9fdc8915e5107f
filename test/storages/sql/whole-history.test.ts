/**
 * What SQL stores with history say of it: since when it is whole. Undo relies on it, and so does a server that was
 * restarted, when it tells its clients what they have missed.
 */

import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import type { Reader } from '../../../src/storages/sql/adapter.ts'
import mysql from '../../../src/storages/sql/mysql/index.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import { undoChanges } from '../../../src/storages/sql/undo.ts'
import type { Storage } from '../../../src/storages/storage.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import { bytes, oid, Served, text, write } from '../zeo/harness.ts'
import { asModule } from './cache-model.ts'
import { startTestServer } from './servers.ts'

const history = { history: true, durability: 'os' }
const modules = [sqlite, postgres, mysql].map(asModule)
const databases = await Promise.all(
  modules.map(async (module) => ({ module, server: await startTestServer(module, history) })),
)

afterAll(async () => {
  for (const { server } of databases) await server?.stop()
})

const objects = Array.from({ length: 20 }, (_, index) => oid(index + 1))
let stores = 0

test('a pack that begins while a transaction is being undone is noticed', async () => {
  const [id, tid] = [oid(1), 2_000_000 as Tid]
  const written = { serial: tid, data: bytes('new'), nextSerial: undefined }
  let isPacked = false
  const reader: Partial<Reader> = {
    changedBy: () => [id],
    loadBefore(_oid, before) {
      if (before > tid) return written
      isPacked = true
      return undefined
    },
    packed: () => (isPacked ? tid : noTid),
    blobs: { find: () => undefined, between: () => [], chunk: () => undefined },
  }
  const undoing = undoChanges(reader as Reader, tid, new Map(), undefined)
  await expect(undoing).rejects.toMatchObject({ code: 'undo' })
})

describe.each(databases)('$module.name', ({ module, server }) => {
  describe.skipIf(server === undefined)('with history', () => {
    const opened: Storage[] = []
    let storage: Storage

    beforeEach(async () => {
      storage = await open()
    })
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close()
    })

    /** A fresh store. @param firstUs where its tids begin */
    async function open(firstUs = 1_000_000): Promise<Storage> {
      let us = firstUs
      const context = openContext({ clock: { ...openContext({}).clock, wallUs: () => (us += 1000) } })
      const { options } = await server!.provision.newStore(`whole_${stores++}`)
      const made = await openStorage(module, { ...options, ...history }, context)
      opened.push(made)
      return made
    }

    async function change(own: Storage, ids: readonly number[], content: string): Promise<void> {
      const instance = await own.newInstance()
      for (const id of ids) await write(instance, oid(id), content)
      await instance.release()
    }

    async function remove(own: Storage, id: Oid): Promise<void> {
      const instance = await own.newInstance()
      await instance.pollInvalidations()
      const transaction = instance.begin()
      await transaction.delete!(id, (await instance.load(id)).serial)
      await (await transaction.vote()).finish()
      await instance.release()
    }

    /** A pack of which the first step is done, and which then is killed, as far as the store can tell. */
    async function packPartly(own: Storage): Promise<void> {
      const { signal } = new AbortController()
      let asked = 0
      signal.throwIfAborted = () => {
        if (++asked > 2) throw new Error('stopped')
      }
      await expect(own.pack!({ before: own.lastTid, signal })).rejects.toThrow('stopped')
    }

    /** So many that a pack takes several steps, written twice: the first step takes revisions of the first objects. */
    async function fillForSteps(): Promise<Tid> {
      const instance = await storage.newInstance()
      let tid = noTid
      for (let round = 0; round < 2; round++) {
        await instance.pollInvalidations()
        const ids = Array.from({ length: 600 }, (_, index) => oid(index + 1))
        const current = await instance.loadMany(ids)
        const transaction = instance.begin()
        for (const [index, id] of ids.entries())
          await transaction.store(id, current[index]?.serial ?? noTid, bytes(`round ${round}`))
        tid = await (await transaction.vote()).finish()
      }
      await instance.release()
      return tid
    }

    test('the history is whole until it is packed, and since then from there', async () => {
      await change(storage, [1, 2], 'x')
      expect(await storage.wholeSince!()).toBe(noTid)
      const before = storage.lastTid
      await change(storage, [1], 'y')
      await storage.pack!({ before })
      expect(await storage.wholeSince!()).toBe(before)
      await storage.zap()
      expect(await storage.wholeSince!()).toBe(noTid)
    })

    test('a pack that is stopped leaves no history that looks whole', async () => {
      const tid = await fillForSteps()
      await packPartly(storage)
      expect(await storage.wholeSince!()).toBe(tid)
    })

    test('what a stopped pack may have taken from a transaction is not undone into nothing', async () => {
      const tid = await fillForSteps()
      await packPartly(storage)
      const instance = await storage.newInstance()
      await instance.pollInvalidations()
      const transaction = instance.begin()
      await expect(transaction.undo!(tid)).rejects.toMatchObject({ code: 'undo' })
      await transaction.abort()
      expect(text((await instance.load(oid(1))).data)).toBe('round 1')
      await instance.release()
    })

    describe('behind a server that is restarted', () => {
      let served: Served
      beforeEach(async () => {
        served = await Served.start({ storage, capabilities: module.capabilities(history) })
      })
      afterEach(() => served.stop())

      async function restart(meanwhile: (own: Storage) => unknown = () => {}): Promise<void> {
        await served.stopServer()
        await meanwhile(served.storage)
        await served.listen()
      }

      async function client() {
        const one = await served.client({ cache: new ClientCache(shareClientCache(1024 ** 2)) })
        const instance = one.newInstance()
        for (const id of objects) await write(instance, id, `${id}`)
        await instance.pollInvalidations()
        return { client: one, instance }
      }

      type Client = Awaited<ReturnType<typeof client>>

      /** What the open snapshot shows, and how much of it came from the server. */
      async function seen({ client: one, instance }: Client) {
        const { backendLoads } = one.counters()
        const found: Record<number, string | undefined> = {}
        for (const id of objects) {
          const [revision] = await instance.loadMany([id])
          found[id] = revision && text(revision.data)
        }
        return { found, loads: one.counters().backendLoads - backendLoads }
      }

      const unchanged = Object.fromEntries(objects.map((id) => [id, `${id}`]))

      test('a client keeps its cache, and is told what it has missed', async () => {
        const one = await client()
        await restart((own) => change(own, [7, 60, 7], 'changed meanwhile'))
        expect(await one.instance.pollInvalidations()).toEqual(new Set([oid(7), oid(60)]))
        expect(await seen(one)).toEqual({ found: { ...unchanged, 7: 'changed meanwhile' }, loads: 1 })
      })

      test('a client keeps its cache where the history was packed up to before it left', async () => {
        await change(storage, [90, 90], 'older')
        const before = storage.lastTid
        const one = await client()
        await restart(async (own) => {
          await own.pack!({ before })
          await remove(own, oid(9))
        })
        expect(await one.instance.pollInvalidations()).toEqual(new Set([oid(9)]))
        expect(await seen(one)).toEqual({ found: { ...unchanged, 9: undefined }, loads: 0 })
      })

      test('a deletion that was packed away is not missed', async () => {
        const one = await client()
        await restart(async (own) => {
          await remove(own, oid(9))
          await own.pack!({ before: own.lastTid })
        })
        expect(await one.instance.pollInvalidations()).toBe('all')
        expect((await seen(one)).found).toEqual({ ...unchanged, 9: undefined })
      })

      test('a deletion that was taken by a pack that did not end is not missed', async () => {
        const one = await client()
        await restart(async (own) => {
          await change(
            own,
            Array.from({ length: 600 }, (_, index) => index + 100),
            'many',
          )
          await remove(own, oid(9))
          await packPartly(own)
        })
        expect(await one.instance.pollInvalidations()).toBe('all')
        expect((await seen(one)).found).toEqual({ ...unchanged, 9: undefined })
      })

      test('another store in its place is recognised, though it has transactions of the very same tids', async () => {
        const one = await client()
        await restart(async () => {
          served.storage = await open()
          await change(served.storage, [...objects, 60], 'of the other')
        })
        expect(await one.instance.pollInvalidations()).toBe('all')
        expect(new Set(Object.values((await seen(one)).found))).toEqual(new Set(['of the other']))
      })

      test('a copy that went its own way is recognised', async () => {
        const one = await client()
        const copy = await open(10_000_000)
        for await (const transaction of storage.iterate!()) await copy.restore!(transaction)
        await change(storage, [3], 'of the original')
        await one.instance.pollInvalidations()
        await restart(async () => {
          await change(copy, [3, 4], 'of the copy')
          served.storage = copy
        })
        expect(await one.instance.pollInvalidations()).toBe('all')
        expect((await seen(one)).found).toEqual({ ...unchanged, 3: 'of the copy', 4: 'of the copy' })
      })
    })
  })
})
