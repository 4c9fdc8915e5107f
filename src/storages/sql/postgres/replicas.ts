/**
 * The replicas of a PostgreSQL server: which of them may be asked, and what a snapshot of one must show.
 *
 * Replicas are behind by some moments, each by its own. So that nobody reads backwards, and nobody misses what it did
 * itself, a snapshot of a replica is used only if it shows everything that this storage has seen or done; `needed` is
 * the newest transaction of that. What packing and emptying do has no tid; there the position in the primary's log is
 * needed too.
 *
 * A replica that fails is left alone for a while, in which everything is read from the primary. Then one reader tries
 * it again; the others follow when it has answered.
 */

import type { Clock } from '../../../core/clock.ts'
import { describeError, ShootoutError, UsageError } from '../../../core/errors.ts'
import { noTid, type Tid } from '../../../core/ids.ts'
import type { Poll } from '../adapter.ts'
import { replicaAdvice } from '../driver.ts'
import type { PgRow, PgSession, PgStep } from './driver.ts'

/** A server to read from. */
export interface ReplicaAddress {
  readonly url: string
  /** For messages; without password. */
  readonly server: string
}

export interface ReplicaSettings {
  /** For messages: the store. */
  readonly title: string
  readonly addresses: readonly ReplicaAddress[]
  /** How long a replica that failed is left alone. */
  readonly pauseNs: number
  readonly clock: Clock
  connect(address: ReplicaAddress): Promise<PgSession>
  log(message: string): void
}

export interface Replica {
  readonly address: ReplicaAddress
  /** Not before this moment may it be asked. */
  restsUntilNs: number
  hasFailed: boolean
}

/** What a replica says of itself, beside a poll. */
export type ReplicaState = 'ready' | 'behind' | 'promoted'

const identify = { text: 'SELECT system_identifier::text FROM pg_control_system()' }

const check = {
  name: 'replica_check',
  text: `SELECT CASE WHEN NOT pg_is_in_recovery() THEN 'promoted'
    WHEN pg_last_wal_replay_lsn() < $1::pg_lsn THEN 'behind' ELSE 'ready' END`,
}

export class Replicas {
  readonly #settings: ReplicaSettings
  readonly #replicas: readonly Replica[]
  /** Names the database cluster of the primary, which all its replicas have too. */
  #system: string | undefined
  #needed: Tid = noTid
  #neededPosition = '0/0'
  #life: number | undefined
  #nextFirst = 0

  constructor(settings: ReplicaSettings) {
    this.#settings = settings
    this.#replicas = settings.addresses.map((address) => ({ address, restsUntilNs: 0, hasFailed: false }))
  }

  /**
   * Looks at all of them. One that cannot be reached may be so later.
   * @throws UsageError `not-a-replica`
   */
  async begin(primary: PgSession): Promise<void> {
    const [row] = await primary.rows(identify)
    this.#system = String(row![0])
    for (const replica of this.#replicas) {
      try {
        await (await this.open(replica)).close()
      } catch (error) {
        if (error instanceof UsageError) throw error
        this.rest(replica, describeError(error))
      }
    }
  }

  /** @throws UsageError `not-a-replica` and what connecting throws */
  async open({ address }: Replica): Promise<PgSession> {
    const session = await this.#settings.connect(address)
    try {
      const [row] = await session.rows(identify)
      if (row![0] !== this.#system) {
        throw new UsageError(
          'not-a-replica',
          `${this.#settings.title}: replicaUrl names ${address.server}, which is no replica of that server; name a streaming replica of it, or leave replicaUrl out`,
          { details: { server: address.server } },
        )
      }
      return session
    } catch (error) {
      await session.close()
      throw error
    }
  }

  /** Those that may be asked now, beginning with another one for each reader. */
  *fit(first: number): Generator<Replica> {
    const { clock, pauseNs } = this.#settings
    for (let index = 0; index < this.#replicas.length; index++) {
      const replica = this.#replicas[(first + index) % this.#replicas.length]!
      const nowNs = clock.monotonicNs()
      if (replica.restsUntilNs > nowNs) continue
      // Whoever comes now tries it for all.
      if (replica.hasFailed) replica.restsUntilNs = nowNs + pauseNs
      yield replica
    }
  }

  /** A number for a new reader, so that readers spread over the replicas. */
  nextFirst(): number {
    return this.#nextFirst++
  }

  rest(replica: Replica, reason: string): void {
    const { clock, pauseNs, title, log } = this.#settings
    replica.restsUntilNs = clock.monotonicNs() + pauseNs
    if (!replica.hasFailed) {
      log(`${title}: the replica ${replica.address.server} is not used for now: ${reason}`)
    }
    replica.hasFailed = true
  }

  hasAnswered(replica: Replica): void {
    if (!replica.hasFailed) return
    replica.hasFailed = false
    replica.restsUntilNs = 0
    this.#settings.log(`${this.#settings.title}: the replica ${replica.address.server} is used again`)
  }

  // --- What must be shown ---

  /** To be asked of a replica before its snapshot is taken; the answer is for `stateOf`. */
  get check(): PgStep {
    return { statement: check, values: [this.#neededPosition] }
  }

  stateOf(answer: readonly PgRow[] | undefined): ReplicaState {
    return answer![0]![0] as ReplicaState
  }

  isRecent(poll: Poll, seen: Tid | undefined): boolean {
    return poll.seen >= Math.max(this.#needed, seen ?? noTid)
  }

  /** False for a store that was emptied on one of the two sides only, as far as is known, or for another store. */
  isSameStore(poll: Poll): boolean {
    return poll.life === this.#life
  }

  /** Somebody was shown this, or did it. */
  saw(tid: Tid): void {
    if (tid > this.#needed) this.#needed = tid
  }

  /** The primary said so. */
  sawPrimary({ seen, life }: Pick<Poll, 'seen' | 'life'>): void {
    this.saw(seen)
    this.#life = life
  }

  /** What the primary has done by now must be shown. */
  async needAllOf(primary: PgSession): Promise<void> {
    const [row] = await primary.rows({ text: 'SELECT pg_current_wal_insert_lsn()::text' })
    this.#neededPosition = String(row![0])
  }
}

/** For who would write to a replica. */
export function replicaError(title: string): ShootoutError {
  return new ShootoutError('server-is-replica', `${title}: ${replicaAdvice}`)
}

/** The replica has not got what the tables of a new store were made with. */
export function isMissingStore(error: unknown): boolean {
  const state = error instanceof ShootoutError ? error.details['sqlState'] : undefined
  return state === '42P01' || state === '3F000'
}
