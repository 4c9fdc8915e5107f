/**
 * The index on disk, so that opening reads only what came after it. A checkpoint is exactly the index as of one
 * published position of the log, though commits go on while it is written: an entry that has moved on since is walked
 * back. It is only a copy; whatever is wrong with it, it is dropped and the log read instead. One thing it knows
 * better than the log: how long the log was at least.
 *
 * Layout (docs/file-format.md): a header, then pages of 512 objects as they lie in memory, each with a checksum.
 */

import { dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { type FileSystem, readFully, writeFully } from '../../core/file-system.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import { damage } from './file-errors.ts'
import { readFileHeader } from './file-header.ts'
import { type FileHeader, fileHeaderBytes, fileIdBytes, readPosition, writePosition } from './format.ts'
import type { Log } from './log.ts'
import { type PositionIndex, slotsPerPage } from './position-index.ts'
import type { LogState, RecoverySource } from './recovery.ts'
import { LogScanner } from './scan.ts'

const headerBytes = 64
const magic = 'SHOOTIDX'
const version = 2
/** Pages are memory images; a machine of the other byte order sees another number here and drops the checkpoint. */
const byteOrderMark = Buffer.from(new Uint32Array([0x0102_0304]).buffer)
const pageHeaderBytes = 16
const pageBytes = pageHeaderBytes + slotsPerPage * 16
/** Pages between two turns of the event loop: about 0.2 ms of work. */
const pagesPerTurn = 32

export function checkpointPath(path: string): string {
  return `${path}.index`
}

/** Name under which a checkpoint is written. What is found there was never finished. */
export function unfinishedCheckpointPath(path: string): string {
  return `${path}.index-new`
}

/**
 * Writes a checkpoint of the log as published now.
 * @param durable flush the log first, and the checkpoint before it takes its name
 */
export async function writeCheckpoint(log: Log, durable: boolean): Promise<void> {
  const { files, path, generation } = log
  const { fileId } = readFileHeader(files, log.file, path)
  const state = log.locked(() => ({
    end: log.publishedEnd,
    lastTid: log.numbers.lastTid,
    nextOid: log.numbers.nextOid,
    file: log.file,
  }))
  if (durable && log.numbers.durableEnd < state.end) {
    await files.syncLater(state.file)
    log.counters.syncs++
  }
  const unfinished = unfinishedCheckpointPath(path)
  if (files.exists(unfinished)) files.remove(unfinished)
  const target = files.open(unfinished, 'create')
  let position = headerBytes
  let pages = 0
  let isWhole = false
  try {
    const batch = Buffer.alloc(pageBytes * pagesPerTurn)
    const starts = log.index.pageStarts()
    for (let exhausted = false; !exhausted; await nextTurn()) {
      // Packing has put another log in this one's place, with a checkpoint of its own.
      if (generation !== log.generation) return
      let filled = 0
      while (filled < batch.length) {
        const next = starts.next()
        if (next.done === true) {
          exhausted = true
          break
        }
        encodePage(log, next.value, state.end, batch.subarray(filled, filled + pageBytes))
        filled += pageBytes
        pages++
      }
      writeFully(files, target, batch, 0, filled, position)
      position += filled
    }
    writeFully(files, target, encodeHeader(fileId, state, pages), 0, headerBytes, 0)
    log.counters.bytesWritten += position
    if (durable) {
      await files.syncLater(target)
      log.counters.syncs++
    }
    isWhole = true
  } finally {
    files.close(target)
    if (!isWhole) files.remove(unfinished)
  }
  log.locked(() => {
    if (generation !== log.generation || log.numbers.lastTid < state.lastTid) return
    files.rename(unfinished, checkpointPath(path))
    log.numbers.checkpointEnd = state.end
    log.numbers.checkpointBytes = position
  })
  if (durable) files.syncFolder(dirname(path))
}

/** What a checkpoint tells. */
export interface FoundCheckpoint {
  /** Everything before this position was confirmed: what is missing or wrong there is damage, not a torn tail. */
  readonly confirmedEnd: number
  /** Where the log stood, with the index filled accordingly; undefined when the index has to be read from the log. */
  readonly state: (LogState & { readonly bytes: number }) | undefined
}

/**
 * Loads the newest checkpoint into `index`.
 * @throws CorruptDataError when the log does not have what its checkpoint has seen
 */
export function readCheckpoint(
  source: RecoverySource,
  fileHeader: FileHeader,
  index: PositionIndex,
  log: (message: string) => void,
): FoundCheckpoint {
  const { files, path } = source
  const name = checkpointPath(path)
  if (!files.exists(name)) return { confirmedEnd: 0, state: undefined }
  const file = files.open(name, 'read')
  try {
    const header = readHeader(files, file, fileHeader.fileId)
    if (typeof header === 'string') {
      log(`${name}: ${header}; the log is read instead`)
      return { confirmedEnd: 0, state: undefined }
    }
    assertFits(source, header, fileHeader, name)
    const problem = fillIndex(files, file, header, index)
    if (problem === undefined) return { confirmedEnd: header.end, state: header }
    log(`${name}: ${problem}; the log is read instead`)
    index.clear()
    return { confirmedEnd: header.end, state: undefined }
  } finally {
    files.close(file)
  }
}

/** The transaction that ends where the checkpoint ends must be there, whole, and the one it names. */
function assertFits(
  { files, file, path, seed }: RecoverySource,
  { end, lastTid }: LogState,
  fileHeader: FileHeader,
  name: string,
): void {
  if (end === fileHeaderBytes) return
  const size = files.size(file)
  const advice = `its checkpoint has seen confirmed transactions up to ${end} (to open what is left nevertheless, remove ${name})`
  if (size < end) throw damage(path, `the file ends at ${size}`, advice)
  const length = Buffer.alloc(8)
  readFully(files, file, length, 0, 8, end - 8)
  const start = end - readPosition(length, 0)
  const read = start < fileHeaderBytes ? undefined : new LogScanner(files, file, seed).read(start, end)
  // The last transaction may have been packed away; then the file header names it.
  const isThere =
    read !== undefined && !('reason' in read) && Math.max(read.header.tid, fileHeader.lastTid) === lastTid
  if (!isThere) {
    throw damage(path, `the transaction that ends at ${end} is not the one that was there`, advice)
  }
}

// --- Pages and header -----------------------------------------------------------------------------------------------

function encodePage(log: Log, start: Oid, end: number, target: Buffer): void {
  const positions = new Float64Array(slotsPerPage)
  const serials = new Float64Array(slotsPerPage)
  log.locked(() => log.index.copyPage(start, positions, serials))
  for (let slot = 0; slot < slotsPerPage; slot++) {
    if (positions[slot]! < end) continue
    const older = asOf(log, (start + slot) as Oid, positions[slot]!, end)
    positions[slot] = older.position
    serials[slot] = older.serial
  }
  target.writeUInt32BE(0, 4)
  writePosition(target, start, 8)
  target.set(new Uint8Array(positions.buffer), pageHeaderBytes)
  target.set(new Uint8Array(serials.buffer), pageHeaderBytes + slotsPerPage * 8)
  target.writeUInt32BE(crc32(target.subarray(4)), 0)
}

/** The newest revision of an object before `end`. */
function asOf(log: Log, oid: Oid, from: number, end: number): { position: number; serial: number } {
  let position = from
  while (position >= end) position = log.read(log.file, position, oid).previous
  return { position, serial: position === 0 ? 0 : log.read(log.file, position, oid).serial }
}

function encodeHeader(fileId: Uint8Array, state: LogState, pages: number): Buffer {
  const header = Buffer.alloc(headerBytes)
  header.write(magic, 0, 'latin1')
  header.writeUInt16BE(version, 8)
  byteOrderMark.copy(header, 12)
  header.set(fileId, 16)
  writePosition(header, state.end, 32)
  writePosition(header, state.lastTid, 40)
  writePosition(header, state.nextOid, 48)
  header.writeUInt32BE(pages, 56)
  header.writeUInt32BE(crc32(header.subarray(0, 60)), 60)
  return header
}

type Header = LogState & { readonly pages: number; readonly bytes: number }

/** The header, or what is wrong, as a phrase. */
function readHeader(files: FileSystem, file: number, fileId: Uint8Array): Header | string {
  const header = Buffer.alloc(headerBytes)
  if (readFully(files, file, header, 0, headerBytes, 0) < headerBytes) return 'it is cut off'
  if (header.toString('latin1', 0, 8) !== magic) return 'it is not a checkpoint'
  if (crc32(header.subarray(0, 60)) !== header.readUInt32BE(60)) return 'its header is damaged'
  if (header.readUInt16BE(8) !== version || !header.subarray(12, 16).equals(byteOrderMark)) {
    return 'it was written by another version or on another kind of machine'
  }
  if (!header.subarray(16, 16 + fileIdBytes).equals(fileId)) return 'it belongs to another log'
  const pages = header.readUInt32BE(56)
  return {
    end: readPosition(header, 32),
    lastTid: readPosition(header, 40) as Tid,
    nextOid: readPosition(header, 48),
    pages,
    bytes: headerBytes + pages * pageBytes,
  }
}

/** Fills the index from all pages. Returns what is wrong, as a phrase. */
function fillIndex(
  files: FileSystem,
  file: number,
  header: Header,
  index: PositionIndex,
): string | undefined {
  if (files.size(file) !== header.bytes) return 'its length is wrong'
  const page = Buffer.alloc(pageBytes)
  const positions = new Float64Array(slotsPerPage)
  const serials = new Float64Array(slotsPerPage)
  for (let at = headerBytes; at < header.bytes; at += pageBytes) {
    if (readFully(files, file, page, 0, pageBytes, at) < pageBytes) return 'it is cut off'
    if (crc32(page.subarray(4)) !== page.readUInt32BE(0)) return `its page at ${at} is damaged`
    new Uint8Array(positions.buffer).set(page.subarray(pageHeaderBytes, pageHeaderBytes + slotsPerPage * 8))
    new Uint8Array(serials.buffer).set(page.subarray(pageHeaderBytes + slotsPerPage * 8))
    index.fillPage(readPosition(page, 8) as Oid, positions, serials)
  }
  return undefined
}
