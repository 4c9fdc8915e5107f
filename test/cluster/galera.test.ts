/** MariaDB Galera: several nodes, each written to by clients of its own, are one store. */

import { afterAll, describe, expect, test } from 'vitest'
import { type Client, voteOrAbort } from '../../src/conformance/client.ts'
import { checkStorage } from '../../src/conformance/index.ts'
import { bankModel, pairModel, phaseModel, race } from '../../src/conformance/race-models.ts'
import { noTid, type Oid } from '../../src/core/ids.ts'
import { parseOptions } from '../../src/core/options.ts'
import { Random } from '../../src/core/random.ts'
import { openStorage } from '../../src/storages/open.ts'
import { linkBlobs } from '../../src/storages/sql/mysql/blobs.ts'
import { loadDriver } from '../../src/storages/sql/mysql/driver.ts'
import mysql from '../../src/storages/sql/mysql/index.ts'
import { openControl } from '../../src/storages/sql/mysql/provision.ts'
import { defineStorage, type Storage } from '../../src/storages/storage.ts'
import { freshRandom } from '../fresh-random.ts'
import { findDifference } from '../metamorphic/compare.ts'
import { generate } from '../metamorphic/operations.ts'
import { createAccounts, runClient, toBytes } from '../storages/sql/race-model.ts'
import { GaleraCluster, type GaleraNode } from './galera-servers.ts'
import { Ledger } from './ledger.ts'
import { clientOf, OpenedStorages } from './opened-storages.ts'
import { wanted } from './topics.ts'

const cluster = await GaleraCluster.start(3)
const opened = new OpenedStorages(cluster)
let count = 0

function freshDatabase(): string {
  return `cluster_${count++}`
}

async function open(node: GaleraNode, given: Readonly<Record<string, unknown>>): Promise<Storage> {
  const options = parseOptions('mysql', mysql.options, { url: node.url, lockTimeout: '10s', ...given })
  const storage = await openStorage(mysql, options)
  opened.add(storage)
  return storage
}

/** One store, opened through each node. */
async function openAll(given: Readonly<Record<string, unknown>> = {}): Promise<readonly Storage[]> {
  const database = freshDatabase()
  return Promise.all(cluster.nodes.map((node) => open(node, { database, ...given })))
}

/** A client of the same store through each node. */
async function clients(given: Readonly<Record<string, unknown>> = {}): Promise<readonly Client[]> {
  return Promise.all((await openAll(given)).map(clientOf))
}

/** The storage, each opening of which goes to the next node. */
const taken = { openings: 0 }
const rotating = defineStorage({
  ...mysql,
  provision: (given, context) => mysql.provision!({ ...given, url: cluster.nodes[0]!.url }, context),
  open: (given, context, shared) =>
    mysql.open(
      { ...given, url: cluster.nodes[taken.openings++ % cluster.nodes.length]!.url },
      context,
      shared,
    ),
})

describe.each([{ history: false }, { history: true }])('nodes with %o', ({ history }) => {
  test('clients of all nodes never see a broken total or a stale cache', async () => {
    const random = freshRandom()
    const storages = await openAll({ history })
    const oids = await createAccounts(storages[0]!, 5)
    const outcomes = await Promise.all(
      Array.from({ length: 9 }, (_, client) =>
        runClient(storages[client % 3]!, { oids, rounds: 40, random: random.split(client) }),
      ),
    )
    const commits = outcomes.reduce((sum, outcome) => sum + outcome.commits, 0)
    expect(commits).toBeGreaterThan(20)
  })

  test.each([pairModel, phaseModel, bankModel])('keep $name', async (model) => {
    const random = freshRandom()
    const storages = await openAll({ history })
    const writers = await Promise.all(storages.map(clientOf))
    const verifiers = await Promise.all(storages.map(clientOf))
    await race(model, random, { writers, verifiers, attempts: 12, rounds: 12, splitsCommit: true })
  })

  test('of two that change one object, the second is told of a conflict when it finishes', async () => {
    const [a, b, c] = (await clients({ history })) as [Client, Client, Client]
    const [one, other] = (await a.create('1', '1')) as [Oid, Oid]
    await Promise.all([a.poll(), b.poll()])
    const first = await a.vote(
      new Map([
        [one, 'a'],
        [other, 'a'],
      ]),
    )
    const second = await b.vote(
      new Map([
        [one, 'b'],
        [other, 'b'],
      ]),
    )
    const tid = await first.finish()
    await expect(async () => second.finish()).rejects.toMatchObject({
      code: 'conflict',
      transient: true,
      details: { oid: one, current: tid },
    })
    await second.abort()
    for (const client of [a, b, c])
      expect([await client.readNow(one), await client.readNow(other)]).toEqual(['a', 'a'])
  })

  test('commits of different objects all get through, each under a tid of its own', async () => {
    const all = await clients({ history })
    const oids = await all[0]!.create('', '', '')
    const told = await Promise.all(
      all.map(async (client, index) => {
        const tids: number[] = []
        for (let round = 0; round < 20; round++) tids.push(await client.write(oids[index]!, String(round)))
        return tids
      }),
    )
    for (const tids of told) expect(tids).toEqual(tids.toSorted((a, b) => a - b))
    expect(new Set(told.flat()).size).toBe(60)
    for (const client of all) {
      await client.poll()
      expect(await client.readMany(oids)).toEqual(['19', '19', '19'])
      expect(client.instance.snapshotTid).toBe(Math.max(...told.flat()))
    }
  })

  test('of two that rely on what the other changes, one is refused', async () => {
    const [a, b] = (await clients({ history })) as [Client, Client]
    const [x, y] = (await a.create('x', 'y')) as [Oid, Oid]
    await Promise.all([a.poll(), b.poll()])
    const voted = await Promise.all(
      (
        [
          [a, x, y],
          [b, y, x],
        ] as const
      ).map(async ([client, written, read]) => {
        const { serial } = await client.load(read)
        const transaction = await client.stage(new Map([[written, 'changed']]))
        await transaction.readCurrent(read, serial)
        return voteOrAbort(transaction)
      }),
    )
    const outcomes = await Promise.allSettled(voted.map(async (one) => one.finish()))
    await Promise.all(voted.map((one) => one.abort()))
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const failed = outcomes.find((one) => one.status === 'rejected') as PromiseRejectedResult
    expect(failed.reason).toMatchObject({ code: 'read-conflict', transient: true })
  })

  test('a new object of one id is made once', async () => {
    const [a, b] = (await clients({ history })) as [Client, Client]
    await Promise.all([a.poll(), b.poll()])
    const root = 0 as Oid
    const voted = [await a.vote(new Map([[root, 'a']])), await b.vote(new Map([[root, 'b']]))]
    const outcomes = await Promise.allSettled(voted.map(async (one) => one.finish()))
    await Promise.all(voted.map((one) => one.abort()))
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const winner = outcomes[0]!.status === 'fulfilled' ? 'a' : 'b'
    for (const client of [a, b]) expect(await client.readNow(root)).toBe(winner)
  })

  test('who has voted to make an object is told that another node has made it meanwhile', async () => {
    const [a, b] = (await clients({ history })) as [Client, Client]
    const oid = (await a.newOids(1))[0]!
    await Promise.all([a.poll(), b.poll()])
    const voted = await b.vote(new Map([[oid, 'b']]))
    const tid = await a.write(oid, 'a')
    const onlooker = (await clients({ history }))[1]!
    // Node b has applied it, so nothing is left to collide with in the cluster.
    await onlooker.poll()
    await expect(async () => voted.finish()).rejects.toMatchObject({
      code: 'conflict',
      details: { oid, current: tid },
    })
    await voted.abort()
    for (const client of [a, b]) expect(await client.readNow(oid)).toBe('a')
  })

  test('a commit is seen by the next snapshot of every other node', async () => {
    const [a, b, c] = (await clients({ history })) as [Client, Client, Client]
    const oid = await a.createOne('0')
    for (let round = 1; round <= 30; round++) {
      const tid = await a.write(oid, String(round))
      const texts = await Promise.all([b.readNow(oid), c.readNow(oid)])
      expect([...texts, b.instance.snapshotTid]).toEqual([String(round), String(round), tid])
    }
  })

  test('object ids are given out once', async () => {
    const storages = await openAll({ history })
    const lists = await Promise.all(
      storages
        .flatMap((storage) => [storage, storage])
        .map(async (storage) => (await clientOf(storage)).newOids(1500)),
    )
    expect(new Set(lists.flat()).size).toBe(9000)
  })

  test('packing through one node goes on beside commits through the others', async () => {
    const storages = await openAll({ history })
    const [a, b, packer] = (await Promise.all(storages.map(clientOf))) as [Client, Client, Client]
    const oids = await a.create(...Array.from({ length: 8 }, () => '0'))
    const orphans = await a.create(...Array.from({ length: 8 }, () => 'orphan'))
    const references = () => []
    await packer.poll()
    const root = new Map([[0 as Oid, oids.join()]])
    await packer.commitHere(root)
    const referring = (data: Uint8Array) =>
      new TextDecoder().decode(data).includes(',') ? oids : references()
    let isPacked = false
    const writing = [a, b].map(async (client, index) => {
      for (let round = 0; !isPacked || round < 10; round++) {
        await client.write(oids[4 * index + (round % 4)]!, String(round))
      }
    })
    const { removedObjects } = await packer.storage.pack!({
      before: packer.storage.lastTid,
      references: referring,
    })
    isPacked = true
    await Promise.all(writing)
    expect(removedObjects).toBe(8)
    const database = `cluster_${count - 1}`
    for (const node of cluster.nodes) {
      // Through a cache that knows nothing of before.
      const client = await clientOf(await open(node, { database, history }))
      await client.poll()
      expect((await client.readMany(oids)).every((text) => text !== undefined)).toBe(true)
      expect(await client.readMany(orphans)).toEqual(orphans.map(() => undefined))
    }
  })

  test('histories end as on SQLite', async () => {
    const sqlite = (await import('../../src/storages/sql/sqlite/index.ts')).default
    const abilities = { deletion: true, history, undo: history, pack: true, reopen: true, iteration: history }
    const contenders = [
      { name: 'sqlite', module: sqlite, options: { history } },
      { name: 'galera', module: rotating, options: { history, url: cluster.nodes[0]!.url } },
    ]
    for (let number = 0; number < 3; number++) {
      const seed = `galera/${history}/${number}`
      const lines = generate(new Random(seed), 250, abilities)
      expect(await findDifference(contenders, lines), `seed ${seed}`).toBe(undefined)
    }
  })
})

describe('conformance, each storage through another node', async () => {
  const options = { history: true, url: cluster.nodes[0]!.url, lockTimeout: '5s' }
  await checkStorage({ module: rotating, options, ...wanted }, { test, after: afterAll, skip: test.skip })
})

test('a blob that is taken over cannot be swept on another node meanwhile', async () => {
  const [a, b] = await openAll({ history: true })
  const client = await clientOf(a!)
  const oid = await client.newOid()
  await client.poll()
  const transaction = client.begin()
  await transaction.storeBlob!(oid, noTid, toBytes('x'), [new Uint8Array(10)])
  const tid = await (await transaction.vote()).finish()
  await (await clientOf(b!)).poll()
  const database = `cluster_${count - 1}`
  const sessions = await Promise.all(
    cluster.nodes.slice(0, 2).map(async ({ url }) => openControl(await loadDriver(), url, 'test')),
  )
  try {
    for (const session of sessions) await session.query(`USE ${database}`)
    const [taking, sweeping] = sessions
    const [link] = await taking!.query('SELECT blob_id, bytes, chunk_bytes FROM object_blob')
    const { blob_id: id, bytes, chunk_bytes: chunkBytes } = link as Readonly<Record<string, number>>
    const blob = { id: id!, bytes: bytes!, chunkBytes: chunkBytes!, isNew: false }
    await taking!.query('START TRANSACTION')
    await linkBlobs(taking!, (tid + 1) as typeof tid, [{ oid, data: null, blob }])
    await sweeping!.query(`DELETE FROM object_blob WHERE tid = ${tid}`)
    await expect(taking!.query('COMMIT')).rejects.toMatchObject({ code: 'deadlock', transient: true })
    expect(await taking!.query('SELECT oid FROM object_blob')).toEqual([])
  } finally {
    for (const session of sessions) await session.close()
  }
})

test('a run through one node leaves alone what a run through another one uses', async () => {
  const context = { folder: '/nowhere', log: () => {} }
  const [here, there] = cluster.nodes.map(({ url }) => parseOptions('mysql', mysql.options, { url }))
  const alive = await mysql.provision!(here!, context)
  if (!alive.available) throw new Error('not available')
  const store = await alive.newStore('alive')
  const dead = await mysql.provision!(here!, context)
  if (!dead.available) throw new Error('not available')
  const orphan = await dead.newStore('orphan')
  // Its sessions end, its database stays: as when it dies.
  await dead.dispose()
  const databases = async () =>
    (await cluster.nodes[1]!.control.query('SHOW DATABASES')).map(({ Database }) => Database)
  const other = await mysql.provision!(there!, context)
  if (!other.available) throw new Error('not available')
  expect(await databases()).toEqual(expect.arrayContaining([store.options.database, orphan.options.database]))
  expect(other.facts).toMatchObject({ wsrep_cluster_size: '3' })
  const next = await mysql.provision!(here!, context)
  if (!next.available) throw new Error('not available')
  await expect.poll(databases).not.toContain(orphan.options.database)
  expect(await databases()).toContain(store.options.database)
  await store.dispose()
  for (const one of [next, other, alive]) await one.dispose()
})

// The last: nodes are gone afterwards.
describe('losing a node', () => {
  test('in the middle of commits loses nothing, and a new one gets all of it', async () => {
    const random = freshRandom()
    const storages = await openAll({ history: true })
    const database = `cluster_${count - 1}`
    const ledger = await Ledger.make(storages[0]!)
    const playing = storages.flatMap((storage, node) =>
      [0, 1].map((client) => ledger.play(storage, `${node}/${client}`, 60, random.split(node, client))),
    )
    await expect.poll(() => ledger.commits, { timeout: 30_000 }).toBeGreaterThan(20)
    await cluster.kill(cluster.nodes[2]!)
    const before = ledger.commits
    await Promise.all(playing)
    expect(ledger.commits).toBeGreaterThan(before)
    const late = await cluster.add()
    await cluster.untilSize(3)
    for (const node of cluster.nodes) await ledger.check(await open(node, { database, history: true }))
    await ledger.play(await open(late, { database, history: true }), 'late', 5, random.split('late'))
    await ledger.check(storages[1]!)
  })

  test('a node that is left alone takes nothing, and says so', async () => {
    const [node] = cluster.nodes as [GaleraNode]
    const client = await clientOf(await open(node, { database: freshDatabase() }))
    const oid = await client.createOne('before')
    await client.poll()
    const transaction = await client.stage(new Map([[oid, 'after']]))
    for (const other of cluster.nodes.slice(1)) await cluster.kill(other)
    await expect
      .poll(async () => (await node.control.query("SHOW GLOBAL STATUS LIKE 'wsrep_ready'"))[0]!['Value'], {
        timeout: 60_000,
      })
      .toBe('OFF')
    await expect(async () => transaction.vote()).rejects.toMatchObject({
      code: 'node-not-ready',
      transient: true,
    })
    await transaction.abort()
    await expect(client.poll()).rejects.toMatchObject({ code: 'node-not-ready', transient: true })
  })
})
