/**
 * `conflict`: all workers change the same objects at the same time, and whoever loses tries again.
 *
 * That they collide is not left to chance. Before each operation every worker begins, reads and changes the objects;
 * then all meet at the barrier; then all commit. So each of them has read what all but one of them will find changed.
 */

import { isTransient, ShootoutError, VerificationError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import { isPromise } from '../database/awaitable.ts'
import type { Connection } from '../database/connection.ts'
import { withRetries } from '../database/retry.ts'
import { type DatasetPlan, fillDataset, openPayload, sharedItems } from './dataset.ts'
import {
  headerBytes,
  type Item,
  type Payload,
  readUint32,
  sharedOwner,
  versionOf,
  writeUint32,
} from './payload.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import { defineScenario, type ScenarioContext, type ScenarioParameters } from './scenario.ts'

interface State {
  readonly connection: Connection
  readonly payload: Payload
  readonly items: readonly Item[]
  readonly random: Random
  /** Operations of this worker that were committed: what its own count in each object must say. */
  committed: number
}

/** Every failed attempt means that somebody else's succeeded, so this is far more than the workers can need. */
const retriesMax = 1000

/** Each object counts the changes of each worker: 4 bytes for each, after the header. */
const countBytes = 4

export default defineScenario<State>({
  name: 'conflict',
  summary: 'change N objects that all workers change at the same time; losers try again until they succeed',
  title: ({ objectsPerTransaction: n }) => `update ${n} conflicting ${n === 1 ? 'object' : 'objects'}`,
  description:
    'Before each operation every worker begins a transaction, reads N objects that all share, and changes them; then all ' +
    'meet. Timed: commit, and after a conflict abort, wait a little (random, doubling from 0.5 ms to at most 50 ms), ' +
    'begin, read, change and commit again until it succeeds. So with W workers at least W - 1 attempts of each round ' +
    'fail, on every storage. Not timed: the first begin, read and change. Proven by attempts = operations + retried, by ' +
    'the least number of conflicts, and by the objects: each counts the changes of every worker, and none may be lost. ' +
    'Sensitive to: how soon a storage notices a conflict, and what an attempt in vain costs.',
  requires: { workersMin: 2 },

  populate: (context) => fillDataset(context, planFor(context.parameters)),

  async prepare(context) {
    const connection = await context.database.openConnection()
    await connection.begin()
    const payload = await openPayload(context, connection, planFor(context.parameters))
    const items = await sharedItems(connection)
    await connection.commit()
    return { connection, payload, items, random: context.random.split('back-off'), committed: 0 }
  },

  async run(context, state) {
    for (let operation = 0; operation < context.operations; operation++) await changeTogether(context, state)
  },

  async verify(context, state) {
    const { connection, items } = state
    await context.database.storage.cache?.clear()
    connection.minimizeCache()
    await connection.begin()
    await connection.activateMany(items)
    for (const [index, item] of items.entries()) checkCounts(context, state, item, index)
    await connection.commit()
  },

  audit({ parameters, operations, transfers, tallies }) {
    const { attempts = 0, retried = 0, conflicts = 0, givenUp = 0 } = tallies
    mustEqual('operations given up', givenUp, 0)
    mustEqual('attempts', attempts, operations + retried)
    // One of each round can win at its first attempt, and no more than one.
    mustBeAtLeast('attempts that had to be repeated', retried, operations - operations / parameters.workers)
    mustBeAtLeast('repeated attempts', retried, conflicts)
    mustEqual(
      'records that connections stored',
      transfers.stores,
      operations * parameters.objectsPerTransaction,
    )
  },

  async dispose(_context, { connection }) {
    await connection.abort()
    await connection.close()
  },
})

function planFor({ workers, objectsPerTransaction }: ScenarioParameters): DatasetPlan {
  return {
    scenario: 'conflict',
    perWorker: 0,
    shared: objectsPerTransaction,
    reservedBytes: workers * countBytes,
  }
}

async function changeTogether(context: ScenarioContext, state: State): Promise<void> {
  const { connection, random } = state
  // Everybody really reads: a worker's own memory of its last commit would hide that the storage lost it.
  connection.minimizeCache()
  await beginAndChange(context, state)
  let isPrepared = true
  let conflicts = 0
  let attempts = 0
  let givenUp = 0
  await context.time(1, async () => {
    await withRetries(
      { retries: retriesMax, random },
      async () => {
        attempts++
        if (!isPrepared) await beginAndChange(context, state)
        await connection.commit()
      },
      (error) => {
        isPrepared = false
        if (error instanceof ShootoutError && error.code === 'conflict') conflicts++
        return connection.abort()
      },
    ).catch((error: unknown) => {
      // Used up: the fork fails, but in its audit, where all counts are seen together.
      if (!isTransient(error)) throw error
      givenUp = 1
    })
  })
  context.tally('givenUp', givenUp)
  context.tally('attempts', attempts)
  context.tally('retried', attempts - 1)
  context.tally('conflicts', conflicts)
  state.committed += 1 - givenUp
  // What was read last is what was written last, plus one; it still has its state.
  if (givenUp === 0) for (const [index, item] of state.items.entries()) checkUnchanged(state, item, index)
}

async function beginAndChange(context: ScenarioContext, { connection, items }: State): Promise<void> {
  const begun = connection.begin()
  if (isPromise(begun)) await begun
  for (const item of items) {
    const loaded = connection.activate(item)
    const { state } = isPromise(loaded) ? await loaded : loaded
    const changed = state.slice()
    const place = headerBytes + context.worker * countBytes
    writeUint32(changed, 8, versionOf(state) + 1)
    writeUint32(changed, place, readUint32(state, place) + 1)
    item.state = changed
  }
}

function checkCounts(context: ScenarioContext, state: State, item: Item, index: number): void {
  const content = item.state
  let sum = 0
  for (let worker = 0; worker < context.parameters.workers; worker++) {
    sum += readUint32(content, headerBytes + worker * countBytes)
  }
  const where = `shared object ${index}`
  mustEqual(`${where}, sum of all workers’ changes`, sum, versionOf(content))
  const own = readUint32(content, headerBytes + context.worker * countBytes)
  mustEqual(`${where}, changes of worker ${context.worker}`, own, state.committed)
  checkUnchanged(state, item, index)
}

/** But for version and counts an object is still what the data set said. */
function checkUnchanged({ payload }: State, item: Item, index: number): void {
  if (item.status === 'ghost') {
    throw new VerificationError(
      `the storage merged changes of shared object ${index}, which nobody told it how to`,
    )
  }
  const original = item.state.slice()
  writeUint32(original, 8, 0)
  payload.check(original, sharedOwner, index, 0, `shared object ${index}`)
}
