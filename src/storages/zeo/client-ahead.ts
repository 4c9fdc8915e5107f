/**
 * What an instance fetches before it is asked for it, within one snapshot: objects that the application names
 * (`prefetch`), and those that are found by following the references of what had to be loaded. All of it travels behind
 * everything else, in a few requests at a time, however much is wanted, and ends with the snapshot.
 *
 * An object is asked for once, whoever wants it. A load does not wait for a prefetch of the same object: it is asked for
 * at once, overtakes, and is answered by whichever comes first.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { MutableCounters, Revision } from '../storage.ts'
import type { Link } from './link.ts'
import { writePrefetch } from './messages.ts'
import { prefetchedMax, types } from './protocol.ts'

/** How far ahead a storage reads. */
export interface AheadSettings {
  /** Objects that the server may send along with each that is loaded. */
  readonly neighbours: number
  /** References followed from here, from what was loaded; 0: none. */
  readonly depth: number
  /** Objects that are fetched for that after one load. */
  readonly objectsMax: number
  /** Bytes sent along with one object, and bytes that one request for referred objects may bring. */
  readonly bytesMax: number
  /** Finds what a record refers to. */
  references(data: Uint8Array): Iterable<Oid>
}

/** What reading ahead asks of the instance that reads. */
export interface AheadHost {
  readonly counted: MutableCounters
  /** What the snapshot shows, where it is here. */
  here(oid: Oid): Uint8Array | undefined
  /** The object is being loaded in this snapshot. */
  loading(link: Link, snapshot: Tid, oid: Oid): Promise<unknown> | undefined
}

/** Requests under way. While one is being answered the next is there already. */
const requestsMax = 2
/** Bytes that one request for named objects may bring, and with the last object more. */
const requestBytes = 16 * 1024 ** 2
/** Referred objects that wait to be asked for; further ones are not followed. */
const frontierMax = 8192

/** One call of `prefetch`. */
interface Call {
  readonly oids: readonly Oid[]
  at: number
  /** Objects that have been asked for and have not come. */
  pending: number
  resolve(): void
  reject(error: Error): void
}

/** An object that has been asked for. */
interface Expected {
  /** References to follow from it. */
  readonly depth: number
  readonly walk: Walk | undefined
  readonly calls: Call[]
  /** A load that has overtaken. */
  overtaking?: (revision: Revision) => void
}

/** What follows from one load. */
interface Walk {
  objects: number
}

interface Request {
  readonly oids: readonly Oid[]
  id: number
}

interface Met {
  readonly depth: number
  readonly walk: Walk
}

export class ClientAhead {
  readonly snapshot: Tid
  readonly #host: AheadHost
  readonly #link: Link
  readonly #view: number
  readonly #settings: AheadSettings | undefined
  readonly #expected = new Map<Oid, Expected>()
  readonly #requests = new Set<Request>()
  /** Not done, oldest first. */
  readonly #calls = new Set<Call>()
  /** What a request had no room for. */
  #again: Oid[] = []
  /** Referred objects, nearest first. */
  readonly #frontier = new Map<Oid, Met>()
  #isFollowing = false
  #isEnded = false

  constructor(host: AheadHost, link: Link, view: number, snapshot: Tid, settings: AheadSettings | undefined) {
    this.#host = host
    this.#link = link
    this.#view = view
    this.snapshot = snapshot
    this.#settings = settings
  }

  // --- What is wanted -------------------------------------------------------------------------------------------------

  /** Resolves when they are there, do not exist, are called off, or the snapshot has ended. */
  prefetch(oids: readonly Oid[], signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        resolve()
        return
      }
      const onAbort = () => this.#callOff(call)
      const done = () => signal?.removeEventListener('abort', onAbort)
      const call: Call = {
        oids: [...oids],
        at: 0,
        pending: 0,
        resolve() {
          done()
          resolve()
        },
        reject(error) {
          done()
          reject(error)
        },
      }
      signal?.addEventListener('abort', onAbort)
      this.#calls.add(call)
      this.#pump()
    })
  }

  /** The reader is at an object: what it refers to may be next. */
  follow(data: Uint8Array, depth: number, objects: number): void {
    if (this.#isEnded) return
    this.#meet(data, depth, { objects })
    if (this.#frontier.size === 0 || this.#isFollowing) return
    this.#isFollowing = true
    // What is read at once is under way by then, and not asked for twice.
    setImmediate(() => {
      this.#isFollowing = false
      this.#pump()
    })
  }

  #meet(data: Uint8Array, depth: number, walk: Walk): void {
    let oids: Iterable<Oid>
    try {
      oids = this.#settings!.references(data)
    } catch {
      // Not a record of the object layer: nobody knows what it refers to, and nobody has asked.
      return
    }
    for (const oid of oids) {
      if (walk.objects === 0 || this.#frontier.size >= frontierMax) return
      if (this.#frontier.has(oid) || this.#expected.has(oid)) continue
      walk.objects--
      this.#frontier.set(oid, { depth, walk })
    }
  }

  /** A load of this object has to be made although it is expected: returns its result, whichever way it comes first. */
  overtake(oid: Oid, loading: Promise<Revision>, use: (revision: Revision) => Revision): Promise<Revision> {
    const expected = this.#expected.get(oid)!
    return new Promise((resolve, reject) => {
      expected.overtaking = (revision) => resolve(use(revision))
      loading.then(resolve, reject)
    })
  }

  isExpected(oid: Oid): boolean {
    return this.#expected.has(oid)
  }

  // --- Asking ---------------------------------------------------------------------------------------------------------

  #pump(): void {
    while (!this.#isEnded && this.#requests.size < requestsMax) {
      const again = this.#again.splice(0, prefetchedMax)
      const named = again.length > 0 ? again : this.#nextNamed()
      if (named.length > 0) {
        this.#ask(named, requestBytes)
        continue
      }
      const met = this.#nextMet()
      if (met.length === 0) return
      this.#ask(met, this.#settings!.bytesMax)
    }
  }

  #nextNamed(): Oid[] {
    const oids: Oid[] = []
    for (const call of this.#calls) {
      while (call.at < call.oids.length && oids.length < prefetchedMax) {
        const oid = call.oids[call.at++]!
        if (this.#want(oid, call)) oids.push(oid)
      }
      this.#settle(call)
      if (oids.length === prefetchedMax) break
    }
    return oids
  }

  /** Whether the object is to be asked for. */
  #want(oid: Oid, call: Call): boolean {
    const expected = this.#expected.get(oid)
    const loading = expected === undefined ? this.#host.loading(this.#link, this.snapshot, oid) : undefined
    if (loading !== undefined) {
      call.pending++
      const done = () => {
        call.pending--
        this.#settle(call)
      }
      loading.then(done, done)
      return false
    }
    if (expected === undefined && this.#host.here(oid) !== undefined) return false
    call.pending++
    expected?.calls.push(call)
    if (expected !== undefined) return false
    this.#expected.set(oid, { depth: 0, walk: undefined, calls: [call] })
    return true
  }

  #nextMet(): Oid[] {
    const oids: Oid[] = []
    for (const [oid, { depth, walk }] of this.#frontier) {
      if (oids.length === prefetchedMax) break
      this.#frontier.delete(oid)
      if (this.#expected.has(oid) || this.#host.loading(this.#link, this.snapshot, oid) !== undefined)
        continue
      const data = this.#host.here(oid)
      if (data !== undefined) {
        if (depth > 1) this.#meet(data, depth - 1, walk)
        continue
      }
      this.#expected.set(oid, { depth: depth - 1, walk, calls: [] })
      oids.push(oid)
    }
    return oids
  }

  #ask(oids: readonly Oid[], bytes: number): void {
    const link = this.#link
    const request: Request = { oids, id: 0 }
    this.#requests.add(request)
    this.#host.counted.roundTrips++
    const fields = writePrefetch(link.fields, bytes, oids)
    const asking = link.callBehind(types.prefetch, this.#view, fields, (body) =>
      this.#answered(request, body.u32()),
    )
    request.id = link.lastRequest
    asking.catch((error: Error) => this.#fail(error))
  }

  // --- What comes -----------------------------------------------------------------------------------------------------

  /** An object has come along. Whether it was named by the application. */
  arrived(oid: Oid, revision: Revision): boolean {
    const expected = this.#expected.get(oid)
    if (expected === undefined) return false
    this.#expected.delete(oid)
    expected.overtaking?.(revision)
    if (expected.depth > 0) {
      this.#meet(revision.data, expected.depth, expected.walk!)
      this.#pump()
    }
    this.#came(expected)
    return expected.calls.length > 0 && expected.overtaking === undefined
  }

  /** @param count how many of the objects the server looked at; the others it had no room for, or was told to leave */
  #answered(request: Request, count: number): void {
    this.#requests.delete(request)
    if (this.#isEnded) return
    request.oids.forEach((oid, index) => {
      const expected = this.#expected.get(oid)
      if (expected === undefined) return
      const isWanted = expected.calls.some((call) => this.#calls.has(call))
      if (index >= count && isWanted && expected.overtaking === undefined) {
        this.#again.push(oid)
        return
      }
      this.#expected.delete(oid)
      this.#came(expected)
    })
    this.#pump()
  }

  #came({ calls }: Expected): void {
    for (const call of calls) {
      call.pending--
      this.#settle(call)
    }
  }

  #settle(call: Call): void {
    if (call.pending > 0 || call.at < call.oids.length || !this.#calls.delete(call)) return
    call.resolve()
  }

  // --- The end --------------------------------------------------------------------------------------------------------

  #callOff(call: Call): void {
    this.#calls.delete(call)
    call.resolve()
    if (this.#link.isLost) return
    for (const { id, oids } of this.#requests) {
      const wanting = oids.flatMap((oid) => this.#expected.get(oid)?.calls ?? [])
      if (!wanting.includes(call) || wanting.some((one) => this.#calls.has(one))) continue
      this.#link.tellBehind(types.cancel, this.#view, this.#link.fields.u32(id).take())
    }
  }

  /** The snapshot has ended. */
  end(): void {
    if (this.#link.isLost) {
      this.#fail(this.#link.lostError())
      return
    }
    this.#isEnded = true
    for (const call of this.#calls) call.resolve()
    this.#forget()
  }

  #fail(error: Error): void {
    // A late failure of what has ended long ago, or the first of several.
    if (this.#isEnded) return
    this.#isEnded = true
    for (const call of this.#calls) call.reject(error)
    this.#forget()
  }

  #forget(): void {
    this.#calls.clear()
    this.#expected.clear()
    this.#frontier.clear()
    this.#again = []
  }
}
