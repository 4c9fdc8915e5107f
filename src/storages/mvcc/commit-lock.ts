/**
 * One committer at a time, in order of arrival. Held from vote to the end of the transaction.
 *
 * The lock is known by its owner, so releasing what one does not hold does nothing, and a waiting owner gives up its
 * place by releasing.
 */

import { StorageTransactionError } from '../../core/errors.ts'

interface Waiter {
  readonly owner: object
  readonly grant: () => void
  readonly refuse: (error: Error) => void
}

export class CommitLock {
  #owner: object | undefined
  readonly #waiting: Waiter[] = []
  #whenIdle: (() => void)[] = []

  /** Undefined when the lock was free and is now held; else a promise that resolves when it is. */
  acquire(owner: object): Promise<void> | undefined {
    if (this.#owner === undefined) {
      this.#owner = owner
      return undefined
    }
    return new Promise((grant, refuse) => {
      this.#waiting.push({ owner, grant, refuse })
    })
  }

  release(owner: object): void {
    if (this.#owner !== owner) {
      const place = this.#waiting.findIndex((waiter) => waiter.owner === owner)
      if (place === -1) return
      const [waiter] = this.#waiting.splice(place, 1)
      waiter!.refuse(new StorageTransactionError('the transaction was aborted while it waited for its vote'))
      return
    }
    const next = this.#waiting.shift()
    // The next owner is set before its promise resolves, so nobody can slip in between.
    this.#owner = next?.owner
    if (next !== undefined) next.grant()
    else for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  /** Sends everybody away who waits. The holder keeps the lock. */
  refuseWaiting(error: Error): void {
    for (const waiter of this.#waiting.splice(0)) waiter.refuse(error)
  }

  /** Resolves when nobody holds the lock. */
  idle(): Promise<void> {
    if (this.#owner === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve)
    })
  }
}
