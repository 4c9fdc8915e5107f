/** PostgreSQL with streaming replicas: what is read from them, and what happens when they fail. */

import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Client } from '../../src/conformance/client.ts'
import { checkStorage } from '../../src/conformance/index.ts'
import { parseOptions } from '../../src/core/options.ts'
import { Random } from '../../src/core/random.ts'
import { openStorage } from '../../src/storages/open.ts'
import postgres from '../../src/storages/sql/postgres/index.ts'
import type { Storage } from '../../src/storages/storage.ts'
import { freshRandom } from '../fresh-random.ts'
import { findDifference } from '../metamorphic/compare.ts'
import { generate } from '../metamorphic/operations.ts'
import { createAccounts, runClient } from '../storages/sql/race-model.ts'
import { Ledger } from './ledger.ts'
import { clientOf, OpenedStorages } from './opened-storages.ts'
import { type PgNode, PostgresCluster } from './postgres-servers.ts'
import { wanted } from './topics.ts'

const cluster = await PostgresCluster.start()
const replica = await cluster.addReplica()
const opened = new OpenedStorages(cluster)
let count = 0

function at(node: PgNode): string {
  return node.url
}

interface Opened {
  readonly storage: Storage
  readonly said: string[]
}

async function open(given: Readonly<Record<string, unknown>>): Promise<Opened> {
  const said: string[] = []
  const options = parseOptions('postgres', postgres.options, {
    url: at(cluster.primary),
    replicaPause: '100ms',
    ...given,
  })
  const storage = await openStorage(postgres, options, { log: (line) => said.push(line) })
  opened.add(storage)
  return { storage, said }
}

/** Commits of somebody who has nothing to do with the replica. */
async function elsewhere(given: Readonly<Record<string, unknown>> = {}): Promise<Client> {
  return clientOf((await open({ replicaUrl: '', ...given })).storage)
}

/** A fresh store with one object, which primary and replica have. */
async function freshStore(history = false) {
  const schema = `cluster_${count++}`
  const writer = await elsewhere({ schema, history })
  const oid = await writer.createOne('old')
  await cluster.untilCaughtUp(replica)
  return { schema, history, writer, oid }
}

/** What the replica is asked to do takes effect a moment later. */
async function pauseReplay(): Promise<void> {
  await replica.control.rows({ text: 'SELECT pg_wal_replay_pause()' })
  await expect
    .poll(async () => (await replica.control.rows({ text: 'SELECT pg_get_wal_replay_pause_state()' }))[0]![0])
    .toBe('paused')
}

async function resumeReplay(): Promise<void> {
  await replica.control.rows({ text: 'SELECT pg_wal_replay_resume()' })
}

describe('a replica', () => {
  afterEach(async () => {
    await resumeReplay()
    await cluster.untilCaughtUp(replica)
  })

  test('serves snapshots, which show what it has', async () => {
    const { schema, writer, oid } = await freshStore()
    const reader = await clientOf((await open({ schema, replicaUrl: at(replica) })).storage)
    await pauseReplay()
    await writer.write(oid, 'new')
    expect(await reader.readNow(oid)).toBe('old')
    await resumeReplay()
    await cluster.untilCaughtUp(replica)
    expect(await reader.readNow(oid)).toBe('new')
  })

  test('that is behind is not asked for what this storage has done', async () => {
    const { schema, oid } = await freshStore()
    const { storage } = await open({ schema, replicaUrl: at(replica) })
    const [a, b] = [await clientOf(storage), await clientOf(storage)]
    await pauseReplay()
    const tid = await a.write(oid, 'mine')
    expect(await b.readNow(oid)).toBe('mine')
    expect(await a.readNow(oid)).toBe('mine')
    expect(b.instance.snapshotTid).toBe(tid)
  })

  test('that is behind is not asked for what this storage has seen', async () => {
    const { schema, writer, oid } = await freshStore()
    const { storage } = await open({ schema, replicaUrl: at(replica) })
    const reader = await clientOf(storage)
    await pauseReplay()
    await writer.write(oid, 'new')
    // Whoever opens the store sees all of it.
    const late = await clientOf((await open({ schema, replicaUrl: at(replica) })).storage)
    expect(await late.readNow(oid)).toBe('new')
    expect(await reader.readNow(oid)).toBe('old')
    // Its own commit shows the other one to this storage too.
    const made = await reader.createOne('mine')
    expect(await reader.readNow(oid)).toBe('new')
    expect(await reader.readNow(made)).toBe('mine')
  })

  test.each([{ history: false }, { history: true }])(
    'does not show what was emptied or packed ($history)',
    async ({ history }) => {
      const { schema, writer, oid } = await freshStore(history)
      const { storage } = await open({ schema, history, replicaUrl: at(replica) })
      const reader = await clientOf(storage)
      expect(await reader.readNow(oid)).toBe('old')
      await pauseReplay()
      for (const client of [reader, writer]) await client.instance.afterCompletion()
      await storage.pack!({ before: storage.lastTid, references: () => [] })
      expect(await reader.readNow(oid)).toBe(undefined)
      const again = await reader.createOne('again')
      await reader.instance.afterCompletion()
      await storage.zap()
      expect(await reader.readNow(again)).toBe(undefined)
      expect(reader.instance.snapshotTid).toBe(0)
      await resumeReplay()
      await cluster.untilCaughtUp(replica)
      expect(await reader.readNow(again)).toBe(undefined)
      expect(await writer.readNow(again)).toBe(undefined)
    },
  )

  test('on which somebody emptied the store is believed when the primary says so too', async () => {
    const { schema, writer, oid } = await freshStore()
    const { storage, said } = await open({ schema, replicaUrl: at(replica) })
    const reader = await clientOf(storage)
    expect(await reader.readNow(oid)).toBe('old')
    // A snapshot of the replica would hold up what empties the tables there.
    for (const client of [reader, writer]) await client.instance.afterCompletion()
    await writer.storage.zap()
    await cluster.untilCaughtUp(replica)
    expect(await reader.readNow(oid)).toBe(undefined)
    await pauseReplay()
    const made = await writer.createOne('later')
    expect(await reader.readNow(made)).toBe(undefined)
    expect(said).toEqual([])
  })

  test('that ends a snapshot which stands in its way makes a transient error, and is asked again', async () => {
    const { schema, writer, oid } = await freshStore()
    const { storage, said } = await open({ schema, replicaUrl: at(replica), cacheBytesLimit: 0 })
    const reader = await clientOf(storage)
    await cluster.configure(replica, 'max_standby_streaming_delay', '100ms')
    expect(await reader.readNow(oid)).toBe('old')
    await writer.write(oid, 'new')
    await writer.instance.afterCompletion()
    const { control } = cluster.primary
    await expect
      .poll(async () => {
        const text = "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"
        return (await control.rows({ text })).length
      })
      .toBe(0)
    await control.rows({ text: `VACUUM ${schema}.object_state` })
    // A vacuum alone is not sent before something else is.
    await writer.createOne('more')
    await cluster.untilCaughtUp(replica)
    for (let time = 0; time < 2; time++) {
      await expect(reader.read(oid)).rejects.toMatchObject({ transient: true })
    }
    await cluster.configure(replica, 'max_standby_streaming_delay', undefined)
    expect(await reader.readNow(oid)).toBe('new')
    expect(said).toEqual([])
  })

  test('that cannot be reached is done without, and used again later', async () => {
    const { schema, writer, oid } = await freshStore()
    const { storage, said } = await open({ schema, replicaUrl: at(replica), cacheBytesLimit: 0 })
    const reader = await clientOf(storage)
    expect(await reader.readNow(oid)).toBe('old')
    const socket = join(replica.server.folder, '.s.PGSQL.5432')
    renameSync(socket, `${socket}.away`)
    try {
      await replica.control.rows({
        text: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'shootout' AND backend_type = 'client backend'",
      })
      await expect(reader.read(oid)).rejects.toMatchObject({ code: 'disconnected', transient: true })
      await writer.write(oid, 'new')
      expect(await reader.readNow(oid)).toBe('new')
      expect(said).toHaveLength(1)
      expect(said[0]).toMatch(/the replica .* is not used for now: .*/)
    } finally {
      renameSync(`${socket}.away`, socket)
    }
    await cluster.untilCaughtUp(replica)
    await expect
      .poll(async () => {
        await reader.readNow(oid)
        return said.at(-1)
      })
      .toMatch(/is used again/)
  })

  test('that stops answering is given up', async () => {
    const { schema, oid } = await freshStore()
    const { storage, said } = await open({ schema, replicaUrl: at(replica), replicaPause: '1h' })
    const reader = await clientOf(storage)
    await reader.poll()
    const [row] = await replica.control.rows({
      text: `SELECT pid::bigint FROM pg_stat_activity WHERE query LIKE '%store_state%' AND state = 'idle in transaction'`,
    })
    const pid = row![0] as number
    process.kill(pid, 'SIGSTOP')
    try {
      expect(await reader.readNow(oid)).toBe('old')
      expect(said).toHaveLength(1)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  })

  test('whose store is another one is not used', async () => {
    const { schema, history, oid } = await freshStore()
    await cluster.primary.control.rows({ text: 'CREATE DATABASE other' })
    const other = at(cluster.primary).replace('/postgres?', '/other?')
    const stranger = await elsewhere({ schema, history, url: other })
    await stranger.createOne('not ours')
    await cluster.untilCaughtUp(replica)
    const replicaUrl = at(replica).replace('/postgres?', '/other?')
    const { storage, said } = await open({ schema, replicaUrl, replicaPause: '1h' })
    const reader = await clientOf(storage)
    expect(await reader.readNow(oid)).toBe('old')
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(/the store there is not the one here/)
  })

  test('is no place to write to, and says so', async () => {
    const { schema, oid } = await freshStore()
    await expect(open({ schema, url: at(replica) })).rejects.toMatchObject({
      code: 'server-is-replica',
      message: expect.stringMatching(/schema cluster_\d+: the server is a replica/),
    })
    await expect(open({ schema: 'not_there', url: at(replica) })).rejects.toMatchObject({
      code: 'server-is-replica',
    })
    const options = parseOptions('postgres', postgres.options, { schema, url: at(replica) })
    const storage = await openStorage(postgres, options, { readOnly: true })
    opened.add(storage)
    expect(await (await clientOf(storage)).readNow(oid)).toBe('old')
  })
})

test('a server that is no replica of this one is refused', async () => {
  const stranger = await cluster.addStranger()
  await expect(open({ schema: 'refused', replicaUrl: at(stranger) })).rejects.toMatchObject({
    code: 'not-a-replica',
  })
  await cluster.kill(stranger)
})

test('of two replicas one may fail', async () => {
  const { schema, oid } = await freshStore()
  const nowhere = at(replica).replace('port=5432', 'port=1')
  const { storage, said } = await open({ schema, replicaUrl: `${nowhere},${at(replica)}` })
  const reader = await clientOf(storage)
  await pauseReplay()
  try {
    await (await elsewhere({ schema })).write(oid, 'new')
    expect(await reader.readNow(oid)).toBe('old')
    expect(said).toHaveLength(1)
  } finally {
    await resumeReplay()
  }
})

describe.each([{ history: false }, { history: true }])('with replicas and %o', ({ history }) => {
  test('clients never see a broken total or a stale cache, while the replica falls behind and catches up', async () => {
    const random = freshRandom()
    const schema = `cluster_${count++}`
    const storages: Storage[] = []
    for (let copy = 0; copy < 3; copy++) {
      storages.push((await open({ schema, history, replicaUrl: at(replica) })).storage)
    }
    const oids = await createAccounts(storages[0]!, 5)
    // What one process makes, the others read from the replica when it is there.
    await cluster.untilCaughtUp(replica)
    let isOver = false
    const stutter = (async () => {
      while (!isOver) {
        await pauseReplay()
        await resumeReplay()
      }
    })()
    try {
      const outcomes = await Promise.all(
        Array.from({ length: 9 }, (_, client) =>
          runClient(storages[client % 3]!, { oids, rounds: 60, random: random.split(client) }),
        ),
      )
      const commits = outcomes.reduce((sum, outcome) => sum + outcome.commits, 0)
      expect(commits).toBeGreaterThan(30)
    } finally {
      isOver = true
      await stutter
    }
  })

  test('histories end as on SQLite', async () => {
    const sqlite = (await import('../../src/storages/sql/sqlite/index.ts')).default
    const contenders = [
      { name: 'sqlite', module: sqlite, options: { history } },
      {
        name: 'replicated',
        module: postgres,
        options: { history, url: at(cluster.primary), replicaUrl: at(replica) },
      },
    ]
    const abilities = { deletion: true, history, undo: history, pack: true, reopen: true, iteration: history }
    for (let number = 0; number < 3; number++) {
      const seed = `replica/${history}/${number}`
      const lines = generate(new Random(seed), 250, abilities)
      const difference = await findDifference(contenders, lines)
      expect(difference, `seed ${seed}`).toBe(undefined)
    }
  })
})

// The suite wants every storage to see at once what any other committed, so a commit waits for the replica here.
describe('conformance', async () => {
  beforeAll(async () => {
    // Else the replica waits for its readers before it applies what would take their snapshots from them.
    await cluster.configure(replica, 'hot_standby_feedback', 'on')
    await cluster.configure(cluster.primary, 'synchronous_standby_names', '*')
    await cluster.configure(cluster.primary, 'synchronous_commit', 'remote_apply')
  })
  afterAll(async () => {
    await cluster.configure(replica, 'hot_standby_feedback', undefined)
    await cluster.configure(cluster.primary, 'synchronous_standby_names', undefined)
    await cluster.configure(cluster.primary, 'synchronous_commit', undefined)
  })
  const options = { history: true, url: at(cluster.primary), replicaUrl: at(replica), lockTimeout: '5s' }
  await checkStorage({ module: postgres, options, ...wanted }, { test, after: afterAll, skip: test.skip })
})

// The last: these replicas are gone afterwards.
describe('losing a replica', () => {
  test('in the middle of commits loses nothing', async () => {
    const dying = await cluster.addReplica()
    const random = freshRandom()
    const schema = `cluster_${count++}`
    const first = (await open({ schema, history: true, replicaUrl: at(dying) })).storage
    const ledger = await Ledger.make(first)
    await cluster.untilCaughtUp(dying)
    const second = (await open({ schema, history: true, replicaUrl: at(dying) })).storage
    const clients = [first, first, second, second].map((storage, client) =>
      ledger.play(storage, `client ${client}`, 60, random.split(client)),
    )
    await expect.poll(() => ledger.commits).toBeGreaterThan(20)
    await cluster.kill(dying)
    const before = ledger.commits
    await Promise.all(clients)
    expect(ledger.commits).toBeGreaterThan(before)
    await ledger.check(first)
  })

  test('to its promotion ends its use', async () => {
    const rising = await cluster.addReplica()
    const { schema, writer, oid } = await freshStore()
    await cluster.untilCaughtUp(rising)
    const { storage, said } = await open({ schema, replicaUrl: at(rising), replicaPause: '1h' })
    const reader = await clientOf(storage)
    expect(await reader.readNow(oid)).toBe('old')
    await rising.control.rows({ text: 'SELECT pg_promote()' })
    await writer.write(oid, 'new')
    expect(await reader.readNow(oid)).toBe('new')
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(/it is no replica any more/)
    await cluster.kill(rising)
  })
})
