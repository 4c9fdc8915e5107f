/**
 * What a view sends its client without being waited for: neighbours of objects that were loaded, found by following
 * references, and objects that the client would like to have (`prefetch`). All of it is evaluated in the snapshot that
 * the view is in and says so, ends with that snapshot, and goes behind everything else: a step is taken when nothing
 * that has arrived is left to be handled (background.ts), in the view's turns, and while little waits to be sent.
 */

import { attempt, chain } from '../../core/awaitable.ts'
import type { Oid } from '../../core/ids.ts'
import type { Revision, StorageInstance } from '../storage.ts'
import type { Background } from './background.ts'
import type { Channel } from './channel.ts'
import type { KnownObjects } from './known-objects.ts'
import type { ServerLimits } from './limits.ts'
import { type Allowance, type SentObject, writeObjects } from './messages.ts'
import { types } from './protocol.ts'

/** What reading ahead asks of its view and connection. */
export interface AheadHost {
  readonly channel: Channel
  readonly limits: ServerLimits
  readonly background: Background
  /** Finds what a record refers to; undefined: nobody knows. */
  readonly references: ((data: Uint8Array) => Iterable<Oid>) | undefined
  /** What the client has been sent; from the first time that it is looked at. */
  readonly known: KnownObjects
  /** The client is sent an object. */
  sent(oid: Oid): void
  fail(request: number, error: unknown): void
  /** So many objects were sent as neighbours, of so many bytes, or because they were asked for ahead. */
  sentAlong(count: number, bytes: number): void
  sentAhead(count: number): void
}

/** Read in one step: what a request that arrives meanwhile may have to wait for. */
const objectsPerStepMax = 64
const bytesPerStepWanted = 128 * 1024
/** Steps are taken while less than this is waiting to be sent. */
const queuedBytesMax = 64 * 1024
/** Larger objects are not sent along; few caches would take them. */
const neighbourBytesMax = 64 * 1024
/** Objects whose neighbours are still to be sent. The newest are served first, and the oldest forgotten. */
const walksMax = 16
/** A message of objects is sent when it has come to this. */
const messageBytesWanted = 64 * 1024
/** Objects that were loaded while a prefetch of them may be waiting. */
const overtakenMax = 4096

/** From an object to its neighbours, nearest first. */
interface Walk {
  /** Everything that was met, and what of it comes next, in the order in which it was met. */
  readonly met: Set<Oid>
  readonly queue: Oid[]
  at: number
  /** The client has lost what it was sent before: what it was sent does not count. */
  readonly sendsAll: boolean
  objects: number
  bytes: number
}

interface Prefetch {
  readonly request: number
  readonly oids: readonly Oid[]
  at: number
  bytes: number
}

export class ServedAhead {
  readonly #host: AheadHost
  readonly #view: number
  readonly #instance: StorageInstance
  readonly #inTurn: (step: () => void | Promise<void>) => void
  /** Newest last. */
  readonly #walks: Walk[] = []
  readonly #prefetches: Prefetch[] = []
  readonly #overtaken = new Set<Oid>()
  #isScheduled = false
  /** Objects read in the next step: fewer where the last ones were large. */
  #objectsPerStep = 16

  constructor(
    host: AheadHost,
    view: number,
    instance: StorageInstance,
    inTurn: (step: () => void | Promise<void>) => void,
  ) {
    this.#host = host
    this.#view = view
    this.#instance = instance
    this.#inTurn = inTurn
  }

  /** The client was sent this, and would like what it refers to. */
  follow(oid: Oid, data: Uint8Array, allowed: Allowance): void {
    const { known, limits } = this.#host
    const sendsAll = known.has(oid)
    known.add(oid)
    const objects = Math.min(allowed.objects, limits.neighboursMax)
    const bytes = Math.min(allowed.bytes, limits.neighbourBytesMax)
    if (this.#host.references === undefined || objects === 0) return
    const walk: Walk = { met: new Set([oid]), queue: [], at: 0, sendsAll, objects, bytes }
    this.#meet(walk, data)
    if (walk.queue.length === 0) return
    if (this.#walks.length === walksMax) this.#walks.shift()
    this.#walks.push(walk)
    this.#schedule()
  }

  prefetch(request: number, bytes: number, oids: readonly Oid[]): void {
    const { prefetchesMax } = this.#host.limits
    if (oids.length === 0 || this.#prefetches.length >= prefetchesMax) {
      this.#answer(request, oids.length)
      return
    }
    this.#prefetches.push({ request, oids, at: 0, bytes })
    this.#schedule()
  }

  /** The client could not wait for this one. */
  overtake(oid: Oid): void {
    if (this.#prefetches.length === 0) return
    if (this.#overtaken.size >= overtakenMax) this.#overtaken.clear()
    this.#overtaken.add(oid)
  }

  /** Calls one prefetch off. */
  cancel(request: number): void {
    const place = this.#prefetches.findIndex((one) => one.request === request)
    if (place === -1) return
    const [{ at }] = this.#prefetches.splice(place, 1) as [Prefetch]
    this.#answer(request, at)
  }

  /** The snapshot ends. */
  end(): void {
    this.#walks.length = 0
    for (const { request, at } of this.#prefetches.splice(0)) this.#answer(request, at)
    this.#overtaken.clear()
  }

  #schedule(): void {
    if (this.#isScheduled || (this.#walks.length === 0 && this.#prefetches.length === 0)) return
    this.#isScheduled = true
    this.#host.background.add(() => this.#inTurn(() => this.#begin()))
  }

  #begin(): void | Promise<void> {
    const { channel } = this.#host
    if (channel.isClosed) return
    if (channel.queuedBytes < queuedBytesMax) {
      this.#isScheduled = false
      return this.#step()
    }
    void channel.drained().then(() => {
      this.#isScheduled = false
      this.#schedule()
    })
  }

  #step(): void | Promise<void> {
    const walk = this.#walks.at(-1)
    const prefetch = this.#prefetches[0]
    if (walk !== undefined) return this.#walk(walk)
    if (prefetch !== undefined) return this.#serve(prefetch)
  }

  // --- Neighbours -----------------------------------------------------------------------------------------------------

  #walk(walk: Walk): void | Promise<void> {
    const oids: Oid[] = []
    const count = Math.min(this.#objectsPerStep, walk.objects)
    while (oids.length < count && walk.at < walk.queue.length) {
      const oid = walk.queue[walk.at++]!
      if (walk.sendsAll || !this.#host.known.has(oid)) oids.push(oid)
    }
    if (oids.length === 0) {
      this.#walks.splice(this.#walks.indexOf(walk), 1)
      this.#schedule()
      return
    }
    return this.#load(oids, 0, (objects) => {
      const sent: SentObject[] = []
      for (const object of objects) {
        const { length } = object.data
        if (length > neighbourBytesMax) continue
        if (length > walk.bytes) {
          walk.objects = 0
          break
        }
        walk.objects--
        walk.bytes -= length
        this.#host.known.add(object.oid)
        this.#host.sentAlong(1, length)
        sent.push(object)
        this.#meet(walk, object.data)
      }
      this.#send(sent)
    })
  }

  #meet({ met, queue, at, objects }: Walk, data: Uint8Array): void {
    for (const oid of this.#referencesOf(data)) {
      // Some of them the client has, or they are too large: those in reserve make up for them.
      if (queue.length - at >= 4 * objects) return
      if (met.has(oid)) continue
      met.add(oid)
      queue.push(oid)
    }
  }

  #referencesOf(data: Uint8Array): Iterable<Oid> {
    if (data.length > neighbourBytesMax) return []
    try {
      return this.#host.references!(data)
    } catch {
      // The record is of a format of its own, as it may be. Sending along is a favour, and the record has been sent.
      return []
    }
  }

  // --- Prefetching ----------------------------------------------------------------------------------------------------

  #serve(prefetch: Prefetch): void | Promise<void> {
    const { request } = prefetch
    const served = prefetch.at + this.#objectsPerStep
    const oids = prefetch.oids.slice(prefetch.at, served).filter((oid) => !this.#overtaken.has(oid))
    return this.#load(oids, request, (objects) => {
      this.#send(objects)
      this.#host.sentAhead(objects.length)
      for (const { oid, data } of objects) {
        this.#host.sent(oid)
        prefetch.bytes -= data.length
      }
      prefetch.at = Math.min(served, prefetch.oids.length)
      if (prefetch.at < prefetch.oids.length && prefetch.bytes > 0) return
      this.cancel(request)
      if (this.#prefetches.length === 0) this.#overtaken.clear()
    })
  }

  // --- Both -----------------------------------------------------------------------------------------------------------

  /** Reads them, hands on those that exist, and goes on with what is next. */
  #load(
    oids: readonly Oid[],
    request: number,
    then: (objects: readonly SentObject[]) => void,
  ): void | Promise<void> {
    const arrived = (revisions: readonly (Revision | undefined)[]): void => {
      const objects: SentObject[] = []
      revisions.forEach((revision, index) => {
        if (revision !== undefined) objects.push({ oid: oids[index]!, ...revision })
      })
      this.#learn(objects)
      then(objects)
      this.#schedule()
    }
    const failed = (error: unknown): void => {
      this.#walks.length = 0
      const place = this.#prefetches.findIndex((one) => one.request === request)
      if (place !== -1) this.#prefetches.splice(place, 1)
      this.#host.fail(request, error)
      this.#schedule()
    }
    return attempt(() => chain(oids.length === 0 ? [] : this.#instance.loadMany(oids), arrived), failed)
  }

  #learn(objects: readonly SentObject[]): void {
    if (objects.length === 0) return
    const bytesEach = objects.reduce((sum, { data }) => sum + data.length, 0) / objects.length
    const wanted = Math.floor(bytesPerStepWanted / Math.max(1, bytesEach))
    this.#objectsPerStep = Math.max(1, Math.min(wanted, 2 * this.#objectsPerStep, objectsPerStepMax))
  }

  #send(objects: readonly SentObject[]): void {
    let message: SentObject[] = []
    let bytes = 0
    const send = (): void => {
      if (message.length === 0) return
      const { channel } = this.#host
      const fields = writeObjects(channel.fields, this.#instance.snapshotTid, message)
      const payload = message.map(({ data }) => data)
      // A lane of their own keeps them in order, and before the end of a prefetch, also where one is long.
      channel.sendBehind(types.objects, 0, this.#view, fields, payload, this.#lane)
      message = []
      bytes = 0
    }
    for (const object of objects) {
      if (bytes + object.data.length > messageBytesWanted) send()
      message.push(object)
      bytes += object.data.length
    }
    send()
  }

  #answer(request: number, count: number): void {
    const { channel } = this.#host
    channel.sendBehind(types.reply, request, 0, channel.fields.u32(count).take(), undefined, this.#lane)
  }

  /** Requests are the lanes of bulk answers, so their numbers are taken. */
  get #lane(): number {
    return -1 - this.#view
  }
}
