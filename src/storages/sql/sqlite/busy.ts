/**
 * Patience. SQLite has one writer per file, and says "busy" to whoever else wants to write. Its own waiting blocks the
 * thread, so here we wait on the event loop: within an isolate in a queue, in order of arrival; between isolates by
 * trying again after short pauses of random length, so that the waiting do not march in step.
 */

import type { Clock } from '../../../core/clock.ts'
import { CommitLockTimeoutError } from '../../../core/errors.ts'
import type { Awaitable } from '../../storage.ts'
import { cancelledError } from '../adapter.ts'
import { isBusy } from './driver.ts'

/** Longest pause between two tries: some commits of one fsync each. */
const pauseMsMax = 8

export interface Patience {
  readonly clock: Clock
  /** Nanoseconds. */
  readonly timeoutNs: number
  /** For messages: what is being waited for. */
  readonly what: string
}

/** Somebody's waiting, and how to end it. */
export class Wait {
  #isCancelled = false
  #onCancel: (() => void) | undefined

  get isCancelled(): boolean {
    return this.#isCancelled
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
  const deadlineNs = patience.clock.monotonicNs() + patience.timeoutNs
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
    await pause(pauseMs * (0.5 + Math.random() / 2))
    if (wait?.isCancelled === true) throw cancelledError()
    try {
      return work()
    } catch (error) {
      if (!isBusy(error)) throw error
      if (patience.clock.monotonicNs() >= deadlineNs) throw lockTimeout(patience)
    }
  }
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
