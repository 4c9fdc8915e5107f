/**
 * The data set of a fork: what worker 0 puts into the fresh store before anything is timed, and how the workers find it.
 *
 * The root holds one map, `dataset`. It carries the identity of the data (a hash of everything they follow from) and the
 * seed of their content, and leads to the groups: one of each worker's own objects, `worker 0`, `worker 1` …, and one of
 * those that all share, `shared`. A group is a map of pages, a page is a map of at most 500 objects by index, so that
 * no record grows with the size of the data.
 */

import { createHash } from 'node:crypto'
import { VerificationError } from '../core/errors.ts'
import { hash } from '../core/random.ts'
import { recordBytesMean } from '../core/record-sizes.ts'
import type { Connection } from '../database/connection.ts'
import { PersistentMap } from '../database/persistent-map.ts'
import { Item, Payload, sharedOwner } from './payload.ts'
import type { ScenarioContext, ScenarioParameters } from './scenario.ts'

/** How many objects a scenario wants. */
export interface DatasetPlan {
  /** Name of the scenario; part of the identity. */
  readonly scenario: string
  /** Objects of each worker's own. */
  readonly perWorker: number
  /** Objects that all workers share. */
  readonly shared: number
  /** Bytes of each content that the scenario fills in itself. */
  readonly reservedBytes?: number
}

/** Objects in a page. */
const pageSize = 500

/** Bytes of records in one transaction while filling: large enough to be fast, small enough for every backend. */
const fillBytesPerCommit = 4 * 1024 ** 2

/** A hash of everything that the data of a fork follow from: equal identities, equal bytes. */
export function datasetIdentity(parameters: ScenarioParameters, plan: DatasetPlan, seed: number): string {
  const { objectsPerTransaction, workers, dataset } = parameters
  const everything = ['shootout-dataset-1', plan, objectsPerTransaction, workers, dataset, seed]
  return createHash('sha256').update(JSON.stringify(everything)).digest('hex').slice(0, 16)
}

/** Fills the store. For `populate`: worker 0 only. */
export async function fillDataset(context: ScenarioContext, plan: DatasetPlan): Promise<void> {
  const { parameters, database } = context
  const seed = hash(context.random.seed)
  const payload = new Payload(seed, parameters.dataset, plan.reservedBytes)
  const identity = datasetIdentity(parameters, plan, seed)
  await database.transact(async (connection) => {
    const dataset = new PersistentMap()
    dataset.set('identity', identity).set('seed', seed)
    ;(await connection.root).set('dataset', dataset)
  })
  for (let worker = 0; worker < parameters.workers; worker++) {
    await fillGroup(context, payload, `worker ${worker}`, worker, plan.perWorker)
  }
  await fillGroup(context, payload, 'shared', sharedOwner, plan.shared)
}

async function fillGroup(
  context: ScenarioContext,
  payload: Payload,
  name: string,
  owner: number,
  count: number,
): Promise<void> {
  const { database, parameters } = context
  const step = Math.max(
    1,
    Math.min(pageSize, Math.floor(fillBytesPerCommit / recordBytesMean(parameters.dataset.recordBytes))),
  )
  await database.transact(async (connection) => {
    const dataset = await datasetOf(connection)
    dataset.set(name, new PersistentMap())
  })
  for (let first = 0; first < count; first += step) {
    await database.transact(async (connection) => {
      const group = await groupOf(connection, name)
      const page = new PersistentMap()
      for (let index = first; index < Math.min(count, first + step); index++) {
        page.set(index, new Item(payload.make(owner, index, 0)))
      }
      group.set(first, page)
      connection.minimizeCache()
    })
  }
}

/** The payload of the data set that is in the store. */
export async function openPayload(
  context: ScenarioContext,
  connection: Connection,
  plan: DatasetPlan,
): Promise<Payload> {
  const dataset = await datasetOf(connection)
  const seed = dataset.get('seed')
  const identity = dataset.get('identity')
  if (typeof seed !== 'number' || identity !== datasetIdentity(context.parameters, plan, seed)) {
    throw new VerificationError(
      `the store holds data set ${String(identity)}, which is not what this cell asks for; every cell needs a store of its own`,
      { details: { identity } },
    )
  }
  return new Payload(seed, context.parameters.dataset, plan.reservedBytes)
}

/** Objects of this worker's own, as ghosts, in the order of their index. A transaction must be open. */
export function ownItems(context: ScenarioContext, connection: Connection): Promise<Item[]> {
  return itemsOf(connection, `worker ${context.worker}`)
}

/** Objects that all workers share, as ghosts, in the order of their index. A transaction must be open. */
export function sharedItems(connection: Connection): Promise<Item[]> {
  return itemsOf(connection, 'shared')
}

async function itemsOf(connection: Connection, name: string): Promise<Item[]> {
  const group = await groupOf(connection, name)
  const items: Item[] = []
  for (const page of group.values()) {
    for (const item of (await loadedMap(connection, page)).values()) {
      if (!(item instanceof Item))
        throw new VerificationError(`group ${name} holds something else than items`)
      items.push(item)
    }
  }
  return items
}

/** A group's map. Scenarios that keep books of their own hang them here. */
export async function groupOf(connection: Connection, name: string): Promise<PersistentMap> {
  const dataset = await datasetOf(connection)
  return loadedMap(connection, dataset.get(name))
}

async function datasetOf(connection: Connection): Promise<PersistentMap> {
  return loadedMap(connection, (await connection.root).get('dataset'))
}

/** @throws VerificationError when it is no map: what was put into the store is not there */
export async function loadedMap(connection: Connection, value: unknown): Promise<PersistentMap> {
  if (!(value instanceof PersistentMap)) {
    throw new VerificationError('a map of the data set is missing from the store')
  }
  return connection.activate(value)
}
