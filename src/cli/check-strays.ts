/**
 * Rejections that nobody handles, during a check. A behaviour that fails may leave calls under way, and what becomes of
 * those must neither end the process nor be printed by it. Where nothing has failed they are the storage's own.
 */

import { setImmediate } from 'node:timers/promises'

export class Strays {
  readonly #reasons = new Map<Promise<unknown>, unknown>()
  readonly #rejected = (reason: unknown, promise: Promise<unknown>) => void this.#reasons.set(promise, reason)
  /** Somebody has waited for it after all, only later. Without a listener the process would print a warning. */
  readonly #handled = (promise: Promise<unknown>) => void this.#reasons.delete(promise)

  constructor() {
    process.on('unhandledRejection', this.#rejected)
    process.on('rejectionHandled', this.#handled)
  }

  /** What has become of everything so far: the reasons of those that nobody has handled. */
  async reasons(): Promise<readonly unknown[]> {
    // They are told at the end of a turn of the event loop.
    await setImmediate()
    return [...this.#reasons.values()]
  }

  async end(): Promise<void> {
    await this.reasons()
    process.off('unhandledRejection', this.#rejected)
    process.off('rejectionHandled', this.#handled)
  }
}
