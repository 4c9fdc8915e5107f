/**
 * Repeating a transaction that failed for a reason that may pass: a conflict, a lock held too long, a lost connection.
 * Whether it may pass is asked of the error (`isTransient`) and of nothing else.
 */

import { setImmediate, setTimeout } from 'node:timers/promises'
import { isTransient } from '../core/errors.ts'
import type { Random } from '../core/random.ts'
import type { Awaitable } from '../storages/storage.ts'

/** How often to repeat a transaction. */
export interface RetryOptions {
  /** Repetitions after the first attempt. */
  readonly retries: number
  /** Where the jitter comes from. Two workers must not share a seed, or they would meet again and again. */
  readonly random: Random
}

/** What it took. */
export interface RetryOutcome<T> {
  readonly value: T
  /** Runs of the work, the successful one included. */
  readonly attempts: number
}

/** Waiting starts at a fraction of the shortest useful transaction and ends where a person would notice. */
const backOffMs = 0.25
const backOffMsMax = 50

/**
 * Runs `attempt` until it succeeds, fails for good, or the retries are used up; then its last error is thrown.
 * @param recover called after each failed attempt, before anything else: undo what the attempt began
 */
export async function withRetries<T>(
  options: RetryOptions,
  attempt: () => Awaitable<T>,
  recover: (error: unknown) => Awaitable<void>,
): Promise<RetryOutcome<T>> {
  for (let attempts = 1; ; attempts++) {
    try {
      return { value: await attempt(), attempts }
    } catch (error) {
      await recover(error)
      if (!isTransient(error) || attempts > options.retries) throw error
    }
    await backOff(attempts, options.random)
  }
}

/**
 * Waits a random time that doubles with each attempt, up to a limit: those who collided spread out. Some committer
 * always wins, so nobody has to wait for progress; the wait is there so that losers do not spoil each other's next try.
 */
async function backOff(attempts: number, random: Random): Promise<void> {
  const waitMs = random.float() * Math.min(backOffMsMax, backOffMs * 2 ** attempts)
  // Timers cannot wait for less than a millisecond; letting the others run once is the shorter wait.
  if (waitMs < 1) await setImmediate()
  else await setTimeout(waitMs)
}
