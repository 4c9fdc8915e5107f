/**
 * What a hostile or broken peer may say after it has learnt how to speak: conversations of real clients, changed.
 * Frames are dropped, doubled, exchanged and moved between conversations; their fields, lengths and bodies changed; the
 * bytes cut, flipped and shifted. Nothing but a violation of the protocol comes of it: the server goes on, another
 * connection does not notice, memory is given back.
 *
 * `SHOOTOUT_FUZZ=10m` for more than the few seconds of every day; a failure prints seed and path of its example.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { parseDuration } from '../../../src/core/units.ts'
import memory from '../../../src/storages/memory.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import type { Storage, StorageInstance } from '../../../src/storages/storage.ts'
import { ClientCache, shareClientCache } from '../../../src/storages/zeo/client-cache.ts'
import { type ClientStorage, openClient } from '../../../src/storages/zeo/client-storage.ts'
import { FrameParser } from '../../../src/storages/zeo/frame-parser.ts'
import { frameBytesMax, headerBytes, types } from '../../../src/storages/zeo/protocol.ts'
import { ProtocolError } from '../../../src/storages/zeo/protocol-error.ts'
import { ZeoServer } from '../../../src/storages/zeo/server.ts'
import type { LogEntry } from '../../../src/storages/zeo/server-log.ts'
import type { Wire, WireEvents } from '../../../src/storages/zeo/wire.ts'
import { eventually } from './harness.ts'
import { wirePair } from './test-wire.ts'

const given = process.env['SHOOTOUT_FUZZ']
/** For each of the two. */
const fuzzMs = given === undefined ? undefined : parseDuration(given) / 1e6 / 2
const seed = Number(process.env['SHOOTOUT_TEST_SEED'] ?? Date.now() % 2 ** 31)

/** @param count every day; with more time, as many as there is time for */
const runs = (count: number): fc.Parameters<unknown> => ({
  seed,
  ...(fuzzMs === undefined
    ? { numRuns: count }
    : { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: fuzzMs, markInterruptAsFailure: false }),
})
const timeout = (fuzzMs ?? 0) + 60_000

// --- What is changed ------------------------------------------------------------------------------------------------

/** A frame, its header in fields. `length` is what the header says, whatever the body is. */
interface Frame {
  readonly length: number
  readonly type: number
  readonly id: number
  readonly view: number
  readonly body: Uint8Array
}

type Change =
  | { readonly kind: 'drop' | 'double' | 'exchange' | 'cut'; readonly at: number }
  | { readonly kind: 'insert'; readonly at: number; readonly from: number }
  | { readonly kind: 'type' | 'id' | 'view' | 'length'; readonly at: number; readonly value: number }
  | { readonly kind: 'body'; readonly at: number; readonly byte: number; readonly value: number }
  | { readonly kind: 'field'; readonly at: number; readonly byte: number; readonly value: number }
  | { readonly kind: 'shorten' | 'lengthen'; readonly at: number; readonly by: number }

function readFrames(bytes: Uint8Array): Frame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at)
    const body = bytes.slice(at + headerBytes, at + headerBytes + length)
    const [id, ofView] = [view.getUint32(at + 8), view.getUint32(at + 12)]
    frames.push({ length, type: bytes[at + 4]!, id, view: ofView, body })
    at += headerBytes + length
  }
  return frames
}

function writeFrames(frames: readonly Frame[]): Uint8Array {
  const pieces = frames.flatMap(({ length, type, id, view, body }) => {
    const header = new DataView(new ArrayBuffer(headerBytes))
    header.setUint32(0, length)
    header.setUint8(4, type)
    header.setUint32(8, id)
    header.setUint32(12, view)
    return [new Uint8Array(header.buffer), body]
  })
  return new Uint8Array(Buffer.concat(pieces))
}

/** Places are taken modulo what there is. */
function changed(frames: readonly Frame[], changes: readonly Change[]): Frame[] {
  const result = [...frames]
  for (const change of changes) {
    const at = change.at % Math.max(1, result.length)
    const frame = result[at]
    if (frame === undefined) return result
    const withBody = (body: Uint8Array) => ({ ...frame, body, length: body.length })
    const body = frame.body.slice()
    switch (change.kind) {
      case 'drop':
        result.splice(at, 1)
        break
      case 'cut':
        result.splice(at)
        break
      case 'double':
        result.splice(at, 0, frame)
        break
      case 'exchange':
        result.splice(at, 2, ...result.slice(at, at + 2).reverse())
        break
      case 'insert':
        result.splice(at, 0, frames[change.from % frames.length]!)
        break
      case 'body':
        if (body.length > 0) body[change.byte % body.length] = change.value & 0xff
        result[at] = withBody(body)
        break
      case 'field':
        if (body.length >= 4)
          new DataView(body.buffer).setUint32(change.byte % (body.length - 3), change.value)
        result[at] = withBody(body)
        break
      case 'shorten':
        result[at] = withBody(body.subarray(0, Math.max(0, body.length - change.by)))
        break
      case 'lengthen':
        result[at] = withBody(new Uint8Array(Buffer.concat([body, new Uint8Array(change.by).fill(7)])))
        break
      default:
        result[at] = { ...frame, [change.kind]: change.value }
    }
  }
  return result
}

const place = fc.nat(10_000)
/** Numbers that are likely to mean something, and some that are not. */
const number = fc.oneof(
  fc.nat(130),
  fc.constantFrom(255, 256, 65_535, frameBytesMax, frameBytesMax + 1, 2 ** 20 + 1, 2 ** 31, 2 ** 32 - 1),
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
)
const anyType = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...Object.values(types)) },
  { weight: 1, arbitrary: fc.nat(255) },
)
const anyChange: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constantFrom('drop', 'double', 'exchange', 'cut'), at: place }),
  fc.record({ kind: fc.constant('insert'), at: place, from: place }),
  fc.record({ kind: fc.constant('type'), at: place, value: anyType }),
  fc.record({ kind: fc.constantFrom('id', 'view'), at: place, value: number }),
  fc.record({ kind: fc.constant('length'), at: place, value: number }),
  fc.record({ kind: fc.constantFrom('body', 'field'), at: place, byte: place, value: number }),
  fc.record({ kind: fc.constantFrom('shorten', 'lengthen'), at: place, by: fc.nat(40) }),
) as fc.Arbitrary<Change>

/** What is done to the bytes, frames or not. */
interface Noise {
  readonly flips: readonly (readonly [at: number, value: number])[]
  readonly removed: readonly [at: number, count: number] | null
  readonly cuts: readonly number[]
}
const anyNoise: fc.Arbitrary<Noise> = fc.record({
  flips: fc.oneof(fc.constant([]), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })),
  removed: fc.oneof(
    { weight: 4, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.tuple(fc.nat(), fc.integer({ min: 1, max: 30 })) },
  ),
  cuts: fc.array(fc.nat(), { maxLength: 8 }),
})

/** The pieces in which the bytes arrive. */
function disturbed(bytes: Uint8Array, { flips, removed, cuts }: Noise): Uint8Array[] {
  const noisy = bytes.slice()
  for (const [at, value] of flips) if (noisy.length > 0) noisy[at % noisy.length] = value
  const from = removed === null ? noisy.length : removed[0] % (noisy.length + 1)
  const kept = Buffer.concat([noisy.subarray(0, from), noisy.subarray(from + (removed?.[1] ?? 0))])
  const places = cuts.map((cut) => cut % (kept.length + 1)).sort((a, b) => a - b)
  return [...places, kept.length].map(
    (to, index) => new Uint8Array(kept.subarray(places[index - 1] ?? 0, to)),
  )
}

// --- Conversations --------------------------------------------------------------------------------------------------

const limits = {
  messageBytesMax: 1024 ** 2,
  streamsMax: 4,
  transactionBytesMax: 2 * 1024 ** 2,
  outputBytesMax: 1024 ** 2,
  viewsMax: 16,
  iterationsMax: 4,
  packsMax: 2,
  blobsArrivingMax: 4,
  blobReadersMax: 8,
  waitingMax: 200,
}

/** An object that no conversation knows, whichever bit of it is changed. */
const untouched = 0x0123_4567_89ab as Oid

/**
 * A store for everybody, and a server over it. What one client may do to the whole store by right, this one only
 * pretends to do: else "another connection is not harmed" could not be told from that.
 */
async function startServer() {
  const storage = await openStorage(memory, { history: true })
  const found = { instances: 0, unexpected: [] as string[] }
  const newInstance = storage.newInstance.bind(storage)
  storage.newInstance = async () => {
    const instance = await newInstance()
    const release = instance.release.bind(instance)
    let isReleased = false
    found.instances++
    instance.release = () => {
      if (!isReleased) found.instances--
      isReleased = true
      return release()
    }
    return instance
  }
  storage.zap = () => {}
  storage.restore = () => {}
  storage.pack = async ({ references, onProgress }) => {
    onProgress?.(0.5)
    references?.(new Uint8Array(10))
    return { removedRevisions: 0, removedObjects: 0, bytesBefore: 1, bytesAfter: 1 }
  }
  const capabilities = memory.capabilities({ history: true })
  const log = ({ event, facts }: LogEntry) => {
    // With a code it is an answer; without one the server has stumbled over what it was told.
    const reason = `${facts['reason']}`
    if (event === 'error' && !/\([a-z-]+\)$/.test(reason)) found.unexpected.push(reason)
  }
  return { storage, server: new ZeoServer({ storage, capabilities, name: 'memory', log, limits }), found }
}

function openAt(server: ZeoServer, written: (pieces: readonly Uint8Array[]) => void): Promise<ClientStorage> {
  const dial = async () => {
    const [client, other] = wirePair(64 * 1024)
    server.accept(other)
    const write = client.write.bind(client)
    client.write = (pieces) => {
      written(pieces)
      write(pieces)
    }
    return client
  }
  const cache = new ClientCache(shareClientCache(64 * 1024))
  return openClient({ servers: [{ address: 'test', dial }], cache, waitMs: 5000 }, openContext())
}

async function store(instance: StorageInstance, id: number, data: Uint8Array, atOnce = true): Promise<Tid> {
  await instance.pollInvalidations()
  const [current] = await instance.loadMany([id as Oid])
  const transaction = instance.begin({ user: 'ann', description: 'x', extension: new Uint8Array(3) })
  await transaction.store(id as Oid, current?.serial ?? noTid, data)
  const done = atOnce ? transaction.commit!() : (await transaction.vote()).finish()
  const committed = await done
  await instance.afterCompletion()
  return typeof committed === 'number' ? committed : committed.tid
}

const bytes = (length: number, value = 65) => new Uint8Array(length).fill(value)

/** What real clients say, one conversation for each kind of thing they do. */
const conversations: Readonly<Record<string, (client: ClientStorage) => Promise<void>>> = {
  async reading(client) {
    const [one, two] = [client.newInstance(), client.newInstance()]
    await store(one, 1, bytes(100))
    await store(two, 2, bytes(100))
    client.cache!.clear()
    await one.pollInvalidations()
    await one.load(1 as Oid)
    await one.loadMany([1, 2, 3, 4] as Oid[])
    await one.prefetch([5, 6] as Oid[])
    await one.loadBefore(1 as Oid, client.lastTid)
    await one.history?.(1 as Oid, 5)
    await one.verify([{ oid: 1 as Oid, tid: client.lastTid, checksum: 5 }])
    one.afterCompletion()
    await one.pollInvalidations()
    await two.release()
    await one.release()
  },
  async writing(client) {
    const instance = client.newInstance()
    await instance.newOids(10)
    await store(instance, 3, bytes(100), false)
    const tid = await store(instance, 3, bytes(200))
    await instance.pollInvalidations()
    const undoing = instance.begin()
    await undoing.undo?.(tid)
    await undoing.vote()
    await undoing.abort()
    const { serial } = await instance.load(3 as Oid)
    const deleting = instance.begin()
    await deleting.delete!(3 as Oid, serial)
    await deleting.commit!()
    await instance.pollInvalidations()
    const reading = instance.begin()
    await reading.readCurrent(untouched, noTid)
    await reading.abort()
  },
  async large(client) {
    const instances = [client.newInstance(), client.newInstance()]
    await Promise.all(
      instances.map((instance, index) => store(instance, 40 + index, bytes(frameBytesMax + 100), false)),
    )
    client.cache!.clear()
    await instances[0]!.pollInvalidations()
    await instances[0]!.loadMany([40, 41] as Oid[])
  },
  async blobs(client) {
    const instance = client.newInstance()
    await instance.pollInvalidations()
    const [current] = await instance.loadMany([5 as Oid])
    const transaction = instance.begin()
    await transaction.storeBlob!(5 as Oid, current?.serial ?? noTid, bytes(10), [bytes(5000), bytes(300)])
    await transaction.commit!()
    await instance.pollInvalidations()
    const reader = (await instance.openBlob!(5 as Oid))!
    await reader.read(100, 1000)
    await reader.close()
  },
  async store(client) {
    await store(client.newInstance(), 6, bytes(50))
    for await (const transaction of client.iterate!()) await client.restore!(transaction)
    await client.pack!({ before: client.lastTid, references: () => [] })
    await client.zap()
  },
}

async function recordAll(): Promise<Map<string, readonly Frame[]>> {
  const recorded = new Map<string, readonly Frame[]>()
  for (const [name, talk] of Object.entries(conversations)) {
    const { storage, server } = await startServer()
    const said: Uint8Array[] = []
    const client = await openAt(server, (pieces) => said.push(...pieces.map((piece) => piece.slice())))
    await talk(client)
    await client.close()
    await server.close()
    await storage.close()
    recorded.set(name, readFrames(new Uint8Array(Buffer.concat(said))))
  }
  return recorded
}

/** The server's end of a connection whose other end says what it is told, and reads nothing or everything. */
class FuzzedWire implements Wire {
  readonly peer = 'fuzz'
  queuedBytes = 0
  isClosed = false
  /** A peer that does not read: what is written stays here. */
  readonly #isDeaf: boolean
  #events: WireEvents | undefined
  #isPaused = false
  #unread: Uint8Array[] = []

  constructor(isDeaf: boolean) {
    this.#isDeaf = isDeaf
  }

  listen(events: WireEvents): void {
    this.#events = events
  }

  write(pieces: readonly Uint8Array[]): void {
    if (!this.#isDeaf) return
    for (const piece of pieces) this.queuedBytes += piece.length
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    for (const piece of this.#unread.splice(0)) this.say(piece)
  }

  end(): void {
    this.destroy()
  }

  destroy(): void {
    if (this.isClosed) return
    this.isClosed = true
    queueMicrotask(() => this.#events?.closed(undefined))
  }

  /** @param piece wiped afterwards: who keeps a view of it is found out */
  say(piece: Uint8Array): void {
    if (this.isClosed) return
    if (this.#isPaused) {
      this.#unread.push(piece)
      return
    }
    this.#events?.data(piece)
    piece.fill(0xee)
    if (!this.#isDeaf) this.#events?.drained()
  }
}

type Served = Awaited<ReturnType<typeof startServer>>
type Found = Served['found']

/** A server, and a client of it that does its own work beside those that are fuzzed. */
class World {
  readonly #storage: Storage
  readonly #server: ZeoServer
  readonly #neighbour: ClientStorage
  readonly #instance: StorageInstance
  readonly #found: Found
  /** With one of the neighbour, and what the server needs for itself. */
  #instances = 0
  #count = 0

  static async start(): Promise<World> {
    const served = await startServer()
    const world = new World(served, await openAt(served.server, () => {}))
    await world.#write()
    await world.#read()
    world.#instances = served.found.instances
    return world
  }

  private constructor({ storage, server, found }: Served, neighbour: ClientStorage) {
    this.#found = found
    this.#storage = storage
    this.#server = server
    this.#neighbour = neighbour
    this.#instance = neighbour.newInstance()
  }

  async stop(): Promise<void> {
    await this.#neighbour.close()
    await this.#server.close(0)
    await this.#storage.close()
  }

  /** Somebody says this, and hangs up. Meanwhile others can read, whatever it has voted and not finished. */
  async talk(pieces: readonly Uint8Array[], isDeaf: boolean): Promise<void> {
    const wire = new FuzzedWire(isDeaf)
    this.#server.accept(wire)
    for (const piece of pieces) {
      wire.say(piece)
      await nextTurn()
    }
    await this.#read()
    expect(this.#server.status().queuedBytes).toBeLessThan(4 * limits.messageBytesMax)
    wire.destroy()
  }

  /** Nothing of it is left: no lock, no view, nothing queued, and no change of what it did not know. */
  async check(): Promise<void> {
    await this.#write()
    await this.#read()
    const { connections, views, voted, blobsOpen, queuedBytes } = this.#server.status()
    const left = { connections, views, voted, blobsOpen, queuedBytes }
    expect(left).toEqual({ connections: 1, views: 1, voted: 0, blobsOpen: 0, queuedBytes: 0 })
    // A view is released when what it was doing has ended.
    await eventually(() => this.#found.instances === this.#instances, 'its instances are released')
    expect(this.#found.unexpected).toEqual([])
  }

  async #write(): Promise<void> {
    this.#count++
    await store(this.#instance, untouched, bytes(8, this.#count & 0xff))
  }

  async #read(): Promise<void> {
    this.#neighbour.cache!.clear()
    await this.#instance.pollInvalidations()
    expect((await this.#instance.load(untouched)).data).toEqual(bytes(8, this.#count & 0xff))
    await this.#instance.afterCompletion()
  }
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** The turn that ends a world can still hold 32 MiB of its last messages, so the least of some turns counts. */
async function bytesInUse(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    least = Math.min(least, heapUsed + arrayBuffers)
  }
  return least
}

// --- The tests ------------------------------------------------------------------------------------------------------

describe('fuzzing', () => {
  let recorded: Map<string, readonly Frame[]>
  beforeAll(async () => {
    recorded = await recordAll()
    console.log(`seed ${seed}; again: SHOOTOUT_TEST_SEED=${seed} npx vitest run --project source ${path}`)
  })
  const path = 'test/storages/zeo/fuzz.test.ts'

  /** An uncaught error in a later task belongs to a case too; the runner reports it, this keeps what was said. */
  const escaped: unknown[] = []
  const onEscaped = (error: unknown) => escaped.push(error)
  process.on('unhandledRejection', onEscaped)
  process.on('uncaughtExceptionMonitor', onEscaped)
  afterAll(() => {
    process.off('unhandledRejection', onEscaped)
    process.off('uncaughtExceptionMonitor', onEscaped)
  })

  test(
    'a changed conversation is parsed, or is a violation of the protocol, within the limits of memory',
    () => {
      const all = [...recorded.values()]
      fc.assert(
        fc.property(
          fc.nat(all.length - 1),
          fc.array(anyChange, { maxLength: 6 }),
          anyNoise,
          fc.constantFrom(1.5 * frameBytesMax, 4 * frameBytesMax),
          (which, changes, noise, assemblyBytesMax) => {
            let delivered = 0
            const parserLimits = { messageBytesMax: assemblyBytesMax, assemblyBytesMax, streamsMax: 3 }
            const parser = new FrameParser(parserLimits, (_type, _id, _view, body) => {
              delivered += body.length
            })
            const pieces = disturbed(writeFrames(changed(all[which]!, changes)), noise)
            let arrived = 0
            try {
              for (const piece of pieces) {
                arrived += piece.length
                expect(parser.push(piece)).toBe(piece.length)
                piece.fill(0xee)
                if (parser.assemblyBytes > assemblyBytesMax) return false
              }
            } catch (error) {
              if (!(error instanceof ProtocolError)) throw error
            }
            return delivered <= arrived
          },
        ),
        runs(4_000),
      )
    },
    timeout,
  )

  test(
    'a server to which changed conversations are held goes on, and nobody else notices',
    async () => {
      const all = [...recorded.values()]
      let world = await World.start()
      let said = 0
      let bytesBefore = 0
      const renew = async () => {
        await world.stop()
        world = await World.start()
      }
      const anyTalk = fc.tuple(fc.nat(all.length - 1), fc.array(anyChange, { maxLength: 6 }))
      const anyDeafness = fc.nat(9).map((dice) => dice === 0)
      await fc.assert(
        fc.asyncProperty(anyTalk, anyNoise, anyDeafness, async ([which, changes], noise, isDeaf) => {
          try {
            await world.talk(disturbed(writeFrames(changed(all[which]!, changes)), noise), isDeaf)
            await world.check()
            expect(escaped).toEqual([])
          } catch (error) {
            // Smaller examples are looked for on a server that nothing has happened to.
            escaped.length = 0
            await renew()
            throw error
          }
          // The store keeps what it was told, by right: a new one now and then.
          if (++said % 400 !== 0) return
          await renew()
          const bytesNow = await bytesInUse()
          if (said > 400) expect(bytesNow - bytesBefore, 'memory').toBeLessThan(8 * 1024 ** 2)
          else bytesBefore = bytesNow
        }),
        runs(800),
      )
      await world.stop()
    },
    timeout,
  )
})
