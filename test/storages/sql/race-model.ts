/**
 * A race model: clients move amounts between accounts while others read. Each client keeps a cache and trusts the
 * invalidations alone to keep it right, as a connection does. Three things must hold at every moment: a snapshot's total
 * never changes, what the cache holds is what the snapshot shows, and serials never go back.
 */

import { expect } from 'vitest'
import { isTransient } from '../../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import type { Random } from '../../../src/core/random.ts'
import type {
  CommittedTransaction,
  Revision,
  Storage,
  StorageInstance,
  Transaction,
} from '../../../src/storages/storage.ts'

export const toBytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const toText = (data: Uint8Array): string => new TextDecoder().decode(data)

const initialAmount = 1000

export async function createAccounts(storage: Storage, count: number): Promise<readonly Oid[]> {
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const oids = await instance.newOids(count)
  const transaction = instance.begin()
  for (const oid of oids) await transaction.store(oid, noTid, toBytes(String(initialAmount)))
  const voted = await transaction.vote()
  await voted.finish()
  await instance.release()
  return oids
}

export interface Race {
  readonly oids: readonly Oid[]
  readonly rounds: number
  readonly random: Random
}

/** What one client did. */
export interface RaceOutcome {
  readonly commits: number
  readonly conflicts: number
}

/** Plays one client to its end. */
export async function runClient(storage: Storage, race: Race): Promise<RaceOutcome> {
  const client = new CachingClient(await storage.newInstance(), race)
  let commits = 0
  let conflicts = 0
  for (let round = 0; round < race.rounds; round++) {
    await client.refresh()
    await client.checkTotal()
    if (race.random.float() < 0.6) {
      if (await client.transfer()) commits++
      else conflicts++
    }
    if (race.random.float() < 0.5) await client.instance.afterCompletion()
    // Lets the other clients in at a random place.
    if (race.random.float() < 0.3) await new Promise(setImmediate)
  }
  await client.instance.release()
  return { commits, conflicts }
}

class CachingClient {
  readonly instance: StorageInstance
  readonly #race: Race
  readonly #cache = new Map<Oid, Revision>()
  readonly #newest = new Map<Oid, Tid>()
  #snapshotTid = noTid

  constructor(instance: StorageInstance, race: Race) {
    this.instance = instance
    this.#race = race
  }

  async refresh(): Promise<void> {
    const changed = await this.instance.pollInvalidations()
    if (changed === 'all') this.#cache.clear()
    else for (const oid of changed) this.#cache.delete(oid)
    expect(this.instance.snapshotTid).toBeGreaterThanOrEqual(this.#snapshotTid)
    this.#snapshotTid = this.instance.snapshotTid
  }

  async read(oid: Oid): Promise<Revision> {
    const cached = this.#cache.get(oid)
    const fresh = await this.instance.load(oid)
    if (cached !== undefined) {
      expect({ oid, serial: cached.serial, text: toText(cached.data) }).toEqual({
        oid,
        serial: fresh.serial,
        text: toText(fresh.data),
      })
    }
    expect(fresh.serial).toBeLessThanOrEqual(this.instance.snapshotTid)
    expect(fresh.serial).toBeGreaterThanOrEqual(this.#newest.get(oid) ?? noTid)
    this.#newest.set(oid, fresh.serial)
    this.#cache.set(oid, fresh)
    return fresh
  }

  async checkTotal(): Promise<void> {
    let total = 0
    for (const oid of this.#race.oids) total += Number(toText((await this.read(oid)).data))
    expect(total).toBe(this.#race.oids.length * initialAmount)
  }

  /** True when it was committed, false on a conflict. */
  async transfer(): Promise<boolean> {
    const { random, oids } = this.#race
    const [from, to, witness] = random.shuffled(oids) as [Oid, Oid, ...Oid[]]
    const amount = random.integer(10)
    const transaction = this.instance.begin()
    try {
      const stored = new Map<Oid, Uint8Array>()
      for (const [oid, change] of [
        [from, -amount],
        [to, amount],
      ] as const) {
        const { data, serial } = await this.read(oid)
        const changed = toBytes(String(Number(toText(data)) + change))
        stored.set(oid, changed)
        await transaction.store(oid, serial, changed)
      }
      if (witness !== undefined && random.float() < 0.3) {
        await transaction.readCurrent(witness, (await this.read(witness)).serial)
      }
      let told = noTid
      const onTid = (committed: Tid): void => {
        told = committed
      }
      const committed =
        random.float() < 0.5
          ? await transaction.commit!(onTid)
          : await voteAndFinish(transaction, random.float() < 0.2, onTid)
      if (committed === undefined) return false
      const { tid, resolvedOids } = committed
      expect(told).toBe(tid)
      for (const [oid, data] of stored) {
        if (resolvedOids.includes(oid)) this.#cache.delete(oid)
        else this.#cache.set(oid, { data, serial: tid })
      }
      // The snapshot is still the old one, the cache is of the next.
      await this.refresh()
      return true
    } catch (error) {
      await transaction.abort()
      if (!isTransient(error)) throw error
      return false
    }
  }
}

/** Undefined: the vote was not followed by anything. */
async function voteAndFinish(
  transaction: Transaction,
  isAborted: boolean,
  onTid: (tid: Tid) => void,
): Promise<CommittedTransaction | undefined> {
  const voted = await transaction.vote()
  if (!isAborted) return { tid: await voted.finish(onTid), resolvedOids: voted.resolvedOids }
  await voted.abort()
  return undefined
}
