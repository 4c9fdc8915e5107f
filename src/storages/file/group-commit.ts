/**
 * Durability and publication: many committers share one fdatasync, across the tasks of an event loop and across the
 * threads of the process.
 *
 * A committer appends its transaction and waits here. Whoever finds nobody syncing, and nobody to wait for, becomes the
 * leader: it notes how far the log reaches, flushes, and publishes everything up to there by raising `lastTid`, in one
 * step. The others find themselves published, or the next of them leads. Who leads makes no difference to what is
 * published. Whom a flush waits for, and whom it wakes, is in gathering.ts.
 *
 * In this isolate a transaction is visible only after its `onTid` has run; `visibleTid` sees to that.
 */

import { describeError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import { buryDead, doubtMs } from './bury.ts'
import { logFailed, syncFailed } from './file-errors.ts'
import { Gathering } from './gathering.ts'
import type { Log } from './log.ts'
import { takeBack } from './rollback.ts'
import { word } from './shared-state.ts'
import { changeOf } from './wait.ts'

/** A disk that confirms faster than this is waited for in place; handing the call to a thread pool would cost more. */
const blockingMsMax = 1

/** A leader that has not come back after this long has a disk that hangs, or its thread ended: others flush as well. */
const leaderMsMax = 2000

/** A turn of the event loop that has not come after this long is being kept away. */
const starvedMs = 5

interface FlushTarget {
  readonly flush: number
  readonly end: number
  readonly tid: Tid
  readonly file: number
  readonly generation: number
  readonly rollbacks: number
}

interface Failure {
  readonly cause: unknown
}

interface Committer {
  readonly tid: Tid
  /** Number of rollbacks when it was appended. */
  readonly rollbacks: number
  readonly onTid: ((tid: Tid) => void) | undefined
  readonly resolve: (tid: Tid) => void
  readonly reject: (error: unknown) => void
}

export class GroupCommit {
  readonly #log: Log
  readonly #report: (message: string) => void
  /** Committers of this isolate that are not announced yet, in tid order. */
  #waiting: Committer[] = []
  #visible: Tid
  #settling = false
  #driving = false
  #drivingSince = 0
  readonly #gathering: Gathering
  /** Since when the same leader has been followed, and how many had been before. */
  #following = { epoch: -1, since: 0 }

  constructor(log: Log, report: (message: string) => void) {
    this.#log = log
    this.#report = report
    this.#visible = log.numbers.lastTid
    this.#gathering = new Gathering(log.shared.gathering, log.seats.own)
  }

  /** Newest transaction that this isolate may see. Announces own transactions first that have become durable. */
  get visibleTid(): Tid {
    if (this.busy) this.#leadIfStarved()
    this.settle()
    return this.#visible
  }

  /** True while commits of this isolate wait to become durable. */
  get busy(): boolean {
    return this.#waiting.length > 0
  }

  /** A transaction was appended that will join. Call it with the mutex held. */
  come(): void {
    this.#gathering.come()
  }

  /**
   * Resolves once transaction `tid`, which was just appended, is durable, announced and visible.
   * @throws ShootoutError `sync-failed`, `log-failed`; whatever `onTid` throws
   */
  join(tid: Tid, onTid: ((tid: Tid) => void) | undefined): Promise<Tid> {
    const rollbacks = Atomics.load(this.#log.words, word.rollbacks)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ tid, rollbacks, onTid, resolve, reject })
      this.#drive()
    })
  }

  /** Announces what has been published: for storages that publish in `append` (no waiting for the disk). */
  announce(tid: Tid, onTid: ((tid: Tid) => void) | undefined): Promise<Tid> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        tid,
        rollbacks: Atomics.load(this.#log.words, word.rollbacks),
        onTid,
        resolve,
        reject,
      })
      this.settle()
    })
  }

  /** Resolves once `lastTid` is at least `tid`, or `tid` was taken back: nobody waits for it any more. */
  async published(tid: Tid): Promise<void> {
    const { words, numbers } = this.#log
    const rollbacks = Atomics.load(words, word.rollbacks)
    for (;;) {
      const epoch = Atomics.load(words, word.syncEpoch)
      if (
        this.visibleTid >= tid ||
        numbers.wasRolledBack(tid, rollbacks, Atomics.load(words, word.rollbacks))
      )
        return
      await changeOf(words, word.syncEpoch, epoch)
    }
  }

  /** Calls `onTid` of every own transaction that is published, in tid order, and only then lets it be seen. */
  settle(): void {
    // Called again from within an onTid: that transaction is not visible yet.
    if (this.#settling) return
    this.#settling = true
    const { numbers, words } = this.#log
    const last = numbers.lastTid
    const rollbacks = Atomics.load(words, word.rollbacks)
    const outcomes: (() => void)[] = []
    while (this.#waiting.length > 0) {
      const committer = this.#waiting[0]!
      const { tid, onTid, resolve, reject } = committer
      if (numbers.wasRolledBack(tid, committer.rollbacks, rollbacks)) {
        const error =
          Atomics.load(words, word.failed) === 0 ? syncFailed(this.#log.path) : logFailed(this.#log.path)
        outcomes.push(() => reject(error))
      } else if (tid <= last) {
        try {
          this.#gathering.noteConfirmed()
          onTid?.(tid)
          outcomes.push(() => resolve(tid))
        } catch (error) {
          outcomes.push(() => reject(error))
        }
      } else break
      this.#waiting.shift()
    }
    this.#visible = last
    this.#settling = false
    for (const outcome of outcomes) outcome()
  }

  /** Keeps going, one step per turn of the event loop, until nobody of this isolate waits. */
  #drive(): void {
    if (this.#driving) return
    this.#driving = true
    this.#drivingSince = performance.now()
    // Not at once: every task that is ready to commit in this turn of the event loop shall be in the group.
    setImmediate(() => {
      this.#step().catch((error: unknown) => {
        for (const { reject } of this.#waiting.splice(0)) reject(error)
        this.#driving = false
      })
    })
  }

  async #step(): Promise<void> {
    const { words, seats } = this.#log
    const gathering = this.#gathering
    const calls = Atomics.load(gathering.words, gathering.call)
    this.settle()
    if (this.busy) {
      const { holdMs } = gathering
      if (holdMs <= 0 && Atomics.compareExchange(words, word.syncing, 0, seats.own) === 0) await this.#lead()
      else await this.#follow(calls, holdMs)
      this.settle()
    }
    this.#driving = false
    if (this.busy) this.#drive()
  }

  async #lead(): Promise<void> {
    let seats: readonly number[] = []
    try {
      seats = await this.#flush()
    } finally {
      this.#stepDown(seats)
    }
  }

  /** @param seats to wake */
  #stepDown(seats: readonly number[]): void {
    const { words } = this.#log
    Atomics.store(words, word.syncing, 0)
    this.#gathering.wake(seats)
    Atomics.add(words, word.syncEpoch, 1)
    Atomics.notify(words, word.syncEpoch)
  }

  /** A caller that polls without ever yielding would keep our turn of the event loop from coming: lead here and now. */
  #leadIfStarved(): void {
    if (this.#settling || performance.now() - this.#drivingSince < starvedMs) return
    const { words, seats } = this.#log
    if (Atomics.compareExchange(words, word.syncing, 0, seats.own) !== 0) return
    let woken: readonly number[] = []
    try {
      woken = this.#flushInPlace()
    } finally {
      this.#stepDown(woken)
    }
  }

  /** Makes everything appended so far durable and publishes it, or takes it back. */
  async #flush(): Promise<readonly number[]> {
    if (this.#gathering.flushMs <= blockingMsMax) return this.#flushInPlace()
    const target = this.#target()
    const start = performance.now()
    let failure: Failure | undefined
    try {
      await this.#log.files.syncLater(target.file)
    } catch (cause) {
      failure = { cause }
    }
    return this.#flushed(target, start, failure)
  }

  #flushInPlace(): readonly number[] {
    const target = this.#target()
    const start = performance.now()
    let failure: Failure | undefined
    try {
      this.#log.files.sync(target.file)
    } catch (cause) {
      failure = { cause }
    }
    return this.#flushed(target, start, failure)
  }

  /** How far the log reaches now. */
  #target(): FlushTarget {
    const log = this.#log
    return log.locked(() => ({
      flush: this.#gathering.begin(),
      end: log.numbers.tail,
      tid: log.numbers.tailTid,
      file: log.file,
      generation: log.generation,
      rollbacks: Atomics.load(log.words, word.rollbacks),
    }))
  }

  /** @returns the seats of those to wake */
  #flushed(target: FlushTarget, startMs: number, failure: Failure | undefined): readonly number[] {
    const log = this.#log
    const flushMs = performance.now() - startMs
    log.counters.syncs++
    return log.locked(() => {
      this.#confirm(target, failure)
      return this.#gathering.end(target.flush, flushMs)
    })
  }

  #confirm(target: FlushTarget, failure: Failure | undefined): void {
    const log = this.#log
    const { numbers } = log
    // A file that took this one's place (pack) was flushed, and published, as a whole; and what was taken back
    // meanwhile must not be published by a flush that began before.
    if (target.generation !== log.generation) return
    if (target.rollbacks !== Atomics.load(log.words, word.rollbacks)) return
    if (Atomics.load(log.words, word.failed) !== 0) return
    if (failure === undefined) {
      if (target.end > numbers.durableEnd) numbers.durableEnd = target.end
      if (target.tid > numbers.lastTid) numbers.lastTid = target.tid
      return
    }
    const problem = takeBack(log)
    this.#report(
      `${log.path}: the disk did not confirm a commit: ${describeError(failure.cause)}; ` +
        (problem === undefined
          ? `everything since the last confirmed one was taken back, at position ${numbers.durableEnd}`
          : `it could not be taken back either: ${describeError(problem)}`),
    )
  }

  /** Waits for whoever leads at the moment, or for those that the flush is held back for. */
  async #follow(calls: number, holdMs: number): Promise<void> {
    const epoch = Atomics.load(this.#log.words, word.syncEpoch)
    const { words: gathering, call, flushMs, isFirst } = this.#gathering
    const isHeld = holdMs > 0
    if (flushMs <= blockingMsMax) {
      // No longer in place than leading would block. One keeps the time while a flush is held back; the others, who
      // would only be in the way of the flush, look later.
      const heldMs = isFirst ? holdMs : holdMs + flushMs
      Atomics.wait(gathering, call, calls, isHeld ? heldMs : 2 * blockingMsMax)
    } else await changeOf(gathering, call, calls, isHeld ? holdMs : undefined)
    if (this.#following.epoch !== epoch || isHeld) this.#following = { epoch, since: performance.now() }
    const followedMs = performance.now() - this.#following.since
    if (followedMs > doubtMs) buryDead(this.#log)
    if (followedMs < leaderMsMax) return
    this.#following.epoch = -1
    this.#gathering.wake(await this.#flush())
  }
}
