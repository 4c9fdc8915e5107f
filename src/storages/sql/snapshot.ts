/**
 * The snapshot of one instance: the reader session that shows it, borrowed from one poll to the end of the application's
 * transaction, and what the instance must be told of when it gets the next one.
 */

import { type Awaitable, attempt, chain } from '../../core/awaitable.ts'
import { DisconnectedError } from '../../core/errors.ts'
import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type { SnapshotView } from '../cache/snapshot-view.ts'
import type { Invalidations, Revision } from '../storage.ts'
import type { Committed, Poll, Reader } from './adapter.ts'
import type { SqlStore } from './sql-storage.ts'

const nothing: ReadonlySet<Oid> = new Set()

export class SqlSnapshot {
  readonly #store: SqlStore
  /** This instance's place in what the storage knows of changes; undefined where there is no cache. */
  readonly view: SnapshotView | undefined
  /** What `prefetch` brought, for the snapshot that is open. */
  prefetched = new Map<Oid, Revision | undefined>()
  /** Present while a snapshot is open. */
  #reader: Reader | undefined
  /** The snapshot ended before the application was done with it. */
  #gaveUp = false
  #tid = noTid
  /** Of the store that the snapshot shows. */
  #life = 0
  /** What the last poll had seen; undefined before the first. */
  #seen: Tid | undefined
  /** Commits of this instance since the last poll, each with the objects that must be reported all the same. */
  readonly #own = new Map<Tid, ReadonlySet<Oid>>()

  constructor(store: SqlStore) {
    this.#store = store
    this.view = store.index?.newView()
  }

  /** Undefined while none is open. */
  get reader(): Reader | undefined {
    return this.#reader
  }

  /** Newest transaction that the last snapshot showed. */
  get tid(): Tid {
    return this.#tid
  }

  get life(): number {
    return this.#life
  }

  /** It was ended for the sake of others. */
  get isGivenUp(): boolean {
    return this.#gaveUp
  }

  poll(): Awaitable<Invalidations> {
    this.prefetched = new Map()
    this.#gaveUp = false
    return attempt(
      () => this.#poll(),
      // The connection may have been lost while nobody looked. Nothing depends on it yet, so a new one will do.
      (error) => (error instanceof DisconnectedError ? this.#poll() : Promise.reject(error)),
    )
  }

  #poll(): Awaitable<Invalidations> {
    return chain(this.#reader ?? this.#store.readers.take(), (reader) => {
      this.#reader = undefined
      // With a cache, only what is new to the whole storage is asked for.
      const since = this.view === undefined ? this.#seen : this.view.beginPoll()
      return attempt(
        () => chain(reader.poll(since), (poll) => this.#polled(reader, poll, since)),
        (error) => chain(reader.close(), () => Promise.reject(error)),
      )
    })
  }

  #polled(reader: Reader, poll: Poll, since: Tid | undefined): Awaitable<Invalidations> {
    const waiting = this.#finishingIn(poll)
    return waiting.length === 0
      ? this.#open(reader, poll, since)
      : Promise.all(waiting).then(() => this.#open(reader, poll, since))
  }

  /**
   * Commits of this storage that the snapshot may show although their `finish` has not heard of it yet. Who sees a
   * transaction must see it after its `onTid`.
   */
  #finishingIn(poll: Poll): Promise<unknown>[] {
    const { finishing } = this.#store
    if (finishing.size === 0) return []
    if (poll.changed === 'all') return [...finishing.keys()]
    const changed = new Set(poll.changed.map((change) => change.oid))
    return [...finishing].filter(([, oid]) => changed.has(oid)).map(([finished]) => finished)
  }

  #open(reader: Reader, poll: Poll, since: Tid | undefined): Invalidations {
    const isFirst = this.#seen === undefined
    this.#reader = reader
    this.#tid = poll.tid
    this.#seen = poll.seen
    this.#life = poll.life
    this.#store.sawTid(poll.tid)
    this.#store.sawLife(poll.life)
    // Its place is `seen`, not `tid`: that never goes back, not even when the store is emptied.
    const changes = this.view === undefined ? poll.changed : this.view.polled(poll.seen, since, poll.changed)
    // An instance that has never had a snapshot has nothing that could be out of date.
    const changed = isFirst ? nothing : this.#reportable(changes)
    this.#own.clear()
    return changed
  }

  #reportable(changes: Poll['changed']): Invalidations {
    if (changes === 'all') return 'all'
    if (changes.length === 0) return nothing
    const changed = new Set<Oid>()
    for (const { oid, tid } of changes) {
      const reported = this.#own.get(tid)
      if (reported === undefined || reported.has(oid)) changed.add(oid)
    }
    return changed
  }

  /** What it shows of an object, where that is known here. */
  find(oid: Oid): Revision | undefined {
    return this.prefetched.get(oid) ?? this.view?.find(oid)
  }

  end(): Awaitable<void> {
    const reader = this.#reader
    if (reader === undefined) return
    this.#reader = undefined
    this.prefetched = new Map()
    return attempt(
      () => chain(reader.endSnapshot(), () => this.#store.readers.giveBack(reader)),
      // A session whose snapshot cannot be ended has gone, and its snapshot with it.
      (error) => {
        this.#store.context.log(`${this.#store.adapter.title}: a session was lost (${String(error)})`)
        return reader.close()
      },
    )
  }

  /** Ends it before the application has. */
  giveUp(): void {
    this.#gaveUp = true
    void this.end()
  }

  /**
   * This instance committed. It need not be told what it did itself, except objects in `reported`: those whose state
   * is not what the caller knows.
   */
  committed(commit: Committed, reported: ReadonlySet<Oid>): void {
    // Nobody else committed between what we had seen and our own commit: then we have seen that too.
    const isSeen = this.view === undefined && commit.previous === this.#seen && reported.size === 0
    if (isSeen) this.#seen = commit.tid
    else this.#own.set(commit.tid, reported)
  }
}
