/** What every client-server database must do that the conformance suite cannot know: races, locks, round trips. */

import { describe, expect, test } from 'vitest'
import { isTransient } from '../../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import type { OptionsOf, OptionsSpec } from '../../../src/core/options.ts'
import { openStorage } from '../../../src/storages/open.ts'
import type {
  OpenContext,
  Provision,
  Storage,
  StorageInstance,
  StorageModule,
  VotedTransaction,
} from '../../../src/storages/storage.ts'
import { Ledger } from '../../cluster/ledger.ts'
import { freshRandom } from '../../fresh-random.ts'
import { polled, testCache } from './cache-model.ts'
import { createAccounts, runClient, toBytes, toText } from './race-model.ts'
import type { ServerControl } from './server-control.ts'
import type { TestServer } from './servers.ts'

type Options = OptionsOf<OptionsSpec>

/** Stores on a test's private server, and the storages that were opened on them. */
export class TestStores<Session> {
  readonly module: StorageModule
  /** The option that names a store of the server. */
  readonly place: 'schema' | 'database'
  /** Set when the server is up. */
  control!: ServerControl<Session>
  url = ''
  readonly #server: TestServer<OptionsSpec>
  readonly #connect: (url: string) => Promise<ServerControl<Session>>
  readonly #storages: Storage[] = []
  #count = 0

  constructor(
    module: StorageModule,
    server: TestServer<OptionsSpec>,
    place: 'schema' | 'database',
    connect: (url: string) => Promise<ServerControl<Session>>,
  ) {
    this.module = module
    this.#server = server
    this.place = place
    this.#connect = connect
  }

  async start(): Promise<void> {
    const { options } = await this.#server.provision.newStore('control')
    this.url = String(options['url'])
    this.control = await this.#connect(this.url)
  }

  async stop(): Promise<void> {
    for (const storage of this.#storages) await storage.close()
    await this.control.close()
    await this.#server.stop()
  }

  /** Of a fresh store. */
  async newOptions(given: Readonly<Record<string, unknown>> = {}): Promise<Options> {
    const { options } = await this.#server.provision.newStore(`test_${this.#count++}`)
    return this.#server.options({ ...given, url: this.url, [this.place]: options[this.place] })
  }

  /** As a run does it that is given the server by its url. */
  async provision(): Promise<Provision<OptionsSpec>> {
    const context = { folder: '/nowhere', log: () => {} }
    const provision = await this.module.provision!(this.#server.options({ url: this.url }), context)
    if (!provision.available) throw new Error(provision.reason)
    return provision
  }

  async openAt(options: Options, context: Partial<OpenContext> = {}): Promise<Storage> {
    const storage = await openStorage(this.module, options, context)
    this.#storages.push(storage)
    return storage
  }

  /** A transaction that changes an account, in a store where every commit waits until `release` is called. */
  async heldCommit() {
    const options = await this.newOptions()
    const storage = await this.openAt(options)
    const [oid] = (await createAccounts(storage, 1)) as [Oid]
    const instance = await polled(storage)
    const transaction = instance.begin()
    await transaction.store(oid, instance.snapshotTid, toBytes('a'))
    const release = await this.control.holdCommits(String(options[this.place]))
    return { instance, oid, transaction, release }
  }

  /** Storages of one fresh store. */
  async open(copies: number, given: Readonly<Record<string, unknown>> = {}): Promise<readonly Storage[]> {
    const options = await this.newOptions(given)
    const opened: Storage[] = []
    while (opened.length < copies) opened.push(await this.openAt(options))
    return opened
  }
}

export async function voteOn(
  instance: StorageInstance,
  oid: Oid,
  serial: Tid,
  text: string,
): Promise<VotedTransaction> {
  const transaction = instance.begin()
  await transaction.store(oid, serial, toBytes(text))
  return await transaction.vote()
}

export function testServerStorage(stores: TestStores<unknown>): void {
  describe.each([{ history: false }, { history: true }])('with %o', ({ history }) => {
    test.each([1, 3])('clients of %i storages never see a broken total or a stale cache', async (copies) => {
      const random = freshRandom()
      const opened = await stores.open(copies, { history })
      const oids = await createAccounts(opened[0]!, 5)
      const outcomes = await Promise.all(
        Array.from({ length: 9 }, (_, client) =>
          runClient(opened[client % copies]!, { oids, rounds: 60, random: random.split(client) }),
        ),
      )
      const commits = outcomes.reduce((sum, outcome) => sum + outcome.commits, 0)
      expect(commits).toBeGreaterThan(30)
    })

    describe('the cache', () => {
      testCache(stores.module, (given) => stores.newOptions({ ...given, history }))
    })

    test('commits of different objects are voted at the same time', async () => {
      const [storage] = await stores.open(1, { history })
      const [one, two] = await createAccounts(storage!, 2)
      const a = await polled(storage!)
      const b = await polled(storage!)
      const serial = a.snapshotTid
      const first = await voteOn(a, one!, serial, 'a')
      const second = await voteOn(b, two!, serial, 'b')
      await second.finish()
      await first.finish()
      await a.pollInvalidations()
      expect(toText((await a.load(one!)).data) + toText((await a.load(two!)).data)).toBe('ab')
    })

    test('new objects of different instances are voted at the same time', async () => {
      const [storage] = await stores.open(1, { history })
      const a = await polled(storage!)
      const b = await polled(storage!)
      const [one] = await a.newOids(1)
      const [two] = await b.newOids(1)
      const first = await voteOn(a, one!, noTid, 'a')
      const second = await voteOn(b, two!, noTid, 'b')
      await second.finish()
      await first.finish()
    })

    test('a deleted object is made anew between changed and new ones', async () => {
      const [storage] = await stores.open(1, { history })
      const [first, gone] = await createAccounts(storage!, 2)
      const instance = await polled(storage!)
      const deletion = instance.begin()
      await deletion.delete!(gone!, instance.snapshotTid)
      await (await deletion.vote()).finish()
      await instance.pollInvalidations()
      const [fresh] = await instance.newOids(1)
      const transaction = instance.begin()
      await transaction.store(first!, (await instance.load(first!)).serial, toBytes('changed'))
      await transaction.store(gone!, noTid, toBytes('anew'))
      await transaction.store(fresh!, noTid, toBytes('new'))
      const tid = await (await transaction.vote()).finish()
      await storage!.cache!.clear()
      await instance.pollInvalidations()
      const revisions = await instance.loadMany([first!, gone!, fresh!])
      expect(revisions.map((revision) => [toText(revision!.data), revision!.serial])).toEqual([
        ['changed', tid],
        ['anew', tid],
        ['new', tid],
      ])
    })

    test('of two that make the same new object, the second waits and conflicts', async () => {
      const [storage, other] = await stores.open(2, { history })
      const a = await polled(storage!)
      const b = await polled(other!)
      const first = await voteOn(a, 0 as Oid, noTid, 'a')
      let hasAnswered = false
      const outcome = voteOn(b, 0 as Oid, noTid, 'b').then(
        () => 'voted',
        (error: { readonly code: string }) => error.code,
      )
      void outcome.then(() => {
        hasAnswered = true
      })
      await expect.poll(() => stores.control.waitingVotes()).toHaveLength(1)
      expect(hasAnswered).toBe(false)
      await first.finish()
      expect(await outcome).toBe('conflict')
    })

    test('reading what another is about to change is refused without waiting', async () => {
      const [storage] = await stores.open(1, { history })
      const [one, two] = await createAccounts(storage!, 2)
      const a = await polled(storage!)
      const b = await polled(storage!)
      const first = await voteOn(a, one!, a.snapshotTid, 'a')
      const transaction = b.begin()
      await transaction.store(two!, b.snapshotTid, toBytes('b'))
      await transaction.readCurrent(one!, b.snapshotTid)
      await expect(async () => transaction.vote()).rejects.toMatchObject({
        code: 'read-conflict',
        details: { oid: one },
      })
      await transaction.abort()
      await first.finish()
    })

    test('crossing votes and commits never deadlock', async () => {
      const random = freshRandom()
      const opened = await stores.open(2, { history })
      const oids = await createAccounts(opened[0]!, 8)
      const failures: unknown[] = []
      await Promise.all(
        Array.from({ length: 10 }, async (_, client) => {
          const instance = await opened[client % 2]!.newInstance()
          const own = random.split(client)
          for (let round = 0; round < 30; round++) {
            await instance.pollInvalidations()
            const chosen = own.shuffled(oids).slice(0, 5)
            const revisions = await instance.loadMany(chosen)
            const transaction = instance.begin()
            try {
              for (const [index, oid] of chosen.entries()) {
                const { serial } = revisions[index]!
                if (index < 3) await transaction.store(oid, serial, toBytes(`${round}`))
                else await transaction.readCurrent(oid, serial)
              }
              if (own.float() < 0.5) await transaction.commit!()
              else await (await transaction.vote()).finish()
            } catch (error) {
              await transaction.abort()
              if (!isTransient(error) || (error as { code: string }).code === 'deadlock') failures.push(error)
            }
          }
        }),
      )
      expect(failures).toEqual([])
    })

    test.each([
      [1, 'commit', 1],
      [20, 'commit', 1],
      [300, 'commit', 1],
      [1, 'vote and finish', 2],
      [300, 'vote and finish', 2],
    ])('%i objects by %s are %i round trips', async (objects, way, trips) => {
      const [storage] = await stores.open(1, { history })
      const instance = await polled(storage!)
      const commit = async (): Promise<number> => {
        await instance.pollInvalidations()
        const oids = await instance.newOids(objects)
        const before = storage!.counters().roundTrips
        const transaction = instance.begin()
        for (const oid of oids) await transaction.store(oid, noTid, toBytes('x'))
        if (way === 'commit') await transaction.commit!()
        else await (await transaction.vote()).finish()
        return storage!.counters().roundTrips - before
      }
      expect(await commit()).toBe(trips)
      expect(await commit()).toBe(trips)
    })

    test('many may open a fresh store at once', async () => {
      const options = await stores.newOptions({ history })
      const opened = await Promise.all(Array.from({ length: 6 }, () => stores.openAt(options)))
      const [oid] = await createAccounts(opened[0]!, 1)
      const instance = await polled(opened[5]!)
      expect(toText((await instance.load(oid!)).data)).toBe('1000')
    })

    test('a commit of many and of large objects is one transaction', async () => {
      const [storage] = await stores.open(1, { history })
      const writer = await polled(storage!)
      const reader = await polled(storage!)
      const oids = await writer.newOids(2503)
      const transaction = writer.begin()
      for (const oid of oids.slice(0, 2500)) await transaction.store(oid, noTid, toBytes(`object ${oid}`))
      for (const oid of oids.slice(2500)) await transaction.store(oid, noTid, new Uint8Array(12e6).fill(oid))
      await transaction.readCurrent(0 as Oid, noTid)
      const tid = await (await transaction.vote()).finish()
      const changed = await reader.pollInvalidations()
      expect(changed).toEqual(new Set(oids))
      const revisions = await reader.loadMany(oids)
      expect(new Set(revisions.map((revision) => revision?.serial))).toEqual(new Set([tid]))
      expect(toText(revisions[2499]!.data)).toBe(`object ${oids[2499]}`)
      const last = revisions[2502]!.data
      expect([last.length, last[0], last.at(-1)]).toEqual([12e6, oids[2502]! % 256, oids[2502]! % 256])
      expect(await reader.loadMany([0 as Oid])).toEqual([undefined])
    })

    test('loads of one tick are one round trip', async () => {
      const [storage] = await stores.open(1, { history })
      const oids = await createAccounts(storage!, 30)
      await storage!.cache!.clear()
      const instance = await polled(storage!)
      const before = storage!.counters().roundTrips
      const revisions = await Promise.all(oids.map((oid) => instance.load(oid)))
      expect(storage!.counters().roundTrips - before).toBe(1)
      expect(revisions.map(({ data }) => toText(data))).toEqual(oids.map(() => '1000'))
    })

    test('a session that was lost while idle is replaced unnoticed', async () => {
      const [storage] = await stores.open(1, { history })
      const [oid] = await createAccounts(storage!, 1)
      const instance = await polled(storage!)
      await instance.afterCompletion()
      const idle = await stores.control.idle()
      expect(idle).not.toEqual([])
      await stores.control.end(idle)
      await instance.pollInvalidations()
      expect(toText((await instance.load(oid!)).data)).toBe('1000')
    })
  })

  test('a connection lost in the vote is a transient error, and nothing is committed', async () => {
    const [storage, other] = await stores.open(2)
    const [oid] = await createAccounts(storage!, 1)
    const a = await polled(storage!)
    const b = await polled(other!)
    const serial = a.snapshotTid
    const holder = await voteOn(b, oid!, serial, 'b')
    const outcome = expect(voteOn(a, oid!, serial, 'a')).rejects.toMatchObject({
      code: 'disconnected',
      transient: true,
    })
    await expect.poll(() => stores.control.waitingVotes()).toHaveLength(1)
    await stores.control.end(await stores.control.waitingVotes())
    await outcome
    await holder.finish()
    await b.pollInvalidations()
    expect(toText((await b.load(oid!)).data)).toBe('b')
  })

  test('a connection lost in a commit is not transient: nobody can know', async () => {
    const { instance, oid, transaction, release } = await stores.heldCommit()
    const outcome = expect(transaction.commit!()).rejects.toMatchObject({
      code: 'commit-unknown',
      transient: false,
    })
    await expect.poll(() => stores.control.waitingCommits()).toHaveLength(1)
    await stores.control.end(await stores.control.waitingCommits())
    await outcome
    await release()
    await transaction.abort()
    await instance.pollInvalidations()
    expect(toText((await instance.load(oid)).data)).toBe('1000')
    const again = instance.begin()
    await again.store(oid, instance.snapshotTid, toBytes('b'))
    await again.commit!()
  })

  test('an abort waits for a commit that waits for others to commit, and does not undo it', async () => {
    const { instance, oid, transaction, release } = await stores.heldCommit()
    const committing = transaction.commit!()
    await expect.poll(() => stores.control.waitingCommits()).toHaveLength(1)
    const aborted = transaction.abort()
    await release()
    await aborted
    const { tid } = await committing
    await instance.pollInvalidations()
    expect(await instance.load(oid)).toEqual({ data: toBytes('a'), serial: tid })
  })

  test('whoever commits beside others is told of their objects, and never of its own or of all', async () => {
    const [storage] = await stores.open(1)
    const oids = (await createAccounts(storage!, 5)) as Oid[]
    const others = (oid: Oid) => new Set(oids.filter((one) => one !== oid))
    await Promise.all(
      oids.map(async (oid) => {
        const instance = await polled(storage!)
        let { serial } = await instance.load(oid)
        for (let round = 0; round < 60; round++) {
          const transaction = instance.begin()
          await transaction.store(oid, serial, toBytes(String(round)))
          serial = (await transaction.commit!()).tid
          await instance.afterCompletion()
          const told = await instance.pollInvalidations()
          expect(told === 'all' ? told : [...told].filter((one) => !others(oid).has(one))).toEqual([])
        }
        await instance.release()
      }),
    )
  })

  test('sessions are ended at any moment: what was acknowledged is there, once, and nothing else', async () => {
    const random = freshRandom()
    const options = await stores.newOptions({ history: true })
    const storage = await stores.openAt(options)
    const ledger = await Ledger.make(storage)
    let isPlaying = true
    const ending = (async () => {
      const own = random.split('ending')
      while (isPlaying) {
        await new Promise((resolve) => setTimeout(resolve, own.integer(20)))
        await stores.control.end((await stores.control.committing()).slice(0, 1))
      }
    })()
    const clients = Array.from({ length: 5 }, (_, index) =>
      ledger.play(storage, `client ${index}`, 40, random.split('client', index)),
    )
    await Promise.all(clients).finally(() => {
      isPlaying = false
    })
    await ending
    expect(ledger.commits).toBeGreaterThan(10)
    await ledger.check(await stores.openAt(options))
  })

  test('by url, runs remove their own stores, and those of runs that died', async () => {
    const { control, place } = stores
    const alive = await stores.provision()
    const dead = await stores.provision()
    const kept = await alive.newStore('kept')
    const orphan = await dead.newStore('orphan')
    const [keptName, orphanName] = [kept.options[place], orphan.options[place]]
    expect(await control.stores()).toEqual(expect.arrayContaining([keptName, orphanName]))
    // Its sessions end, its store stays: as when it dies.
    await dead.dispose()
    const next = await stores.provision()
    expect(await control.stores()).not.toContain(orphanName)
    expect(await control.stores()).toContain(keptName)
    await kept.dispose()
    expect(await control.stores()).not.toContain(keptName)
    await next.dispose()
    await alive.dispose()
  })
}
