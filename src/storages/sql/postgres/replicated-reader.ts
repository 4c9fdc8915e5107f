/**
 * A loading session over a PostgreSQL server and its replicas: each snapshot is that of a replica, if one is fit for it,
 * and else that of the primary. What needs no snapshot but must see all that is committed is asked of the primary.
 */

import { chain } from '../../../core/awaitable.ts'
import { describeError, ShootoutError } from '../../../core/errors.ts'
import type { Oid, Tid } from '../../../core/ids.ts'
import type { Awaitable, HistoryEntry, TransactionRecord } from '../../storage.ts'
import type { PastRow, Poll, Reader, Row } from '../adapter.ts'
import type { BlobReading } from '../blobs.ts'
import type { PgSession } from './driver.ts'
import type { PostgresReader } from './reader.ts'
import { isMissingStore, type Replica, type ReplicaState, type Replicas } from './replicas.ts'

/** A replica that takes longer to answer a poll is not worth waiting for. */
const patienceMs = 2000

export interface ReplicatedReaderSettings {
  readonly replicas: Replicas
  openPrimary(): Promise<PostgresReader>
  /** A reader over a session of a replica. */
  readerOf(session: PgSession): PostgresReader
}

interface OpenReplica {
  readonly replica: Replica
  readonly session: PgSession
  readonly reader: PostgresReader
}

interface Asked {
  readonly state: ReplicaState
  readonly poll: Poll
  readonly reader: PostgresReader
}

export class ReplicatedReader implements Reader {
  readonly #settings: ReplicatedReaderSettings
  readonly #first: number
  #primary: PostgresReader | undefined
  #open: OpenReplica | undefined
  /** Whose snapshot is open. */
  #current: PostgresReader | undefined

  constructor(settings: ReplicatedReaderSettings) {
    this.#settings = settings
    this.#first = settings.replicas.nextFirst()
  }

  /** A replica that is lost is replaced by the next poll, and no reason to throw away the primary's session. */
  get isBroken(): boolean {
    return this.#primary?.isBroken === true
  }

  readonly blobs: BlobReading = {
    find: async (oid, serial) => (await this.#reader()).blobs.find(oid, serial),
    between: async (first, last) => (await this.#reader()).blobs.between(first, last),
    chunk: async (id, number) => (await this.#reader()).blobs.chunk(id, number),
  }

  async poll(seen: Tid | undefined): Promise<Poll> {
    this.endSnapshot()
    const { replicas } = this.#settings
    let doubtful: { readonly replica: Replica; readonly poll: Poll } | undefined
    for (const replica of replicas.fit(this.#first)) {
      const answer = await this.#ask(replica, seen)
      if (answer === undefined) continue
      const { state, poll, reader } = answer
      if (!replicas.isSameStore(poll)) doubtful = { replica, poll }
      else if (state === 'ready' && replicas.isRecent(poll, seen)) {
        replicas.saw(poll.seen)
        this.#current = reader
        return poll
      }
      reader.endSnapshot()
    }
    const primary = await this.#primaryReader()
    const poll = await primary.poll(seen)
    this.#current = primary
    replicas.sawPrimary(poll)
    // The store was emptied, and the replica heard of it first. If not, it is behind that, or has another store.
    if (doubtful !== undefined && !replicas.isSameStore(doubtful.poll)) {
      replicas.rest(doubtful.replica, 'the store there is not the one here')
    }
    return poll
  }

  /** Opens a snapshot of a replica. Undefined: it is not to be used, or has no such store yet. */
  async #ask(replica: Replica, seen: Tid | undefined): Promise<Asked | undefined> {
    const { replicas } = this.#settings
    try {
      const { reader, session } = await this.#replicaReader(replica)
      const { answers, poll } = await within(patienceMs, session, reader.pollAfter(seen, replicas.check))
      const state = replicas.stateOf(answers[0])
      if (state === 'promoted') throw new ShootoutError('not-a-replica', 'it is no replica any more')
      replicas.hasAnswered(replica)
      return { state, poll, reader }
    } catch (error) {
      await this.#failed(replica, error)
      return undefined
    }
  }

  async #failed(replica: Replica, error: unknown): Promise<void> {
    const isAlive = this.#open !== undefined && !this.#open.session.isBroken
    // A new store may not have got there, and a snapshot that stands in the way of what the replica must apply is ended;
    // the next need not be.
    if (isAlive && (isMissingStore(error) || isConflict(error))) {
      this.#settings.replicas.hasAnswered(replica)
      this.#open!.reader.endSnapshot()
      return
    }
    this.#settings.replicas.rest(replica, describeError(error))
    await this.#closeReplica()
  }

  async #replicaReader(replica: Replica): Promise<OpenReplica> {
    if (this.#open?.replica === replica && !this.#open.session.isBroken) return this.#open
    await this.#closeReplica()
    const session = await this.#settings.replicas.open(replica)
    this.#open = { replica, session, reader: this.#settings.readerOf(session) }
    return this.#open
  }

  async #closeReplica(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    await open?.reader.close()
  }

  async #primaryReader(): Promise<PostgresReader> {
    this.#primary ??= await this.#settings.openPrimary()
    return this.#primary
  }

  #reader(): Awaitable<PostgresReader> {
    return this.#current ?? this.#primaryReader()
  }

  load(oid: Oid): Awaitable<Row | undefined> {
    return chain(this.#reader(), (reader) => reader.load(oid))
  }

  loadMany(oids: readonly Oid[]): Awaitable<readonly Row[]> {
    return chain(this.#reader(), (reader) => reader.loadMany(oids))
  }

  async transactions(from: Tid, to: Tid, count: number): Promise<readonly TransactionRecord[]> {
    return (await this.#reader()).transactions(from, to, count)
  }

  endSnapshot(): void {
    this.#current?.endSnapshot()
    this.#current = undefined
  }

  async loadBefore(oid: Oid, before: Tid): Promise<PastRow | undefined> {
    return (await this.#primaryReader()).loadBefore(oid, before)
  }

  async history(oid: Oid, count: number): Promise<readonly HistoryEntry[]> {
    return (await this.#primaryReader()).history(oid, count)
  }

  async packed(): Promise<Tid> {
    return (await this.#reader()).packed()
  }

  async changedBy(tid: Tid): Promise<readonly Oid[] | undefined> {
    return (await this.#primaryReader()).changedBy(tid)
  }

  async close(): Promise<void> {
    await this.#closeReplica()
    await this.#primary?.close()
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof ShootoutError && error.code === 'serialization-failure'
}

/** `answer`, unless that takes too long: then the session is given up. */
async function within<T>(limitMs: number, session: PgSession, answer: Promise<T>): Promise<T> {
  const timer = setTimeout(() => session.destroy(), limitMs)
  try {
    return await answer
  } finally {
    clearTimeout(timer)
  }
}
