/**
 * One operation of a scenario in which workers get into each other's way, for certain: everybody begins and makes its
 * changes, untimed; all meet; then everybody commits, on the clock, and repeats the whole transaction until it succeeds.
 */

import { isPromise } from '../core/awaitable.ts'
import { isTransient, ShootoutError } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { Connection } from '../database/connection.ts'
import { withRetries } from '../database/retry.ts'
import type { Awaitable } from '../storages/storage.ts'
import { type DatasetPlan, openPayload, sharedItems } from './dataset.ts'
import type { Item, Payload } from './payload.ts'
import { mustBeAtLeast, mustEqual } from './prove.ts'
import type { ForkTotals, ScenarioContext } from './scenario.ts'

/** An attempt fails because another succeeded, so this is far more than the workers can need. */
const retriesMax = 1000

/** What a worker of such a scenario has. */
export interface Contested {
  readonly connection: Connection
  readonly payload: Payload
  /** The objects that all workers share, in the order of their index. */
  readonly items: readonly Item[]
  /** For waiting before another attempt. */
  readonly random: Random
  /** Operations of this worker that were committed: what its count in the objects must say. */
  committed: number
}

/** For `prepare`. */
export async function openContested(context: ScenarioContext, plan: DatasetPlan): Promise<Contested> {
  const connection = await context.database.openConnection()
  await connection.begin()
  const payload = await openPayload(context, connection, plan)
  const items = await sharedItems(connection)
  await connection.commit()
  return { connection, payload, items, random: context.random.split('back-off'), committed: 0 }
}

/**
 * Tallies `attempts`, `retried` (attempts after the first), `conflicts` (attempts that failed for a conflict, not for a
 * lock or a lost connection) and `givenUp`. Says whether it was committed in the end.
 * @param change reads and changes, in a transaction that has begun
 */
export async function collide(
  context: ScenarioContext,
  connection: Connection,
  random: Random,
  change: () => Awaitable<void>,
): Promise<boolean> {
  await connection.begin()
  await change()
  let isChanged = true
  let attempts = 0
  let conflicts = 0
  let isCommitted = true
  const attempt = async (): Promise<void> => {
    attempts++
    if (!isChanged) {
      const begun = connection.begin()
      if (isPromise(begun)) await begun
      await change()
    }
    await connection.commit()
  }
  const recover = (error: unknown): Awaitable<void> => {
    isChanged = false
    if (error instanceof ShootoutError && /^(read-)?conflict$/.test(error.code)) conflicts++
    return connection.abort()
  }
  await context.time(1, async () => {
    try {
      await withRetries({ retries: retriesMax, random }, attempt, recover)
    } catch (error) {
      // Retries used up: the fork fails, but in its audit, where all counts are seen together.
      if (!isTransient(error)) throw error
      isCommitted = false
    }
  })
  context.tally('attempts', attempts)
  context.tally('retried', attempts - 1)
  context.tally('conflicts', conflicts)
  context.tally('givenUp', isCommitted ? 0 : 1)
  return isCommitted
}

/** What must hold for the tallies of every such scenario. @throws VerificationError */
export function auditRetries({ operations, tallies }: ForkTotals): void {
  const { attempts = 0, retried = 0, conflicts = 0, givenUp = 0 } = tallies
  mustEqual('operations given up', givenUp, 0)
  mustEqual('attempts', attempts, operations + retried)
  mustBeAtLeast('repeated attempts', retried, conflicts)
}
