/**
 * Sessions that wait to be used again. Taking one never waits for another to come back: who asks gets an idle session
 * or a new one. What comes back beyond the limit is closed. A session that failed is not put back but closed by whoever
 * had it.
 */

import { ClosedError } from '../../core/errors.ts'
import type { Awaitable } from '../storage.ts'

interface Session {
  readonly isBroken?: boolean
  close(): Awaitable<void>
}

export class SessionPool<S extends Session> {
  readonly #open: () => Awaitable<S>
  readonly #idleLimit: () => number
  /** Last in, first out: the session used last has the warmest caches. */
  readonly #idle: S[] = []
  #closed = false

  constructor(open: () => Awaitable<S>, idleLimit: () => number) {
    this.#open = open
    this.#idleLimit = idleLimit
  }

  take(): Awaitable<S> {
    if (this.#closed) throw new ClosedError('the storage')
    for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
      if (session.isBroken !== true) return session
      // Lost while it was idle. There is nothing left to say goodbye to, so nobody waits for it.
      void session.close()
    }
    return this.#open()
  }

  giveBack(session: S): Awaitable<void> {
    const isSurplus = this.#closed || this.#idle.length >= this.#idleLimit()
    if (isSurplus || session.isBroken === true) return session.close()
    this.#idle.push(session)
  }

  /** Closes the idle sessions now, and every other when it comes back. */
  async close(): Promise<void> {
    this.#closed = true
    for (const session of this.#idle.splice(0)) await session.close()
  }
}
