/**
 * Patience. SQLite has one writer per file, and says "busy" to whoever else wants to write. Its own waiting blocks the
 * thread, so here we wait on the event loop: within an isolate in a queue, in order of arrival; between isolates by
 * trying again after short pauses of random length, so that the waiting do not march in step.
 */

import type { Clock } from '../../../core/clock.ts'
import { CommitLockTimeoutError } from '../../../core/errors.ts'
import type { Awaitable } from '../../storage.ts'
import { attempt, chain } from '../awaitable.ts'
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

/**
 * The result of `work`, tried again while it raises "busy". At once, without a promise, when the first try succeeds.
 * @throws CommitLockTimeoutError
 */
export function whileBusy<T>(patience: Patience, work: () => T): Awaitable<T> {
  try {
    return work()
  } catch (error) {
    if (!isBusy(error)) throw error
    return retry(patience, work)
  }
}

async function retry<T>(patience: Patience, work: () => T): Promise<T> {
  const deadlineNs = patience.clock.monotonicNs() + patience.timeoutNs
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
    await pause(pauseMs * (0.5 + Math.random() / 2))
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

  /** At once when nobody holds the lock. @throws CommitLockTimeoutError */
  enter(): Awaitable<void> {
    if (!this.#isHeld) {
      this.#isHeld = true
      return
    }
    return new Promise((resolve, reject) => {
      const grant = (): void => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(grant), 1)
        reject(lockTimeout(this.#patience))
      }, this.#patience.timeoutNs / 1e6)
      this.#waiting.push(grant)
    })
  }

  leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#isHeld = false
    else next()
  }

  /** `work` while nobody else of this isolate writes. */
  alone<T>(work: () => Awaitable<T>): Awaitable<T> {
    return chain(this.enter(), () =>
      attempt(
        () =>
          chain(work(), (result) => {
            this.leave()
            return result
          }),
        (error) => {
          this.leave()
          throw error
        },
      ),
    )
  }
}
