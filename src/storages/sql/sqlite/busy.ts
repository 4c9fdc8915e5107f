/**
 * Patience. SQLite has one writer per file, and says "busy" to whoever else wants to write. Its own waiting blocks the
 * thread, so here we wait on the event loop: within an isolate in a queue, in order of arrival; between isolates by
 * trying again after short pauses, which get shorter with time. Doubling them, as is usual, was measured to be worse:
 * whoever had waited longest asked least often, and of five processes one got a fifth of its share.
 */

import type { Clock } from '../../../core/clock.ts'
import { CommitLockTimeoutError } from '../../../core/errors.ts'
import type { Awaitable } from '../../storage.ts'
import { cancelledError } from '../adapter.ts'
import { isBusy } from './driver.ts'

/** Longest pause between two tries, right at the beginning: about a commit of one fsync. */
const pauseMsMax = 4
/** After so long the pauses are half as long. A timer of Node's has a resolution of a millisecond. */
const impatienceNs = 5e6

export interface Patience {
  readonly clock: Clock
  /** Nanoseconds. */
  readonly timeoutNs: number
  /** For messages: what is being waited for. */
  readonly what: string
}

/** Somebody's waiting, and how to end it. */
export class Wait {
  readonly #onWaiting: () => void
  #isCancelled = false
  #onCancel: (() => void) | undefined

  /** @param onWaiting is called when the waiting begins, and now and then while it lasts */
  constructor(onWaiting: () => void = () => {}) {
    this.#onWaiting = onWaiting
  }

  get isCancelled(): boolean {
    return this.#isCancelled
  }

  goesOn(): void {
    this.#onWaiting()
  }

  /** Makes what waits raise StorageTransactionError. */
  cancel(): void {
    this.#isCancelled = true
    this.#onCancel?.()
  }

  /** @param wake undefined when nothing is waiting any more */
  onCancel(wake: (() => void) | undefined): void {
    this.#onCancel = wake
  }
}

/**
 * The result of `work`, tried again while it raises "busy". At once, without a promise, when the first try succeeds.
 * @throws CommitLockTimeoutError, StorageTransactionError when `wait` is cancelled
 */
export function whileBusy<T>(patience: Patience, work: () => T, wait?: Wait): Awaitable<T> {
  try {
    return work()
  } catch (error) {
    if (!isBusy(error)) throw error
    return retry(patience, work, wait)
  }
}

async function retry<T>(patience: Patience, work: () => T, wait: Wait | undefined): Promise<T> {
  const startNs = patience.clock.monotonicNs()
  for (;;) {
    wait?.goesOn()
    const waitedNs = patience.clock.monotonicNs() - startNs
    await pause(pauseMs(waitedNs))
    if (wait?.isCancelled === true) throw cancelledError()
    try {
      return work()
    } catch (error) {
      if (!isBusy(error)) throw error
      if (patience.clock.monotonicNs() - startNs >= patience.timeoutNs) throw lockTimeout(patience)
    }
  }
}

/**
 * The longer somebody has waited, the more often he asks, so that newcomers do not get ahead of him for ever. The length
 * is random, so that the waiting do not march in step.
 */
function pauseMs(waitedNs: number): number {
  const longestMs = Math.max(1, pauseMsMax / (1 + waitedNs / impatienceNs))
  return longestMs * (0.5 + Math.random() / 2)
}

function lockTimeout({ what, timeoutNs }: Patience): CommitLockTimeoutError {
  return new CommitLockTimeoutError(
    `${what}: another transaction held the write lock for ${timeoutNs / 1e6} ms; repeat the transaction`,
  )
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs)
  })
}

/** One writer at a time within this isolate, in order of arrival. */
export class WriteQueue {
  readonly #patience: Patience
  readonly #waiting: (() => void)[] = []
  #isHeld = false

  constructor(patience: Patience) {
    this.#patience = patience
  }

  /** At once when nobody holds the lock. @throws CommitLockTimeoutError, StorageTransactionError */
  enter(wait: Wait): Awaitable<void> {
    if (!this.#isHeld) {
      this.#isHeld = true
      return
    }
    wait.goesOn()
    return new Promise((resolve, reject) => {
      const giveUp = (error: Error): void => {
        clearTimeout(timer)
        wait.onCancel(undefined)
        this.#waiting.splice(this.#waiting.indexOf(grant), 1)
        reject(error)
      }
      const grant = (): void => {
        clearTimeout(timer)
        wait.onCancel(undefined)
        resolve()
      }
      const timer = setTimeout(() => giveUp(lockTimeout(this.#patience)), this.#patience.timeoutNs / 1e6)
      wait.onCancel(() => giveUp(cancelledError()))
      this.#waiting.push(grant)
    })
  }

  leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#isHeld = false
    else next()
  }
}
