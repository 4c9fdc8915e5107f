/** SQL stores shared by real threads and processes, some of which are killed. */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, test } from 'vitest'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import type { OptionsOf, OptionsSpec } from '../../src/core/options.ts'
import { openStorage } from '../../src/storages/open.ts'
import mysql from '../../src/storages/sql/mysql/index.ts'
import postgres from '../../src/storages/sql/postgres/index.ts'
import sqlite from '../../src/storages/sql/sqlite/index.ts'
import type { ProvisionedStore, Storage, StorageModule } from '../../src/storages/storage.ts'
import { startTestServer } from '../storages/sql/servers.ts'
import { dist, kill, messageOf } from './processes.ts'

const worker = fileURLToPath(new URL('./fixtures/sql-worker.js', import.meta.url))
const initial = 1000

interface Outcome {
  readonly tids: readonly Tid[]
  readonly conflicts: number
}

interface Input {
  readonly options: unknown
  readonly oids: readonly Oid[]
  readonly commits?: number
}

const modules = { sqlite, postgres, mysql }
const names = Object.keys(modules) as (keyof typeof modules)[]
/** One for both histories. */
const servers = new Map(
  await Promise.all(
    names.map(async (name) => {
      const module = modules[name] as unknown as StorageModule
      return [name, { module, server: await startTestServer(module, { durability: 'os' }) }] as const
    }),
  ),
)

afterAll(() => Promise.all([...servers.values()].map(({ server }) => server?.stop())))

const cases = names.flatMap((name) => [
  { name, history: false },
  { name, history: true },
])

describe.each(cases)('$name, history $history', ({ name, history }) => {
  const { module, server } = servers.get(name)!
  let count = 0
  let clients = 0

  function shared(claim: string, body: (accounts: Accounts) => Promise<void>): void {
    test(claim, async (context) => {
      // On a machine without the database. Where SHOOTOUT_REQUIRE names it, as in CI, starting it has failed before.
      if (server === undefined) return context.skip(`there is no server for ${name}`)
      const store = await server.provision.newStore(`sharing_${history}_${count++}`)
      const accounts = await Accounts.open(module, { ...store, options: { ...store.options, history } })
      try {
        await body(accounts)
      } finally {
        await accounts.close()
      }
    })
  }

  const input = ({ store, oids }: Accounts, commits?: number): Input & Record<string, unknown> => ({
    seed: `${name}/${history}/${clients++}`,
    options: store.options,
    oids,
    module: new URL(`storages/sql/${name}/index.js`, dist).href,
    library: new URL('storages/index.js', dist).href,
    random: new URL('core/random.js', dist).href,
    ...(commits === undefined ? {} : { commits }),
  })

  function check(outcomes: readonly Outcome[], commits: number): void {
    const tids = outcomes.flatMap((outcome) => outcome.tids)
    expect(tids.length).toBe(commits)
    expect(new Set(tids).size).toBe(commits)
    for (const outcome of outcomes) expect(outcome.tids).toEqual(outcome.tids.toSorted((a, b) => a - b))
  }

  shared('threads lose no update', async (accounts) => {
    const outcomes = await Promise.all(Array.from({ length: 3 }, () => inThread(input(accounts, 40))))
    check(outcomes, 120)
    expect(await accounts.total()).toBe(accounts.oids.length * initial)
  })

  shared('processes lose no update', async (accounts) => {
    const outcomes = await Promise.all(Array.from({ length: 3 }, () => inProcess(input(accounts, 40))))
    check(outcomes, 120)
    expect(await accounts.total()).toBe(accounts.oids.length * initial)
  })

  shared('processes that are killed leave neither half a transaction nor a lock', async (accounts) => {
    for (let round = 0; round < 4; round++) {
      const children = [startProcess(input(accounts)), startProcess(input(accounts))]
      await Promise.all(children.map((child) => messages(child, 5 + round)))
      await Promise.all(children.map((child) => kill(child)))
      expect(await accounts.total()).toBe(accounts.oids.length * initial)
      await accounts.touch()
    }
  })
})

/** Accounts in a fresh store, opened here too. */
class Accounts {
  readonly storage: Storage
  readonly store: ProvisionedStore<OptionsSpec>
  readonly oids: readonly Oid[]

  static async open(module: StorageModule, store: ProvisionedStore<OptionsSpec>): Promise<Accounts> {
    const storage = await openStorage(module, store.options as OptionsOf<OptionsSpec>)
    const instance = await storage.newInstance()
    await instance.pollInvalidations()
    const oids = await instance.newOids(5)
    const transaction = instance.begin()
    for (const oid of oids) await transaction.store(oid, noTid, new TextEncoder().encode(String(initial)))
    await (await transaction.vote()).finish()
    await instance.release()
    return new Accounts(storage, store, oids)
  }

  constructor(storage: Storage, store: ProvisionedStore<OptionsSpec>, oids: readonly Oid[]) {
    this.storage = storage
    this.store = store
    this.oids = oids
  }

  async total(): Promise<number> {
    const instance = await this.storage.newInstance()
    await instance.pollInvalidations()
    const revisions = await instance.loadMany(this.oids)
    await instance.release()
    return revisions.reduce((sum, revision) => sum + Number(new TextDecoder().decode(revision!.data)), 0)
  }

  /** Commits every object as it is: fails, or waits for long, where a lock was left. */
  async touch(): Promise<void> {
    const instance = await this.storage.newInstance()
    await instance.pollInvalidations()
    const transaction = instance.begin()
    for (const oid of this.oids) {
      const { data, serial } = await instance.load(oid)
      await transaction.store(oid, serial, data)
    }
    await (await transaction.vote()).finish()
    await instance.release()
  }

  async close(): Promise<void> {
    await this.storage.close()
    await this.store.dispose()
  }
}

function inThread(input: Input): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(worker, { workerData: input })
    thread.once('message', resolve)
    thread.once('error', reject)
  })
}

function startProcess(input: Input): ChildProcess {
  return fork(worker, [JSON.stringify(input)])
}

async function inProcess(input: Input): Promise<Outcome> {
  return messageOf(startProcess(input))
}

async function messages(child: ChildProcess, wanted: number): Promise<void> {
  for (let seen = 0; seen < wanted; seen++) await messageOf(child)
}
