/**
 * What a view is asked to read: snapshots, revisions, blobs, and whether what a client has kept is still current.
 *
 * No `await` separates taking a snapshot from queueing its answer, or reading a revision from queueing its answer.
 */

import { ShootoutError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { Awaitable, Invalidations, Revision, StorageInstance } from '../storage.ts'
import {
  type Allowance,
  type Kept,
  type PollQuestion,
  writeHistory,
  writeSnapshot,
  writeSnapshotWithChanges,
} from './messages.ts'
import { absentLength, prefetchedMax, types } from './protocol.ts'
import { ServedAhead } from './served-ahead.ts'
import { type ChangedObject, type Changes, staleOf } from './served-changes.ts'
import { unsupported, type ViewHost } from './view-host.ts'

const nothing = new Uint8Array(0)

/** Objects that one part of a bulk answer is made of. */
const objectsPerPart = 128
/** A bulk answer goes on when less than this is waiting to be sent. */
const bulkQueuedBytes = 1024 * 1024

export class ServedReads {
  /** The view's number. */
  readonly #view: number
  readonly #host: ViewHost
  readonly #inTurn: (step: () => void | Promise<void>) => void
  /** What the client does not wait for; once it asks for any. */
  #ahead: ServedAhead | undefined

  /** @param inTurn has something done when the messages that have arrived for the view have been */
  constructor(view: number, host: ViewHost, inTurn: (step: () => void | Promise<void>) => void) {
    this.#view = view
    this.#host = host
    this.#inTurn = inTurn
  }

  poll(instance: StorageInstance, request: number, question: PollQuestion | undefined): Awaitable<void> {
    this.endAhead()
    const polled = instance.pollInvalidations()
    const answer = (invalidations: Invalidations): Awaitable<void> => {
      if (question !== undefined) return this.#answerPoll(instance, request, invalidations, question)
      const { channel } = this.#host
      const tid = instance.snapshotTid
      this.#host.showing(tid)
      channel.send(types.reply, request, 0, writeSnapshot(channel.fields, tid, invalidations))
    }
    return polled instanceof Promise ? polled.then(answer) : answer(polled)
  }

  /**
   * With what changed since any snapshot. The view's own snapshot is taken and stays; whatever this waits for, no other
   * message of this view is looked at meanwhile.
   */
  #answerPoll(
    instance: StorageInstance,
    request: number,
    invalidations: Invalidations,
    { since, withStates, witness }: PollQuestion,
  ): Awaitable<void> {
    const tid = instance.snapshotTid
    const answer = (changes: Changes): void => {
      const { channel } = this.#host
      this.#host.showing(tid)
      this.#host.changed(changes === 'all' ? changes : changes.map(({ oid }) => oid))
      const sent =
        changes === 'all' ? changes : withStates ? withSmallStates(changes) : withoutStates(changes)
      const pieces = sent === 'all' ? [] : sent.flatMap(({ data }) => data ?? [])
      const fields = writeSnapshotWithChanges(channel.fields, { tid, invalidations, changes: sent })
      channel.send(types.reply, request, 0, fields, pieces)
    }
    if (since === tid && witness === undefined) return answer([])
    // Also where nothing is asked yet: from here on it can be told.
    const changes =
      witness === undefined
        ? this.#host.changesSince(instance, since, withStates)
        : this.#host.changesBefore(instance, since, witness, withStates)
    return changes instanceof Promise ? changes.then(answer) : answer(changes)
  }

  renew(instance: StorageInstance, request: number, question: PollQuestion | undefined): Awaitable<void> {
    this.endAhead()
    // Before the snapshot is taken: no commit may fall between.
    this.#host.watch()
    const completed = instance.afterCompletion()
    if (completed instanceof Promise) return completed.then(() => this.poll(instance, request, question))
    return this.poll(instance, request, question)
  }

  /** @param along what may be sent along */
  load(instance: StorageInstance, request: number, oid: Oid, along: Allowance | undefined): Awaitable<void> {
    this.#ahead?.overtake(oid)
    const loaded = instance.load(oid)
    const answer = ({ serial, data }: Revision): void => {
      const { channel } = this.#host
      this.#host.loaded(1)
      const fields = channel.fields.id(instance.snapshotTid).id(serial).take()
      channel.send(types.reply, request, 0, fields, data)
      if (along === undefined) this.#host.sent(oid)
      else this.#aheadOf(instance).follow(oid, data, along)
    }
    return loaded instanceof Promise ? loaded.then(answer) : answer(loaded)
  }

  /** @param bytes that the objects may come to */
  prefetch(instance: StorageInstance, request: number, bytes: number, oids: readonly Oid[]): void {
    if (oids.length > prefetchedMax)
      throw new ShootoutError('limit', `at most ${prefetchedMax} objects in one prefetch`)
    this.#aheadOf(instance).prefetch(request, bytes, oids)
  }

  /** The answer to this prefetch is not wanted any more. */
  cancel(request: number): void {
    this.#ahead?.cancel(request)
  }

  /** The snapshot ends. */
  endAhead(): void {
    this.#ahead?.end()
  }

  #aheadOf(instance: StorageInstance): ServedAhead {
    this.#ahead ??= new ServedAhead(this.#host, this.#view, instance, this.#inTurn)
    return this.#ahead
  }

  /** In parts, so that the first objects travel while the next are read, and a slow client fills no memory here. */
  async loadMany(instance: StorageInstance, request: number, oids: readonly Oid[]): Promise<void> {
    const { channel, parts } = this.#host
    for (const oid of oids) {
      this.#ahead?.overtake(oid)
      this.#host.sent(oid)
    }
    for (let from = 0; from < oids.length; from += objectsPerPart) {
      const turn = parts.take()
      if (turn !== undefined) await turn
      try {
        // Others may have waited for the same moment.
        while (channel.queuedBytes > bulkQueuedBytes && !channel.isClosed) await channel.drained()
        if (channel.isClosed) return
        const loading = instance.loadMany(oids.slice(from, from + objectsPerPart))
        this.#sendPart(instance, request, loading instanceof Promise ? await loading : loading)
        // The last part and the end travel together.
        if (from + objectsPerPart < oids.length) channel.flush()
      } finally {
        parts.give()
      }
    }
    channel.send(types.reply, request, 0, nothing, undefined, request)
  }

  #sendPart(instance: StorageInstance, request: number, revisions: readonly (Revision | undefined)[]): void {
    const { channel } = this.#host
    const { fields } = channel
    fields.id(instance.snapshotTid).u32(revisions.length)
    const pieces: Uint8Array[] = []
    for (const revision of revisions) {
      fields.id(revision?.serial ?? (0 as Tid)).u32(revision?.data.length ?? absentLength)
      if (revision !== undefined) pieces.push(revision.data)
    }
    this.#host.loaded(pieces.length)
    // A lane of their own keeps the parts and the end in order, also where a part is long.
    channel.send(types.part, request, 0, fields.take(), pieces, request)
  }

  loadBefore(instance: StorageInstance, request: number, oid: Oid, before: Tid): Awaitable<void> {
    const loaded = instance.loadBefore(oid, before)
    const answer = (span: Awaited<typeof loaded>): void => {
      const { channel } = this.#host
      if (span === undefined) {
        channel.send(types.reply, request, 0)
        return
      }
      this.#host.loaded(1)
      this.#host.showing(span.nextSerial ?? span.serial)
      const fields = channel.fields
        .id(span.serial)
        .id(span.nextSerial ?? (0 as Tid))
        .take()
      channel.send(types.reply, request, 0, fields, span.data)
    }
    return loaded instanceof Promise ? loaded.then(answer) : answer(loaded)
  }

  async history(instance: StorageInstance, request: number, oid: Oid, count: number): Promise<void> {
    if (instance.history === undefined) throw unsupported('history')
    const { channel } = this.#host
    const entries = await instance.history(oid, count)
    if (entries.length > 0) this.#host.showing(entries[0]!.tid)
    channel.send(types.reply, request, 0, writeHistory(channel.fields, entries))
  }

  async openBlob(instance: StorageInstance, request: number, oid: Oid): Promise<void> {
    if (instance.openBlob === undefined) throw unsupported('openBlob')
    const reader = await instance.openBlob(oid)
    const { channel, blobs } = this.#host
    if (reader === undefined) {
      channel.send(types.reply, request, 0, channel.fields.u8(0).take())
      return
    }
    const number = await blobs.keep(reader, this.#view)
    const { fields } = channel
    channel.send(types.reply, request, 0, fields.u8(1).id(reader.serial).f64(reader.bytes).u32(number).take())
  }

  async verify(instance: StorageInstance, request: number, kept: readonly Kept[]): Promise<void> {
    if (kept.length > verifiedMax)
      throw new ShootoutError('limit', `at most ${verifiedMax} revisions in one request`)
    const stale = await staleOf(instance, kept)
    const { fields } = this.#host.channel
    fields.id(instance.snapshotTid)
    for (const oid of stale) fields.id(oid)
    this.#host.channel.send(types.reply, request, 0, fields.take())
  }
}

/** Revisions in one request to verify them. */
const verifiedMax = 1024

/** States that travel with the notice of their change, each and all together. */
const stateBytesMax = 4096
const statesBytesMax = 256 * 1024

function withoutStates(changes: readonly ChangedObject[]): ChangedObject[] {
  return changes.map(({ oid, serial }) => ({ oid, serial, data: undefined }))
}

function withSmallStates(changes: readonly ChangedObject[]): ChangedObject[] {
  let bytesLeft = statesBytesMax
  return changes.map(({ oid, serial, data }) => {
    if (data === undefined || data.length > Math.min(stateBytesMax, bytesLeft)) {
      return { oid, serial, data: undefined }
    }
    bytesLeft -= data.length
    return { oid, serial, data }
  })
}
