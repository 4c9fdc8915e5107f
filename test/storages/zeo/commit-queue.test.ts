/** Whose turn it is to vote: by itself against a model, and between clients, over a simulated network too. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { noTid, type Oid } from '../../../src/core/ids.ts'
import { parseOptions } from '../../../src/core/options.ts'
import { Random } from '../../../src/core/random.ts'
import file from '../../../src/storages/file/index.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import type { VotedTransaction } from '../../../src/storages/storage.ts'
import { type ClientStorage, openClient } from '../../../src/storages/zeo/client-storage.ts'
import { CommitQueue } from '../../../src/storages/zeo/commit-queue.ts'
import { bytes, eventually, oid, Served } from './harness.ts'
import { wirePair } from './test-wire.ts'

const wanted = (writes: readonly number[], reads: readonly number[] = []) => ({
  writes: new Set(writes as Oid[]),
  reads: new Set(reads as Oid[]),
})

describe('the queue', () => {
  test('who comes first is first, and nobody overtakes', async () => {
    const queue = new CommitQueue()
    const order: string[] = []
    const enter = (name: string, writes: readonly number[], reads: readonly number[] = []) => {
      const { turn, leave } = queue.enter(wanted(writes, reads))
      if (turn === undefined) order.push(name)
      else void turn.then(() => order.push(name))
      return leave
    }
    const settled = () => new Promise((resolve) => setImmediate(resolve))
    const a = enter('a', [1])
    const all = enter('all', [1, 2, 3])
    // It would find its object free, but so would the next, and the next, and `all` never its three.
    const b = enter('b', [2])
    const other = enter('other', [9])
    const reader = enter('reader', [], [3])
    const secondReader = enter('second reader', [], [3])
    expect(queue.waiting).toBe(4)
    a()
    await settled()
    all()
    await settled()
    expect(order).toEqual(['a', 'other', 'all', 'b', 'reader', 'second reader'])
    for (const leave of [b, other, reader, secondReader]) leave()
    expect(queue.waiting).toBe(0)
  })

  test('who gives up lets the others on, and hears that its turn has come', async () => {
    const queue = new CommitQueue()
    const first = queue.enter(wanted([1]))
    const second = queue.enter(wanted([1, 2]))
    const third = queue.enter(wanted([2]))
    second.leave()
    second.leave()
    await second.turn
    await third.turn
    expect(queue.waiting).toBe(0)
    first.leave()
    expect(queue.enter(wanted([1])).turn).toBe(undefined)
  })

  test.each([1, 2, 3, 4, 5])(
    'however they come and go (seed %i), it does what the rule says',
    async (seed) => {
      const random = new Random(`commit queue ${seed}`)
      const queue = new CommitQueue()
      interface One {
        readonly number: number
        readonly wants: ReturnType<typeof wanted>
        isGranted: boolean
        leave(): void
      }
      let present: One[] = []
      const some = () => Array.from({ length: random.integer(4) }, () => random.integer(12))
      const meets = (a: One, b: One) =>
        [...a.wants.writes].some((id) => b.wants.writes.has(id) || b.wants.reads.has(id)) ||
        [...a.wants.reads].some((id) => b.wants.writes.has(id))
      for (let number = 0; number < 600; number++) {
        const isComing = random.integer(2) === 0 || present.length === 0
        if (isComing) {
          const wants = wanted(some(), some())
          const { turn, leave } = queue.enter(wants)
          const one: One = { number, wants, leave, isGranted: turn === undefined }
          void turn?.then(() => {
            one.isGranted = true
          })
          present.push(one)
        } else {
          const [gone] = present.splice(random.integer(present.length), 1)
          gone!.leave()
        }
        await new Promise((resolve) => setImmediate(resolve))
        // Granted: exactly those that meet nobody who came before them.
        for (const one of present) {
          const isFree = !present.some((earlier) => earlier.number < one.number && meets(earlier, one))
          expect(one.isGranted, `seed ${seed}, step ${number}, entry ${one.number}`).toBe(isFree)
        }
        expect(queue.waiting).toBe(present.filter(({ isGranted }) => !isGranted).length)
      }
      for (const one of present) one.leave()
      present = []
      expect(queue.waiting).toBe(0)
    },
  )
})

describe('clients', () => {
  let served: Served
  let folder: string | undefined
  afterEach(async () => {
    await served.stop()
    if (folder !== undefined) rmSync(folder, { recursive: true })
    folder = undefined
  })

  /** Serves a file, which lets votes for different objects stand side by side. */
  async function start(): Promise<void> {
    folder = mkdtempSync(join(tmpdir(), 'shootout-queue-'))
    const options = parseOptions('file', file.options, { path: join(folder, 'data.log'), durability: 'os' })
    served = await Served.start({
      storage: await openStorage(file, options),
      capabilities: file.capabilities(options),
    })
  }

  interface Voter {
    readonly name: string
    readonly client: ClientStorage
    readonly voting: Promise<VotedTransaction | undefined>
  }

  /** A client of its own that votes for new objects. It is in the queue, or through, when this resolves. */
  async function voter(
    name: string,
    ids: readonly number[],
    order: string[],
    client?: ClientStorage,
  ): Promise<Voter> {
    const own = client ?? (await served.client())
    const instance = own.newInstance()
    await instance.pollInvalidations()
    const transaction = instance.begin()
    for (const id of ids) transaction.store(oid(id), noTid, bytes(name))
    const voting = transaction.vote().then(
      (voted) => {
        order.push(name)
        return voted
      },
      () => {
        order.push(`${name} refused`)
        return undefined
      },
    )
    // An answer to something that was sent behind it: the vote has arrived.
    const arrived = own.newInstance()
    await arrived.pollInvalidations()
    await arrived.release()
    return { name, client: own, voting }
  }

  /** Aborts: then the next one finds the objects as it expects them. */
  const giveUp = async ({ voting }: Voter) => (await voting)?.abort()

  test('wait in order of arrival, one that needs many objects too, and only where they meet', async () => {
    await start()
    const order: string[] = []
    const a = await voter('a', [1], order)
    const b = await voter('b', [2], order)
    const all = await voter('all', [1, 2, 3, 4], order)
    const late = await voter('late', [3], order)
    const apart = await voter('apart', [5], order)
    await eventually(() => order.length === 3, 'those that meet nobody have voted')
    expect(order).toEqual(['a', 'b', 'apart'])
    expect(served.server.status()).toMatchObject({ voted: 3, waiting: 2 })
    await giveUp(a)
    await giveUp(b)
    await all.voting
    // It asked for an object that nobody held when it came, and has waited all the same.
    expect(order).toEqual(['a', 'b', 'apart', 'all'])
    await giveUp(all)
    await late.voting
    await giveUp(late)
    await giveUp(apart)
    await eventually(() => served.server.status().voted === 0, 'all have gone')
  })

  test('one that waits and disconnects leaves the queue, and its transaction never was', async () => {
    await start()
    const order: string[] = []
    const a = await voter('a', [1], order)
    const gone = await voter('gone', [1, 2], order)
    const c = await voter('c', [2], order)
    expect(served.server.status().waiting).toBe(2)
    await gone.client.close()
    await c.voting
    // What `gone` held up goes on, though `a` still holds what `gone` waited for.
    expect(order.filter((name) => name !== 'gone refused')).toEqual(['a', 'c'])
    expect(served.server.status().waiting).toBe(0)
    await giveUp(a)
    await giveUp(c)
  })

  test('one that waits and aborts lets the others on', async () => {
    await start()
    const order: string[] = []
    const a = await voter('a', [1], order)
    const instance = (await served.client()).newInstance()
    await instance.pollInvalidations()
    const transaction = instance.begin()
    transaction.store(oid(1), noTid, bytes('x'))
    transaction.store(oid(2), noTid, bytes('x'))
    const voting = transaction.vote()
    await eventually(() => served.server.status().waiting === 1, 'it waits')
    const c = await voter('c', [2], order)
    transaction.abort()
    await expect(voting).rejects.toMatchObject({ code: 'transaction-state', transient: false })
    await c.voting
    expect(order).toEqual(['a', 'c'])
    await giveUp(a)
    await giveUp(c)
  })

  test.each([1, 7, 64])(
    'over a network that cuts everything into pieces of %i bytes, the same',
    async (piece) => {
      await start()
      const clients: ClientStorage[] = []
      const open = async () => {
        const client = await openClient(
          {
            servers: [
              {
                address: 'simulated',
                dial: async () => {
                  const [here, there] = wirePair(piece)
                  served.server.accept(there)
                  return here
                },
              },
            ],
          },
          openContext({}),
        )
        clients.push(client)
        return client
      }
      const order: string[] = []
      const voters: Voter[] = []
      const names = ['a', 'b', 'c', 'd', 'e', 'f']
      for (const name of names) voters.push(await voter(name, [1, 2], order, await open()))
      expect(served.server.status()).toMatchObject({ voted: 1, waiting: 5 })
      for (const one of voters) await giveUp(one)
      expect(order).toEqual(names)
      for (const client of clients) await client.close()
    },
  )

  test('many that add to the same objects all get their turn, and nothing is lost', async () => {
    await start()
    const instances = await Promise.all(
      Array.from({ length: 6 }, async () => (await served.client()).newInstance()),
    )
    const add = async (instance: (typeof instances)[number]): Promise<void> => {
      for (;;) {
        await instance.pollInvalidations()
        const found = await instance.loadMany([oid(1), oid(2)])
        const transaction = instance.begin()
        for (const [index, revision] of found.entries()) {
          const value = revision === undefined ? 0 : Number(new TextDecoder().decode(revision.data))
          transaction.store(oid(index + 1), revision?.serial ?? noTid, bytes(`${value + 1}`))
        }
        try {
          await transaction.commit()
          return
        } catch (error) {
          expect(error).toMatchObject({ transient: true })
          transaction.abort()
        }
      }
    }
    for (let round = 0; round < 5; round++) await Promise.all(instances.map(add))
    const [reader] = instances
    await reader!.pollInvalidations()
    const values = (await reader!.loadMany([oid(1), oid(2)])).map((one) =>
      new TextDecoder().decode(one!.data),
    )
    expect(values).toEqual(['30', '30'])
    expect(served.server.status()).toMatchObject({ voted: 0, waiting: 0 })
  })
})
