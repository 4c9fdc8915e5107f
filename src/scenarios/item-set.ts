/**
 * The objects that one worker of a reading or updating scenario works on, taken in disjoint groups of as many as one
 * operation wants. One *pass* goes over all groups once; a batch is as many passes as it takes.
 */

import { isPromise } from '../core/awaitable.ts'
import { VerificationError } from '../core/errors.ts'
import { recordBytesMax, recordBytesMean } from '../core/record-sizes.ts'
import type { Connection } from '../database/connection.ts'
import type { Awaitable } from '../storages/storage.ts'
import { type DatasetPlan, openPayload, ownItems } from './dataset.ts'
import { type Item, indexOf, type Payload, versionOf } from './payload.ts'
import type { ScenarioContext, ScenarioParameters } from './scenario.ts'

/**
 * Enough objects that a pass outweighs its barrier, and that they do not all lie in one page of a backend; no more,
 * because every fork fills a store with them.
 */
const objectsWanted = 1000
const groupsWanted = 100
/** Limits over all workers: every fork fills a store of its own, and its time is taken from measuring. */
const objectsMax = 20_000
const bytesMax = 64 * 1024 ** 2

/**
 * Objects of each worker: a multiple of `objectsPerTransaction`, at least two groups.
 * @param objects wanted, where a scenario needs more than usual
 */
export function itemsPerWorker(parameters: ScenarioParameters, objects = objectsWanted): number {
  const { objectsPerTransaction: each, workers, dataset } = parameters
  const wanted = Math.max(objects, groupsWanted * each)
  const most = Math.min(objectsMax, bytesMax / recordBytesMean(dataset.recordBytes)) / workers
  return each * Math.max(2, Math.floor(Math.min(wanted, most) / each))
}

/** The plan of a scenario in which every worker has such a set of its own. */
export function itemSetPlan(scenario: string, parameters: ScenarioParameters, objects?: number): DatasetPlan {
  return { scenario, perWorker: itemsPerWorker(parameters, objects), shared: 0 }
}

/** The objects that one worker reads or updates, in groups of as many as one operation wants. */
export class ItemSet {
  readonly connection: Connection
  readonly payload: Payload
  readonly worker: number
  /** In random order, so that neighbours in a group are no neighbours in the backend. */
  readonly items: readonly Item[]
  /** Index of each item, as its content must say. */
  readonly indexes: Uint32Array
  readonly objectsPerTransaction: number
  /** What was compared with last. Making it anew for each pass took longer than a quick storage takes to load it. */
  readonly #expected: (Uint8Array | undefined)[] = []

  constructor(context: ScenarioContext, connection: Connection, payload: Payload, items: readonly Item[]) {
    this.connection = connection
    this.payload = payload
    this.worker = context.worker
    this.objectsPerTransaction = context.parameters.objectsPerTransaction
    const order = context.random.split('order').shuffled(items.map((_, index) => index))
    this.items = order.map((index) => items[index]!)
    this.indexes = Uint32Array.from(order)
  }

  /** Opens a connection and finds this worker's objects. Their state is not loaded. */
  static async open(context: ScenarioContext, plan: DatasetPlan): Promise<ItemSet> {
    const connection = await context.database.openConnection()
    try {
      await connection.begin()
      const payload = await openPayload(context, connection, plan)
      const items = await ownItems(context, connection)
      if (items.length !== plan.perWorker) {
        throw new VerificationError(
          `worker ${context.worker} has ${items.length} objects where ${plan.perWorker} were stored`,
        )
      }
      // The whole set has to fit, or objects that a scenario needs live would be forgotten between transactions.
      const recordBytes = recordBytesMax(context.parameters.dataset.recordBytes)
      connection.limitCache({
        objects: 2 * items.length + 1000,
        bytes: 2 * items.length * recordBytes + 1024 ** 2,
      })
      await connection.abort()
      return new ItemSet(context, connection, payload, items)
    } catch (error) {
      await connection.abort()
      await connection.close()
      throw error
    }
  }

  /** Operations in one pass. */
  get groups(): number {
    return this.items.length / this.objectsPerTransaction
  }

  groupItems(group: number): readonly Item[] {
    const first = group * this.objectsPerTransaction
    return this.items.slice(first, first + this.objectsPerTransaction)
  }

  /**
   * Reads one group, object after object, and looks into each. Returns a promise only from the first object on that the
   * storage makes it wait for.
   */
  readGroup(group: number): Awaitable<void> {
    const end = (group + 1) * this.objectsPerTransaction
    for (let at = end - this.objectsPerTransaction; at < end; at++) {
      const item = this.connection.activate(this.items[at]!)
      if (isPromise(item)) return this.#readRest(item, at, end)
      if (indexOf(item.state) !== this.indexes[at]) this.#wrongObject(item, at)
    }
  }

  async #readRest(first: Promise<Item>, from: number, end: number): Promise<void> {
    const item = await first
    if (indexOf(item.state) !== this.indexes[from]) this.#wrongObject(item, from)
    for (let at = from + 1; at < end; at++) {
      const awaitable = this.connection.activate(this.items[at]!)
      const next = isPromise(awaitable) ? await awaitable : awaitable
      if (indexOf(next.state) !== this.indexes[at]) this.#wrongObject(next, at)
    }
  }

  /** Loads everything, in requests of many objects. */
  async loadAll(): Promise<void> {
    for (let first = 0; first < this.items.length; first += 500) {
      await this.connection.activateMany(this.items.slice(first, first + 500))
    }
  }

  /**
   * Checks every byte of the objects of the first `groups` groups, which must be loaded.
   * @param versionAt the version that an object must have, by its place in `items`
   * @throws VerificationError
   */
  check(groups: number, versionAt: (at: number) => number): void {
    const { payload, worker } = this
    for (let at = 0; at < groups * this.objectsPerTransaction; at++) {
      const { oid, state } = this.items[at]!
      const index = this.indexes[at]!
      const version = versionAt(at)
      let expected = this.#expected[at]
      if (expected === undefined || versionOf(expected) !== version) {
        expected = payload.make(worker, index, version)
        this.#expected[at] = expected
      }
      if (!payload.isSame(state, expected))
        payload.check(state, worker, index, version, `worker ${worker}, object ${oid}`)
    }
  }

  async close(): Promise<void> {
    await this.connection.abort()
    await this.connection.close()
  }

  #wrongObject(item: Item, at: number): never {
    throw new VerificationError(
      `the storage gave object ${indexOf(item.state)} where object ${this.indexes[at]} was asked for`,
    )
  }
}
