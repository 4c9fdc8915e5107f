/**
 * A pack that a client asked for, in the server.
 *
 * Which objects a record refers to is known by the client alone: it hands a function to `pack`, and functions do not
 * travel. The served storage wants that function to answer at once. So the server asks first: it walks through the
 * objects from the root, sends their data to the client in batches, and keeps the answers by a hash of the data. Then
 * the storage packs with a function that looks them up. Data that were committed meanwhile are not there yet: the
 * function throws, which stops the pack where it is harmless, the client is asked, and the pack begins again.
 */

import { createHash } from 'node:crypto'
import { ObjectNotFoundError, ShootoutError } from '../../core/errors.ts'
import { after, idBytes, type Oid, rootOid, type Tid } from '../../core/ids.ts'
import type { PackResult, Storage, StorageInstance } from '../storage.ts'
import type { BodyReader } from './body.ts'
import type { Channel } from './channel.ts'
import { dataOf } from './messages.ts'
import { packAsk, packProgress, types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'

/** Records asked about in one message, and their bytes, roughly. */
const askedMax = 256
const askedBytes = 1024 * 1024
/** How often commits may get in the way before packing gives up. */
const attemptsMax = 100

/** The pack met data that the client has not been asked about. */
class Unasked extends Error {
  readonly data: Uint8Array
  constructor(data: Uint8Array) {
    super('the references of a record are not known')
    this.data = data
  }
}

export class ServedPack {
  readonly #request: number
  readonly #storage: Storage
  readonly #channel: Channel
  readonly #stop = new AbortController()
  readonly #known = new Map<string, readonly Oid[]>()
  #waiting: { resolve(body: BodyReader): void; reject(error: unknown): void } | undefined
  #shown = -1

  constructor(request: number, storage: Storage, channel: Channel) {
    this.#request = request
    this.#storage = storage
    this.#channel = channel
  }

  /** The client gave up, or is gone. */
  cancel(): void {
    this.#stop.abort(new ShootoutError('cancelled', 'pack: called off by its client'))
    this.#waiting?.reject(this.#stop.signal.reason)
  }

  /** What the client said about the batch it was asked about. */
  answered(body: BodyReader): void {
    const waiting = this.#waiting
    if (waiting === undefined) throw new ProtocolError('references that nobody has asked for')
    this.#waiting = undefined
    waiting.resolve(body)
  }

  async run(before: Tid, collects: boolean): Promise<PackResult> {
    if (!collects) return await this.#pack(before)
    await this.#explore(before)
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      try {
        return await this.#pack(before, (data) => this.#referencesOf(data))
      } catch (error) {
        const unasked = unaskedIn(error)
        if (unasked === undefined) throw error
        await this.#walk(await this.#ask([unasked]), current)
      }
    }
    throw new ShootoutError(
      'pack-disturbed',
      `pack: ${attemptsMax} times, a commit came between; pack again later`,
      { transient: true },
    )
  }

  #pack(before: Tid, references?: (data: Uint8Array) => readonly Oid[]): Promise<PackResult> {
    return Promise.resolve(
      this.#storage.pack!({
        before,
        signal: this.#stop.signal,
        onProgress: (fraction) => this.#show(fraction),
        ...(references === undefined ? {} : { references }),
      }),
    )
  }

  /** A percent at a time: a storage may report more often than anybody wants to read. */
  #show(fraction: number): void {
    if (fraction < this.#shown + 0.01 && (fraction < 1 || this.#shown === 1)) return
    this.#shown = fraction
    const fields = this.#channel.fields.u8(packProgress).f64(fraction).take()
    this.#channel.send(types.part, this.#request, 0, fields)
  }

  #referencesOf(data: Uint8Array): readonly Oid[] {
    const known = this.#known.get(keyOf(data))
    if (known === undefined) throw new Unasked(data)
    return known
  }

  /** Asks about everything that the pack will want to know of, as far as it can be foreseen. */
  async #explore(before: Tid): Promise<void> {
    await this.#walk([rootOid], current)
    if (before >= this.#storage.lastTid) return
    // As it was at the pack time, and what was written since.
    await this.#walk([rootOid], (instance, oids) => asOf(instance, oids, after(before)))
    if (this.#storage.iterate === undefined) return
    for await (const transaction of this.#storage.iterate(after(before))) await this.#ask(dataOf(transaction))
  }

  /** From the given objects on, along the references. */
  async #walk(start: readonly Oid[], load: Load): Promise<void> {
    const instance = await this.#storage.newInstance()
    try {
      await instance.pollInvalidations()
      const seen = new Set(start)
      const next = [...start]
      while (next.length > 0) {
        for (const oid of await this.#ask(await load(instance, next.splice(-askedMax)))) {
          if (seen.has(oid)) continue
          seen.add(oid)
          next.push(oid)
        }
      }
    } finally {
      // What its snapshot shows would have to stay.
      await instance.release()
    }
  }

  /** What all these records refer to. Those that are known need no asking. */
  async #ask(found: readonly Uint8Array[]): Promise<Oid[]> {
    const all: Oid[] = []
    let batch: Uint8Array[] = []
    let bytes = 0
    for (const data of found) {
      const known = this.#known.get(keyOf(data))
      if (known !== undefined) {
        all.push(...known)
        continue
      }
      batch.push(data)
      bytes += data.length
      if (bytes < askedBytes && batch.length < askedMax) continue
      all.push(...(await this.#askClient(batch)))
      batch = []
      bytes = 0
    }
    if (batch.length > 0) all.push(...(await this.#askClient(batch)))
    return all
  }

  async #askClient(batch: readonly Uint8Array[]): Promise<Oid[]> {
    this.#stop.signal.throwIfAborted()
    const { fields } = this.#channel
    fields.u8(packAsk).u32(batch.length)
    for (const data of batch) fields.u32(data.length)
    // In a lane of its own: a long part must not be overtaken by the answer.
    this.#channel.send(types.part, this.#request, 0, fields.take(), batch, this.#request)
    const answer = await new Promise<BodyReader>((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
    const all: Oid[] = []
    for (const data of batch) {
      const oids = Array.from({ length: answer.count(idBytes) }, () => answer.oid())
      this.#known.set(keyOf(data), oids)
      all.push(...oids)
    }
    answer.end()
    return all
  }
}

type Load = (instance: StorageInstance, oids: readonly Oid[]) => Promise<readonly Uint8Array[]>

async function current(instance: StorageInstance, oids: readonly Oid[]): Promise<Uint8Array[]> {
  const loaded = await instance.loadMany(oids)
  return loaded.flatMap((revision) => (revision === undefined ? [] : [revision.data]))
}

async function asOf(instance: StorageInstance, oids: readonly Oid[], tid: Tid): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  for (const oid of oids) {
    try {
      const revision = await instance.loadBefore(oid, tid)
      if (revision !== undefined) found.push(revision.data)
    } catch (error) {
      // Not there at that time: it refers to nothing.
      if (!(error instanceof ObjectNotFoundError)) throw error
    }
  }
  return found
}

function keyOf(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('binary')
}

/** A storage may have wrapped what the function threw. */
function unaskedIn(error: unknown): Uint8Array | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof Unasked) return cause.data
  }
  return undefined
}
