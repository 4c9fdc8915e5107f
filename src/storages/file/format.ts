/**
 * The layout of a log, byte by byte (docs/file-format.md says the same in prose). This is the only file that knows
 * offsets. All integers are big-endian; positions count bytes from the start of the file.
 *
 * A transaction exists if and only if its header, each of its records and its trailer verify. Nothing is ever
 * overwritten in place.
 */

import { crc32 } from 'node:zlib'
import { type Oid, readOid, readTid, type Tid, writeId } from '../../core/ids.ts'
import type { TransactionMetadata } from '../storage.ts'

// --- The file header ------------------------------------------------------------------------------------------------

export const fileHeaderBytes = 64
const fileMagic = 'SHOOTLOG'
/**
 * What a new log is. With its first blob it becomes the other, which programs that know no blobs refuse. That changes
 * one byte, the only one of a log that is ever overwritten, and so the checksum is that of version 1 in both.
 */
export const formatVersion = 1
export const formatVersionWithBlobs = 2
export const formatVersionAt = 11
export const fileIdBytes = 16
const wholeSinceHighAt = 12
const wholeSinceLowAt = 56

export interface FileHeader {
  readonly version: typeof formatVersion | typeof formatVersionWithBlobs
  /** Random; another one for every file, also for the one that packing makes. */
  readonly fileId: Uint8Array
  readonly createdUs: number
  /** Object ids below this were given out before the file was made. */
  readonly nextOid: number
  /** Newest transaction before the file was made, which may have left nothing in it. */
  readonly lastTid: Tid
  /**
   * Transactions after this one are whole. At least `lastTid`; greater in a copy of a store that was packed beyond
   * what had been copied when this file was made.
   */
  readonly wholeSince: Tid
}

export function encodeFileHeader(header: FileHeader): Buffer {
  const bytes = Buffer.alloc(fileHeaderBytes)
  bytes.write(fileMagic, 0, 'latin1')
  bytes.writeUInt32BE(formatVersion, 8)
  bytes.set(header.fileId, 16)
  writePosition(bytes, header.createdUs, 32)
  writePosition(bytes, header.nextOid, 40)
  writeId(bytes, header.lastTid, 48)
  // In two halves, where version 1 has zeros: so the rest is where it always was.
  const wholeSince = header.wholeSince > header.lastTid ? header.wholeSince : 0
  bytes.writeUInt32BE(Math.floor(wholeSince / wordSize), wholeSinceHighAt)
  bytes.writeUInt32BE(wholeSince >>> 0, wholeSinceLowAt)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, fileHeaderBytes - 4)), fileHeaderBytes - 4)
  bytes[formatVersionAt] = header.version
  return bytes
}

/** What a file that is not a whole log of this version is. */
export type FileHeaderProblem = 'short' | 'foreign' | 'newer' | 'damaged'

export function decodeFileHeader(bytes: Buffer): FileHeader | FileHeaderProblem {
  if (bytes.length < fileHeaderBytes) return 'short'
  if (bytes.toString('latin1', 0, 8) !== fileMagic) return 'foreign'
  const version = bytes.readUInt32BE(8)
  const summed = Buffer.from(bytes.subarray(0, fileHeaderBytes - 4))
  if (version === formatVersionWithBlobs) summed[formatVersionAt] = formatVersion
  if (crc32(summed) !== bytes.readUInt32BE(fileHeaderBytes - 4)) return 'damaged'
  if (version !== formatVersion && version !== formatVersionWithBlobs) return 'newer'
  const lastTid = readTid(bytes, 48)
  const wholeSince = bytes.readUInt32BE(wholeSinceHighAt) * wordSize + bytes.readUInt32BE(wholeSinceLowAt)
  return {
    version,
    fileId: new Uint8Array(bytes.subarray(16, 16 + fileIdBytes)),
    createdUs: readPosition(bytes, 32),
    nextOid: readPosition(bytes, 40),
    lastTid,
    wholeSince: Math.max(lastTid, wholeSince) as Tid,
  }
}

/** Start value of the header checksums of a file: a transaction copied in from another file never verifies. */
export function checksumSeed(fileId: Uint8Array): number {
  return crc32(fileId)
}

// --- The transaction header -----------------------------------------------------------------------------------------

export const transactionHeaderBytes = 52
export const trailerBytes = 16
/** `TXN` and 1: begins every transaction, so that a reader can find the next one beyond damage. */
export const transactionMagic = 0x5458_4e01
/** `END` and 1. */
const trailerMagic = 0x454e_4401
export const metadataFieldBytesMax = 0xffff

/** The transaction went through a pack: what it replaced may be gone, so it cannot be undone. */
export const flagPacked = 1

export interface TransactionHeader {
  /** Of its own first byte. */
  readonly position: number
  /** From the magic to the end of the trailer. */
  readonly length: number
  readonly tid: Tid
  /** Everything before this position was known to be on disk when the transaction was written. */
  readonly durableEnd: number
  readonly recordCount: number
  readonly userBytes: number
  readonly descriptionBytes: number
  readonly extensionBytes: number
  readonly flags: number
}

export function metadataBytes(header: TransactionHeader): number {
  return header.userBytes + header.descriptionBytes + header.extensionBytes
}

/** Smallest length a transaction with this header can have. */
export function transactionBytesMin(header: TransactionHeader): number {
  return (
    transactionHeaderBytes + metadataBytes(header) + header.recordCount * recordHeaderBytes + trailerBytes
  )
}

/** Metadata as bytes, once, before the length of the transaction is known. */
export interface EncodedMetadata {
  readonly user: Buffer
  readonly description: Buffer
  readonly extension: Uint8Array
  readonly bytes: number
}

export function encodeMetadata(metadata: TransactionMetadata): EncodedMetadata {
  const user = Buffer.from(metadata.user)
  const description = Buffer.from(metadata.description)
  const extension = metadata.extension
  return { user, description, extension, bytes: user.length + description.length + extension.length }
}

/** Writes header and metadata at `offset` of `target`. Returns the header checksum, with which the trailer begins. */
export function writeTransactionHeader(
  target: Buffer,
  offset: number,
  header: TransactionHeader,
  metadata: EncodedMetadata,
  seed: number,
): number {
  target.writeUInt32BE(transactionMagic, offset)
  writePosition(target, header.position, offset + 8)
  writePosition(target, header.length, offset + 16)
  writeId(target, header.tid, offset + 24)
  writePosition(target, header.durableEnd, offset + 32)
  target.writeUInt32BE(header.recordCount, offset + 40)
  target.writeUInt16BE(header.userBytes, offset + 44)
  target.writeUInt16BE(header.descriptionBytes, offset + 46)
  target.writeUInt16BE(header.extensionBytes, offset + 48)
  target.writeUInt16BE(header.flags, offset + 50)
  let end = offset + transactionHeaderBytes
  for (const field of [metadata.user, metadata.description, metadata.extension]) {
    target.set(field, end)
    end += field.length
  }
  const checksum = crc32(target.subarray(offset + 8, end), seed)
  target.writeUInt32BE(checksum, offset + 4)
  return checksum
}

/** The fields of a header, unverified; undefined where there is no magic. `bytes` holds at least the fixed part. */
export function readTransactionHeader(bytes: Buffer, offset: number): TransactionHeader | undefined {
  if (bytes.readUInt32BE(offset) !== transactionMagic) return undefined
  const tid = readPosition(bytes, offset + 24)
  return {
    position: readPosition(bytes, offset + 8),
    length: readPosition(bytes, offset + 16),
    tid: tid as Tid,
    durableEnd: readPosition(bytes, offset + 32),
    recordCount: bytes.readUInt32BE(offset + 40),
    userBytes: bytes.readUInt16BE(offset + 44),
    descriptionBytes: bytes.readUInt16BE(offset + 46),
    extensionBytes: bytes.readUInt16BE(offset + 48),
    flags: bytes.readUInt16BE(offset + 50),
  }
}

/** True if header and metadata, `end - offset` bytes in all, are what was written in the file of this `seed`. */
export function transactionHeaderVerifies(bytes: Buffer, offset: number, end: number, seed: number): boolean {
  return crc32(bytes.subarray(offset + 8, end), seed) === bytes.readUInt32BE(offset + 4)
}

export function decodeMetadata(
  bytes: Buffer,
  offset: number,
  header: TransactionHeader,
): TransactionMetadata {
  const userEnd = offset + header.userBytes
  const descriptionEnd = userEnd + header.descriptionBytes
  return {
    user: bytes.toString('utf8', offset, userEnd),
    description: bytes.toString('utf8', userEnd, descriptionEnd),
    extension: new Uint8Array(bytes.subarray(descriptionEnd, descriptionEnd + header.extensionBytes)),
  }
}

// --- A record -------------------------------------------------------------------------------------------------------

export const recordHeaderBytes = 32
/** Stands in the length field of a deletion, which has no payload. */
export const deletedMark = 0xffff_ffff
/** Node reads and writes less than 2 GiB at once; a record is always read in one go. */
export const payloadBytesMax = 1024 ** 3

/** Position of a revision that has no predecessor in the file. */
export const noPosition = 0

/** In the length field: a blob reference follows the payload. */
const blobMark = 0x8000_0000
/** What a record says of the blob of its revision. */
export const blobReferenceBytes = 20

export interface BlobReference {
  /** 16 hexadecimal digits: the second half of the name of its file. */
  readonly id: string
  readonly bytes: number
  /** Of the checksums in the file, begun with that of id and bytes. */
  readonly checksum: number
}

/** Bytes a record takes. Null: a deletion. */
export function recordBytes(data: Uint8Array | null, blob: BlobReference | undefined): number {
  return recordHeaderBytes + (data === null ? 0 : data.length) + (blob === undefined ? 0 : blobReferenceBytes)
}

/** The length field of a record. */
export function lengthField(data: Uint8Array | null, blob: BlobReference | undefined): number {
  if (data === null) return deletedMark
  return blob === undefined ? data.length : blobMark + data.length
}

export function writeBlobReference(target: Buffer, offset: number, blob: BlobReference): void {
  target.write(blob.id, offset, 'hex')
  writePosition(target, blob.bytes, offset + 8)
  target.writeUInt32BE(blob.checksum, offset + 16)
}

/** The blob reference of a record at `offset` that was verified. */
export function recordBlob(bytes: Buffer, offset: number, length: number): BlobReference | undefined {
  if (length < blobMark || length === deletedMark) return undefined
  const at = offset + recordHeaderBytes + payloadBytes(length)
  return {
    id: bytes.toString('hex', at, at + 8),
    bytes: readPosition(bytes, at + 8),
    checksum: bytes.readUInt32BE(at + 16),
  }
}

/** Writes the header of a record whose body is already in place behind it. Returns its checksum. */
export function writeRecordHeader(
  target: Buffer,
  offset: number,
  length: number,
  oid: Oid,
  serial: Tid,
  previous: number,
): number {
  target.writeUInt32BE(length, offset + 4)
  writeId(target, oid, offset + 8)
  writeId(target, serial, offset + 16)
  writePosition(target, previous, offset + 24)
  const checksum = recordChecksum(target, offset, length)
  target.writeUInt32BE(checksum, offset)
  return checksum
}

/** Length field: payload bytes, with a mark where a blob reference follows; or `deletedMark`. */
export function recordLength(bytes: Buffer, offset: number): number {
  return bytes.readUInt32BE(offset + 4)
}

export function payloadBytes(length: number): number {
  if (length < blobMark) return length
  return length === deletedMark ? 0 : length - blobMark
}

/** Everything behind the header of a record. */
export function bodyBytes(length: number): number {
  if (length < blobMark) return length
  return length === deletedMark ? 0 : length - blobMark + blobReferenceBytes
}

export function recordOid(bytes: Buffer, offset: number): Oid {
  return readOid(bytes, offset + 8)
}

export function recordSerial(bytes: Buffer, offset: number): Tid {
  return readTid(bytes, offset + 16)
}

/** Position of the record this one replaced; `noPosition` for the first one. */
export function recordPrevious(bytes: Buffer, offset: number): number {
  return readPosition(bytes, offset + 24)
}

/** The checksum a record ought to have: of everything behind the checksum itself. */
export function recordChecksum(bytes: Buffer, offset: number, length: number): number {
  return crc32(bytes.subarray(offset + 4, offset + recordHeaderBytes + bodyBytes(length)))
}

// --- The trailer ----------------------------------------------------------------------------------------------------

/**
 * @param recordChecksums those of all records, 4 bytes each, in order
 * @param headerChecksum binds the trailer to this header
 */
export function writeTrailer(
  target: Buffer,
  offset: number,
  recordChecksums: Uint8Array,
  headerChecksum: number,
  length: number,
): void {
  target.writeUInt32BE(crc32(recordChecksums, headerChecksum), offset)
  target.writeUInt32BE(trailerMagic, offset + 4)
  writePosition(target, length, offset + 8)
}

export function trailerVerifies(
  bytes: Buffer,
  offset: number,
  recordChecksums: Uint8Array,
  headerChecksum: number,
  length: number,
): boolean {
  return (
    bytes.readUInt32BE(offset) === crc32(recordChecksums, headerChecksum) &&
    bytes.readUInt32BE(offset + 4) === trailerMagic &&
    readPosition(bytes, offset + 8) === length
  )
}

// --- Positions ------------------------------------------------------------------------------------------------------

const wordSize = 0x1_0000_0000

export function writePosition(target: Buffer, position: number, offset: number): void {
  target.writeUInt32BE(Math.floor(position / wordSize), offset)
  target.writeUInt32BE(position >>> 0, offset + 4)
}

/** May be beyond the safe integers in damaged data; no checksum was looked at yet. */
export function readPosition(source: Buffer, offset: number): number {
  return source.readUInt32BE(offset) * wordSize + source.readUInt32BE(offset + 4)
}
