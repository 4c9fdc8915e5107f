/**
 * What became of commits, for clients that lost their connection in the middle of one.
 *
 * A client numbers its transactions, and each of its views has one at a time; beginning the next one on a view says
 * that the outcome of the previous one is known. So one entry per view suffices, kept until the view is released or
 * the client has been away for long.
 *
 * The answer "not committed" must stay true: it bars the transaction, even if its `finish` is still in some buffer.
 * Where a client makes the server keep more entries than it may have views, the oldest go, and the answer for what has
 * no entry is "unknown" from then on.
 */

import { noTid, type Tid } from '../../core/ids.ts'
import type { Timers } from './timers.ts'

interface Entry {
  readonly number: number
  state: 'open' | 'barred' | 'finishing' | 'committed' | 'lost'
  tid: Tid
  /** Who waits for the end of `finishing`. */
  waiting: (() => void)[]
  /** Ends the transaction, wherever it is in the server. */
  readonly abandon: () => void
}

interface Session {
  readonly views: Map<number, Entry>
  /** No entry was dropped: a view without one has not begun a transaction. */
  isWhole: boolean
  connections: number
  /** 0 while the first connection lasts. */
  leftAt: number
}

/** `unknown`: this server has never heard of that client, or has forgotten it. */
export type Outcome = { readonly tid: Tid } | 'not-committed' | 'unknown'

/** Sessions of clients that are away are forgotten after this long, or when there are more than so many. */
const keptMs = 10 * 60_000
const sessionsMax = 10_000

export class Outcomes {
  readonly #sessions = new Map<string, Session>()
  readonly #timers: Timers
  readonly #viewsMax: number

  constructor(timers: Timers, viewsMax: number) {
    this.#timers = timers
    this.#viewsMax = viewsMax
  }

  /** A client has connected. */
  arrive(key: string): void {
    const session = this.#sessions.get(key)
    if (session === undefined) {
      this.#sessions.set(key, { views: new Map(), isWhole: true, connections: 1, leftAt: 0 })
    } else session.connections++
    if (this.#sessions.size > sessionsMax) this.#forget()
  }

  /** A client's connection has ended; it may come back. */
  leave(key: string): void {
    const session = this.#sessions.get(key)!
    session.connections--
    session.leftAt = Math.max(1, this.#timers.now())
  }

  /** @returns false when the client has been told that this transaction will never be */
  begin(key: string, view: number, number: number, abandon: () => void): boolean {
    const session = this.#sessions.get(key)!
    const previous = session.views.get(view)
    if (previous !== undefined && previous.number >= number) return false
    this.#put(session, view, { number, state: 'open', tid: noTid, waiting: [], abandon })
    return true
  }

  /** @returns false when it must not be finished */
  finishing(key: string, view: number, number: number): boolean {
    const entry = this.#entry(key, view, number)
    if (entry?.state !== 'open') return false
    entry.state = 'finishing'
    return true
  }

  committed(key: string, view: number, number: number, tid: Tid): void {
    const entry = this.#entry(key, view, number)
    if (entry === undefined) return
    entry.tid = tid
    this.#settle(entry, 'committed')
  }

  /** It failed, or was aborted. One that has been committed stays so. */
  lost(key: string, view: number, number: number): void {
    const entry = this.#entry(key, view, number)
    if (entry !== undefined && entry.state !== 'committed') this.#settle(entry, 'lost')
  }

  /** The view is gone, and whoever had it knows how its transactions ended. */
  release(key: string, view: number): void {
    this.#sessions.get(key)?.views.delete(view)
  }

  /** `not-committed` also means that it never will be. */
  async ask(key: string, view: number, number: number): Promise<Outcome> {
    const session = this.#sessions.get(key)!
    const entry = session.views.get(view)
    const isFirstConnection = session.connections === 1 && session.leftAt === 0
    if (entry === undefined && (isFirstConnection || !session.isWhole)) return 'unknown'
    if (entry === undefined || entry.number < number) {
      this.#put(session, view, { number, state: 'barred', tid: noTid, waiting: [], abandon: () => {} })
      return 'not-committed'
    }
    if (entry.number !== number) return 'unknown'
    if (entry.state === 'open') {
      entry.state = 'barred'
      entry.abandon()
    }
    if (entry.state === 'finishing') {
      await new Promise<void>((resolve) => {
        entry.waiting.push(resolve)
      })
    }
    return entry.state === 'committed' ? { tid: entry.tid } : 'not-committed'
  }

  #entry(key: string, view: number, number: number): Entry | undefined {
    const entry = this.#sessions.get(key)?.views.get(view)
    return entry?.number === number ? entry : undefined
  }

  #put(session: Session, view: number, entry: Entry): void {
    const { views } = session
    views.set(view, entry)
    if (views.size <= this.#viewsMax) return
    for (const [number, { state }] of views) {
      if (number === view || state === 'open' || state === 'finishing') continue
      views.delete(number)
      session.isWhole = false
      return
    }
  }

  #settle(entry: Entry, state: 'committed' | 'lost'): void {
    entry.state = state
    for (const resolve of entry.waiting.splice(0)) resolve()
  }

  #forget(): void {
    const now = this.#timers.now()
    for (const [key, session] of this.#sessions) {
      if (session.connections > 0) continue
      // In order of arrival, so the first ones are about the longest away.
      if (session.leftAt + keptMs < now || this.#sessions.size > sessionsMax) this.#sessions.delete(key)
    }
  }
}
