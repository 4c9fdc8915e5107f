/**
 * A ledger: clients anywhere in a cluster move amounts between accounts, and each says in its transactions' metadata who
 * made them. The store keeps history; so in the end it can be told whether every commit that was acknowledged is there,
 * once, under its tid, whether nothing is there that was refused, and whether every state in between was whole.
 */

import { expect } from 'vitest'
import { Client, commitAtOnce, toText } from '../../src/conformance/client.ts'
import { isTransient, ShootoutError } from '../../src/core/errors.ts'
import type { Oid, Tid } from '../../src/core/ids.ts'
import type { Random } from '../../src/core/random.ts'
import { emptyMetadata, type Storage, type Transaction } from '../../src/storages/storage.ts'

const accountCount = 6
const amount = 100

export class Ledger {
  readonly #oids: readonly Oid[]
  readonly #acknowledged = new Map<string, Tid>()
  /** Of which nobody knows, because the connection was lost. */
  readonly #unknown = new Set<string>()
  #conflicts = 0

  /** In an empty store that keeps history. */
  static async make(storage: Storage): Promise<Ledger> {
    const client = new Client(storage, await storage.newInstance())
    const oids = await client.create(...Array.from({ length: accountCount }, () => String(amount)))
    await client.instance.release()
    return new Ledger(oids)
  }

  private constructor(oids: readonly Oid[]) {
    this.#oids = oids
  }

  get commits(): number {
    return this.#acknowledged.size
  }

  get conflicts(): number {
    return this.#conflicts
  }

  /** One client; ends early when its server has gone. */
  async play(storage: Storage, name: string, rounds: number, random: Random): Promise<void> {
    const client = new Client(storage, await storage.newInstance())
    for (let round = 0; round < rounds; round++) {
      const user = `${name}/${round}`
      let transaction: Transaction | undefined
      try {
        await client.poll()
        const texts = await client.readMany(this.#oids)
        this.#checkTotal(texts)
        const [from = 0, to = 0] = random.shuffled([...this.#oids.keys()])
        const moved = 1 + random.integer(5)
        const changes = new Map([
          [this.#oids[from]!, String(Number(texts[from]) - moved)],
          [this.#oids[to]!, String(Number(texts[to]) + moved)],
        ])
        transaction = await client.stage(changes, { ...emptyMetadata, user })
        // Both ways of committing, beside each other.
        const { tid } =
          random.integer(2) === 0
            ? await commitAtOnce(transaction)
            : { tid: await (await transaction.vote()).finish() }
        this.#acknowledged.set(user, tid)
      } catch (error) {
        await transaction?.abort()
        if (!(error instanceof ShootoutError)) throw error
        if (error.code === 'commit-unknown') this.#unknown.add(user)
        else if (error.code === 'cannot-connect') return
        else if (isTransient(error)) this.#conflicts++
        else throw error
      }
    }
    await client.instance.release()
  }

  #checkTotal(texts: readonly (string | undefined)[]): void {
    expect(texts.reduce((sum, text) => sum + Number(text), 0)).toBe(accountCount * amount)
  }

  /** Holds the log of the store, as this storage tells it, against what the clients were told. */
  async check(storage: Storage): Promise<void> {
    const accounts = new Map<Oid, string>()
    const found = new Map<string, Tid>()
    let last = 0
    // A storage tells what it has heard of.
    const instance = await storage.newInstance()
    await instance.pollInvalidations()
    await instance.release()
    for await (const { tid, metadata, records } of storage.iterate!()) {
      expect(tid).toBeGreaterThan(last)
      last = tid
      for (const { oid, data } of records) accounts.set(oid, toText(data!))
      this.#checkTotal([...accounts.values()])
      if (metadata.user === '') continue
      expect(found.has(metadata.user), `${metadata.user} is there once`).toBe(false)
      found.set(metadata.user, tid)
    }
    for (const [user, tid] of this.#acknowledged) expect([user, found.get(user)]).toEqual([user, tid])
    for (const user of found.keys()) {
      expect([user, this.#acknowledged.has(user) || this.#unknown.has(user)]).toEqual([user, true])
    }
  }
}
