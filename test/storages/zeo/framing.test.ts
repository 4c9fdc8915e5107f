/** The wire format: fixed by test vectors, independent of how the wire cuts it, and safe against anything. */

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConflictError, ObjectNotFoundError } from '../../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { BodyReader, BodyWriter } from '../../../src/storages/zeo/body.ts'
import { readError, writeError } from '../../../src/storages/zeo/error-codec.ts'
import { FrameParser } from '../../../src/storages/zeo/frame-parser.ts'
import { readHello, readVersion, readWelcome, writeHello } from '../../../src/storages/zeo/handshake.ts'
import {
  readKept,
  readLoad,
  readMetadata,
  readObjects,
  readPollQuestion,
  readPrefetch,
  readSnapshot,
  readSnapshotWithChanges,
  readVerified,
  writeKept,
  writeLoad,
  writeMetadata,
  writeObjects,
  writePollQuestion,
  writePrefetch,
  writeSnapshot,
  writeSnapshotWithChanges,
  writeTransaction,
} from '../../../src/storages/zeo/messages.ts'
import { Outbox } from '../../../src/storages/zeo/outbox.ts'
import { frameBytesMax, headerBytes, types } from '../../../src/storages/zeo/protocol.ts'
import { ProtocolError } from '../../../src/storages/zeo/protocol-error.ts'
import { RecordingWire } from './test-wire.ts'

interface Message {
  readonly type: number
  readonly id: number
  readonly view: number
  readonly body: Uint8Array
}

const limits = { messageBytesMax: 8 * 1024 ** 2, assemblyBytesMax: 64 * 1024 ** 2, streamsMax: 64 }

function encode(messages: readonly Message[]): Uint8Array {
  const wire = new RecordingWire()
  const outbox = new Outbox(wire)
  for (const { type, id, view, body } of messages) outbox.send(type, id, view, new Uint8Array(0), body, 0)
  outbox.flush()
  return wire.bytes
}

/** Parses `bytes` cut at `cuts`; each piece is wiped after it was read. */
function decode(bytes: Uint8Array, cuts: readonly number[] = [], parserLimits = limits): Message[] {
  const found: Message[] = []
  const parser = new FrameParser(parserLimits, (type, id, view, body) => found.push({ type, id, view, body }))
  let from = 0
  for (const to of [...cuts, bytes.length]) {
    const piece = bytes.slice(from, to)
    parser.push(piece)
    piece.fill(0xee)
    from = to
  }
  return found
}

/** Comparing text is a thousand times faster than comparing arrays element by element. */
const shown = (messages: readonly Message[]) =>
  messages.map(({ type, id, view, body }) => `${type} ${id} ${view} ${Buffer.from(body).toString('latin1')}`)

const same = (a: readonly Message[], b: readonly Message[]) => shown(a).join() === shown(b).join()

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const message = (type: number, id: number, view: number, body: Uint8Array = new Uint8Array(0)): Message => ({
  type,
  id,
  view,
  body,
})
const fields = () => new BodyWriter()

const session = Uint8Array.from({ length: 16 }, (_, index) => index)
const oid = 0x0102 as Oid
const serial = 0x0006_0a24_181e_4000 as Tid

/** The vectors of docs/zeo-protocol.md, by name. */
const vectors: Readonly<Record<string, Message>> = {
  hello: message(
    types.hello,
    0,
    0,
    writeHello(fields(), { flags: 0, session, token: new TextEncoder().encode('secret') }),
  ),
  poll: message(types.poll, 7, 1),
  'answer to poll': message(types.reply, 7, 0, writeSnapshot(fields(), serial, new Set([oid, 3 as Oid]))),
  'poll with a question': message(
    types.poll,
    7,
    1,
    writePollQuestion(fields(), { since: serial, withStates: true }),
  ),
  'poll with a witness': message(
    types.poll,
    7,
    1,
    writePollQuestion(fields(), {
      since: serial,
      withStates: false,
      witness: { oid, tid: serial, checksum: 0x12345678 },
    }),
  ),
  'answer to poll with a question': message(
    types.reply,
    7,
    0,
    fields()
      .raw(
        writeSnapshotWithChanges(fields(), {
          tid: serial,
          invalidations: new Set([3 as Oid]),
          changes: [
            { oid, serial, data: new TextEncoder().encode('data') },
            { oid: 3 as Oid, serial: noTid, data: undefined },
          ],
        }),
      )
      .raw(new TextEncoder().encode('data'))
      .take(),
  ),
  load: message(types.load, 8, 1, fields().id(oid).take()),
  'answer to load': message(
    types.reply,
    8,
    0,
    fields().id(serial).id(serial).raw(new TextEncoder().encode('data')).take(),
  ),
  'load with neighbours': message(types.load, 8, 1, writeLoad(fields(), oid, { objects: 16, bytes: 65536 })),
  objects: message(
    types.objects,
    0,
    1,
    fields()
      .raw(writeObjects(fields(), serial, [{ oid, serial, data: new TextEncoder().encode('data') }]))
      .raw(new TextEncoder().encode('data'))
      .take(),
  ),
  prefetch: message(types.prefetch, 12, 1, writePrefetch(fields(), 65536, [oid, 3 as Oid])),
  'answer to prefetch': message(types.reply, 12, 0, fields().u32(2).take()),
  verify: message(types.verify, 11, 1, writeKept(fields(), [{ oid, tid: serial, checksum: 0x12345678 }])),
  'answer to verify': message(types.reply, 11, 0, fields().id(serial).id(oid).take()),
  begin: message(
    types.begin,
    0,
    1,
    writeMetadata(fields().id(1 as Tid), {
      user: 'ann',
      description: 'first',
      extension: new Uint8Array(0),
    }).take(),
  ),
  store: message(types.store, 0, 1, fields().id(oid).id(serial).raw(new TextEncoder().encode('new')).take()),
  vote: message(types.vote, 9, 1),
  finish: message(types.finish, 10, 1),
  'answer to finish': message(types.reply, 10, 0, fields().id(serial).take()),
  restore: message(
    types.restore,
    13,
    0,
    fields()
      .raw(
        writeTransaction(fields(), {
          tid: serial,
          metadata: { user: 'ann', description: 'first', extension: new Uint8Array(0) },
          records: [{ oid, data: new TextEncoder().encode('data') }],
          wholeSince: (serial - 1) as Tid,
        }).take(),
      )
      .raw(new TextEncoder().encode('data'))
      .take(),
  ),
  'failed vote': message(types.failed, 9, 0, writeError(fields(), new ObjectNotFoundError(oid))),
  changed: message(types.changed, 0, 0, fields().id(serial).take()),
}

describe('vectors', () => {
  const page = readFileSync(new URL('../../../docs/zeo-protocol.md', import.meta.url), 'utf8')
  for (const [name, one] of Object.entries(vectors)) {
    test(`"${name}" is encoded as the documentation shows`, () => {
      const block = new RegExp(`^\`${name}\`[^\n]*\n+\`\`\`text\n([0-9a-f\\s]+)\`\`\``, 'm').exec(page)
      expect(hex(encode([one]))).toBe(block?.[1]?.replaceAll(/\s/g, ''))
    })
  }

  test('a long message is announced with the header it would have had, then cut into chunks', () => {
    const body = new Uint8Array(frameBytesMax + 1).fill(7)
    const bytes = encode([message(types.store, 3, 4, body)])
    expect(hex(bytes.subarray(0, 48))).toBe(
      '00000010060000000000000100000000' + // long, stream 1
        '00040001210000000000000300000004' + // store, 262145 bytes, id 3, view 4
        '00040000070000000000000100000000', // chunk of 262144 bytes
    )
    expect(bytes.length).toBe(48 + frameBytesMax + headerBytes + 1)
  })
})

describe('cutting', () => {
  const all = [
    ...Object.values(vectors),
    message(types.store, 3, 4, new Uint8Array(frameBytesMax + 5).fill(9)),
  ]
  const bytes = encode(Object.values(vectors))

  test('every vector split at every byte is the same', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(shown(decode(bytes, [cut]))).toEqual(shown(Object.values(vectors)))
    }
  })

  test('byte by byte is the same', () => {
    expect(decode(bytes, Array.from(bytes.keys()))).toEqual(Object.values(vectors))
  })

  test('a long message split around each of its headers is the same', () => {
    const long = encode(all)
    const starts = [bytes.length, bytes.length + 16, bytes.length + 32, long.length - 21]
    for (const start of starts) {
      for (let cut = start - 20; cut < start + 20; cut++) expect(same(decode(long, [cut]), all)).toBe(true)
    }
  })

  test('any messages in any pieces arrive as they were sent', () => {
    const anyMessage = fc.record({
      type: fc.integer({ min: 8, max: 255 }),
      id: fc.integer({ min: 0, max: 0xffff_ffff }),
      view: fc.integer({ min: 0, max: 0xffff_ffff }),
      body: fc.oneof(
        { weight: 20, arbitrary: fc.uint8Array({ maxLength: 300 }) },
        {
          weight: 1,
          arbitrary: fc
            .integer({ min: frameBytesMax - 2, max: 3 * frameBytesMax })
            .map((length) => new Uint8Array(length).fill(length & 0xff)),
        },
      ),
    })
    const order = (messages: readonly Message[]) => messages.map((one) => `${one.id} ${one.type}`).sort()
    fc.assert(
      fc.property(
        fc.array(anyMessage, { maxLength: 20 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (sent, cuts) => {
          const encoded = encode(sent)
          const places = cuts.map((cut) => cut % (encoded.length + 1)).sort((a, b) => a - b)
          const received = decode(encoded, places)
          // Long ones finish later; the short ones keep their order.
          const isShort = (one: Message) => one.body.length <= frameBytesMax
          return (
            same(received.filter(isShort), sent.filter(isShort)) &&
            order(received).join() === order(sent).join()
          )
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('defence', () => {
  test('an absurd size is refused before anything is allocated', () => {
    const bytes = new Uint8Array(16).fill(0xff)
    bytes.set([0, 0, 0], 5)
    expect(() => decode(bytes)).toThrow(ProtocolError)
  })

  test('a long message beyond the limit is refused when it is announced', () => {
    const inner = new Uint8Array(16)
    inner.set([0xff, 0xff, 0xff, 0xff, types.store])
    expect(() => decode(encode([message(types.long, 1, 0, inner)]))).toThrow(/beyond the limit/)
  })

  test('chunks of a stream that is not open are refused', () => {
    expect(() => decode(encode([message(types.chunk, 1, 0, new Uint8Array(5))]))).toThrow(/not open/)
  })

  test('more long messages at once than the limit are refused', () => {
    const inner = new Uint8Array(16)
    inner.set([0, 0x04, 0, 1, types.store])
    const many = Array.from({ length: 65 }, (_, index) => message(types.long, index, 0, inner))
    expect(() => decode(encode(many))).toThrow(/too many/)
  })

  test('garbage is refused as a violation of the protocol, never as anything else', () => {
    const greeting = { messageBytesMax: 1000, assemblyBytesMax: 0, streamsMax: 0 }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, cut) => {
        try {
          decode(bytes, [Math.min(cut, bytes.length)], greeting)
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError)
        }
      }),
      { numRuns: 100_000 },
    )
  })

  test('bodies of garbage are refused as a violation of the protocol, never as anything else', () => {
    const readers = [
      readVersion,
      readHello,
      readWelcome,
      readSnapshot,
      readSnapshotWithChanges,
      readPollQuestion,
      readKept,
      readLoad,
      readObjects,
      readPrefetch,
      readVerified,
      readMetadata,
      readError,
    ]
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(readers.length - 1), (bytes, which) => {
        try {
          readers[which]!(new BodyReader(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError)
        }
      }),
      { numRuns: 20_000 },
    )
  })
})

test('errors arrive with class, code, message and details', () => {
  const sent = new ConflictError(5 as Oid, 20 as Tid, 10 as Tid, { cause: new Error('because') })
  const received = readError(new BodyReader(writeError(fields(), sent).slice()))
  expect(received).toBeInstanceOf(ConflictError)
  expect(received).toMatchObject({ code: 'conflict', transient: true, oid: 5, details: sent.details })
})

test('messages of one lane stay in order behind a long one, others pass', () => {
  const wire = new RecordingWire()
  const outbox = new Outbox(wire)
  wire.queuedBytes = 10 * frameBytesMax
  const nothing = new Uint8Array(0)
  outbox.send(types.store, 0, 1, nothing, new Uint8Array(2 * frameBytesMax), 1)
  outbox.send(types.vote, 1, 1, nothing, undefined, 1)
  outbox.send(types.load, 2, 2, new Uint8Array(8), undefined, 2)
  outbox.flush()
  wire.queuedBytes = 0
  outbox.flush()
  expect(decode(wire.bytes).map(({ type }) => type)).toEqual([types.load, types.store, types.vote])
})

describe('behind', () => {
  const nothing = new Uint8Array(0)
  const sent = (wire: RecordingWire) => decode(wire.bytes).map(({ type, id }) => `${type} ${id}`)

  test('what is sent behind leaves after what is sent later, in order among itself', () => {
    const wire = new RecordingWire()
    const outbox = new Outbox(wire)
    outbox.sendBehind(types.prefetch, 1, 1, nothing, undefined, 0)
    outbox.sendBehind(types.prefetch, 2, 1, nothing, undefined, 0)
    outbox.send(types.load, 3, 1, nothing, undefined, 1)
    expect(outbox.queuedBytes).toBe(headerBytes)
    outbox.flush()
    expect(sent(wire)).toEqual([`${types.load} 3`, `${types.prefetch} 1`, `${types.prefetch} 2`])
    expect(outbox.queuedBytes).toBe(0)
  })

  test('it waits while the wire is full, and while a long message is sent', () => {
    const wire = new RecordingWire()
    const outbox = new Outbox(wire)
    wire.queuedBytes = 10 * frameBytesMax
    outbox.sendBehind(types.prefetch, 1, 1, new Uint8Array(9), undefined, 0)
    outbox.send(types.store, 2, 1, nothing, new Uint8Array(frameBytesMax + 1), 1)
    outbox.flush()
    outbox.send(types.load, 3, 2, nothing, undefined, 2)
    outbox.flush()
    expect(sent(wire)).toEqual([`${types.load} 3`])
    wire.queuedBytes = 0
    outbox.flush()
    expect(sent(wire)).toEqual([`${types.load} 3`, `${types.store} 2`, `${types.prefetch} 1`])
  })

  test('a long one is cut, and the end of its lane stays behind it', () => {
    const wire = new RecordingWire()
    const outbox = new Outbox(wire)
    outbox.sendBehind(types.objects, 0, 1, nothing, new Uint8Array(3 * frameBytesMax), -2)
    outbox.sendBehind(types.reply, 1, 0, nothing, undefined, -2)
    outbox.flush()
    expect(sent(wire)).toEqual([`${types.objects} 0`, `${types.reply} 1`])
    expect(outbox.queuedBytes).toBe(0)
  })
})
