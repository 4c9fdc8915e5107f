/**
 * The bodies that are more than a few ids: snapshots, metadata, transactions, history. Each has a
 * writer and a reader side by side.
 */

import { noTid, type Oid, type Tid } from '../../core/ids.ts'
import type {
  HistoryEntry,
  Invalidations,
  ObjectRecord,
  TransactionMetadata,
  TransactionRecord,
} from '../storage.ts'
import type { BodyReader, BodyWriter } from './body.ts'
import { absentLength } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'

// --- Snapshots ------------------------------------------------------------------------------------------------------

export interface Snapshot {
  readonly tid: Tid
  readonly invalidations: Invalidations
}

export function writeSnapshot(fields: BodyWriter, tid: Tid, invalidations: Invalidations): Uint8Array {
  fields.id(tid)
  if (invalidations === 'all') return fields.u8(1).take()
  fields.u8(0)
  for (const oid of invalidations) fields.id(oid)
  return fields.take()
}

const nothing: ReadonlySet<Oid> = new Set()

export function readSnapshot(body: BodyReader): Snapshot {
  const tid = body.tid()
  if (body.u8() === 1) return { tid, invalidations: 'all' }
  return { tid, invalidations: body.left === 0 ? nothing : new Set(body.oids()) }
}

/** A view whose client keeps a cache asks for what changed since any snapshot, and gets both lists in one message. */
export interface PollQuestion {
  /** `noTid`: nothing is asked. */
  readonly since: Tid
  /** Send the new states of small objects along. */
  readonly withStates: boolean
  /**
   * `since` is from before this run of the server: a revision that the client has. Where it is in the history of what is
   * served, and the transaction `since` is, what the client knows is of this store, and changes since both can be told.
   */
  readonly witness?: Kept
}

const questionStates = 1
const questionWitness = 2

export function writePollQuestion(
  fields: BodyWriter,
  { since, withStates, witness }: PollQuestion,
): Uint8Array {
  fields.id(since).u8((withStates ? questionStates : 0) + (witness === undefined ? 0 : questionWitness))
  return witness === undefined ? fields.take() : writeKept(fields, [witness])
}

/** Undefined where the client keeps no cache. */
export function readPollQuestion(body: BodyReader): PollQuestion | undefined {
  if (body.left === 0) return undefined
  const since = body.tid()
  const flags = body.u8()
  const question = { since, withStates: (flags & questionStates) !== 0 }
  if ((flags & questionWitness) === 0) return question
  return { ...question, witness: { oid: body.oid(), tid: body.tid(), checksum: body.u32() } }
}

/** What a snapshot shows of an object that changed. */
export interface ChangedState {
  readonly oid: Oid
  /** `noTid`: it does not exist there. */
  readonly serial: Tid
  /** Undefined where it was not sent along. */
  readonly data: Uint8Array | undefined
}

export interface SnapshotWithChanges extends Snapshot {
  /** Every object that changed since what was asked, up to this snapshot; `'all'` when that cannot be told. */
  readonly changes: readonly ChangedState[] | 'all'
}

/** The fields; the states that are sent along follow as payload, in the same order. */
export function writeSnapshotWithChanges(
  fields: BodyWriter,
  { tid, invalidations, changes }: SnapshotWithChanges,
): Uint8Array {
  fields.id(tid)
  if (invalidations === 'all') fields.u8(1).u32(0)
  else fields.u8(0).u32(invalidations.size)
  if (invalidations !== 'all') for (const oid of invalidations) fields.id(oid)
  if (changes === 'all') return fields.u8(1).u32(0).take()
  fields.u8(0).u32(changes.length)
  for (const { oid, serial, data } of changes) {
    fields
      .id(oid)
      .id(serial)
      .u32(data?.length ?? absentLength)
  }
  return fields.take()
}

export function readSnapshotWithChanges(body: BodyReader): SnapshotWithChanges {
  const tid = body.tid()
  const isAll = body.u8() === 1
  const oids = Array.from({ length: body.count(8) }, () => body.oid())
  const invalidations = isAll ? 'all' : oids.length === 0 ? nothing : new Set(oids)
  const isUnknown = body.u8() === 1
  const shapes = Array.from({ length: body.count(20) }, () => ({
    oid: body.oid(),
    serial: body.tid(),
    length: body.u32(),
  }))
  const changes = shapes.map(({ oid, serial, length }) => ({
    oid,
    serial,
    data: length === absentLength ? undefined : body.raw(length),
  }))
  body.end()
  return { tid, invalidations, changes: isUnknown ? 'all' : changes }
}

// --- Reading ahead --------------------------------------------------------------------------------------------------

/** What may come along with an object that is loaded. */
export interface Allowance {
  readonly objects: number
  readonly bytes: number
}

/** @param along undefined: nothing */
export function writeLoad(fields: BodyWriter, oid: Oid, along: Allowance | undefined): Uint8Array {
  fields.id(oid)
  if (along !== undefined) fields.u32(along.objects).u32(along.bytes)
  return fields.take()
}

export function readLoad(body: BodyReader): { readonly oid: Oid; readonly along: Allowance | undefined } {
  const oid = body.oid()
  return { oid, along: body.left === 0 ? undefined : { objects: body.u32(), bytes: body.u32() } }
}

/** @param bytes that the objects may come to, the last one excepted */
export function writePrefetch(fields: BodyWriter, bytes: number, oids: readonly Oid[]): Uint8Array {
  fields.u32(bytes)
  for (const oid of oids) fields.id(oid)
  return fields.take()
}

export function readPrefetch(body: BodyReader): { readonly bytes: number; readonly oids: readonly Oid[] } {
  return { bytes: body.u32(), oids: body.oids() }
}

/** A revision that was sent without an answer being waited for. */
export interface SentObject {
  readonly oid: Oid
  readonly serial: Tid
  readonly data: Uint8Array
}

/** The fields; the data follow as payload, in the same order. */
export function writeObjects(fields: BodyWriter, snapshot: Tid, objects: readonly SentObject[]): Uint8Array {
  fields.id(snapshot).u32(objects.length)
  for (const { oid, serial, data } of objects) fields.id(oid).id(serial).u32(data.length)
  return fields.take()
}

export function readObjects(body: BodyReader): {
  readonly snapshot: Tid
  readonly objects: readonly SentObject[]
} {
  const snapshot = body.tid()
  const shapes = Array.from({ length: body.count(20) }, () => ({
    oid: body.oid(),
    serial: body.tid(),
    length: body.u32(),
  }))
  const objects = shapes.map(({ oid, serial, length }) => ({ oid, serial, data: body.raw(length) }))
  body.end()
  return { snapshot, objects }
}

// --- Verification ---------------------------------------------------------------------------------------------------

/** A revision that a client has kept, and would like to know to be current. */
export interface Kept {
  readonly oid: Oid
  readonly tid: Tid
  /** CRC-32 of object id, tid (8 bytes each) and state. */
  readonly checksum: number
}

const keptBytes = 20

export function writeKept(fields: BodyWriter, kept: readonly Kept[]): Uint8Array {
  for (const { oid, tid, checksum } of kept) fields.id(oid).id(tid).u32(checksum)
  return fields.take()
}

export function readKept(body: BodyReader): Kept[] {
  if (body.left % keptBytes !== 0) throw new ProtocolError(`${body.left} bytes are not a list of revisions`)
  return Array.from({ length: body.left / keptBytes }, () => ({
    oid: body.oid(),
    tid: body.tid(),
    checksum: body.u32(),
  }))
}

/** What a server found. */
export interface Verified {
  readonly snapshot: Tid
  /** Everything else that was asked about is what the snapshot shows. */
  readonly stale: ReadonlySet<Oid>
}

export function readVerified(body: BodyReader): Verified {
  return { snapshot: body.tid(), stale: new Set(body.oids()) }
}

// --- Transactions ---------------------------------------------------------------------------------------------------

export function writeMetadata(fields: BodyWriter, metadata: TransactionMetadata): BodyWriter {
  return fields.text(metadata.user).text(metadata.description).bytes(metadata.extension)
}

export function readMetadata(body: BodyReader): TransactionMetadata {
  return { user: body.text(), description: body.text(), extension: body.bytes() }
}

/** The fields of a transaction, its records' data aside; those follow in order, as payload. */
export function writeTransaction(
  fields: BodyWriter,
  { tid, metadata, records, wholeSince = noTid }: TransactionRecord,
): BodyWriter {
  writeMetadata(fields.id(tid), metadata).id(wholeSince).u32(records.length)
  for (const { oid, data, blob } of records) {
    fields.id(oid).u32(data === null ? absentLength : data.length)
    if (blob === undefined) fields.u8(0)
    else fields.u8(1).f64(blob.bytes)
  }
  return fields
}

/**
 * Reads what `writeTransaction` wrote; the data are then taken from the body in the same order.
 * @param chunksOf the blob of a record
 */
export function readTransaction(
  body: BodyReader,
  chunksOf: (recordIndex: number) => AsyncIterable<Uint8Array>,
): () => TransactionRecord {
  const tid = body.tid()
  const metadata = readMetadata(body)
  const wholeSince = body.tid()
  const shapes = Array.from({ length: body.count(13) }, () => ({
    oid: body.oid(),
    length: body.u32(),
    blobBytes: body.u8() === 1 ? body.f64() : undefined,
  }))
  return () => {
    const records = shapes.map(({ oid, length, blobBytes }, index): ObjectRecord => {
      const data = length === absentLength ? null : body.raw(length)
      if (blobBytes === undefined) return { oid, data }
      return { oid, data, blob: { bytes: blobBytes, chunks: () => chunksOf(index) } }
    })
    return { tid, metadata, records, ...(wholeSince > noTid && { wholeSince }) }
  }
}

export function dataOf({ records }: TransactionRecord): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (const { data } of records) if (data !== null) pieces.push(data)
  return pieces
}

// --- History --------------------------------------------------------------------------------------------------------

export function writeHistory(fields: BodyWriter, entries: readonly HistoryEntry[]): Uint8Array {
  fields.u32(entries.length)
  for (const { tid, metadata, bytes } of entries) writeMetadata(fields.id(tid).u32(bytes), metadata)
  return fields.take()
}

export function readHistory(body: BodyReader): HistoryEntry[] {
  const entries: HistoryEntry[] = []
  for (let left = body.count(24); left > 0; left--) {
    const tid = body.tid()
    const bytes = body.u32()
    entries.push({ tid, bytes, metadata: readMetadata(body) })
  }
  return entries
}
