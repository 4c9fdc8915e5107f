/**
 * Which files in the folder of the blobs belong to the store, and the removal of those that do not: left by a process
 * that was killed, by a transaction that was taken back, or of revisions that were packed away.
 *
 * Sweeping costs a look at every blob. So a process that has begun to write blobs leaves a mark in the folder, and
 * removes it on closing if it left nothing behind; opening sweeps only where it finds the mark.
 */

import { dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describeError } from '../../core/errors.ts'
import { systemErrorCode } from '../../core/file-system.ts'
import { maxTid, type Oid } from '../../core/ids.ts'
import { blobPath, blobsFolder, parseBlobName } from './blob-file.ts'
import { noPosition } from './format.ts'
import type { Log } from './log.ts'
import { word } from './shared-state.ts'

const markName = 'unswept'

/** Objects between two turns of the event loop: a few milliseconds of work. */
const objectsPerTurn = 64

function markPath(path: string): string {
  return `${blobsFolder(path)}/${markName}`
}

/**
 * To be called before a blob is written: makes the folder, and the mark.
 * @param durable so that a loss of power takes neither of them without what comes after
 */
export function prepareBlobs(log: Log, durable: boolean): void {
  const { files, path, words } = log
  if (Atomics.load(words, word.blobsMarked) !== 0) return
  const folder = blobsFolder(path)
  files.makeFolder(folder)
  try {
    files.close(files.open(markPath(path), 'create'))
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
  }
  if (durable) {
    files.syncFolder(folder)
    files.syncFolder(dirname(path))
    log.counters.syncs += 2
  }
  Atomics.store(words, word.blobsMarked, 1)
}

/** Removes the mark, if this process leaves nothing behind that the next one would have to look for. */
export function unmarkBlobs(log: Log): void {
  const { files, path, words } = log
  if (Atomics.load(words, word.blobsMarked) === 0) return
  // Terminated threads leave files, and so do transactions that were taken back, and removals that were put off.
  const reasons = [word.sweepDue, word.failed]
  if (log.seats.sum('pendingBlobs') === 0 && reasons.every((at) => Atomics.load(words, at) === 0))
    files.remove(markPath(path))
}

/** Opening: nobody else uses the store. */
export async function sweepAfterCrash(log: Log): Promise<void> {
  const { files, path } = log
  if (!files.exists(markPath(path))) return
  await sweepBlobs(log, files.list(blobsFolder(path)))
  files.remove(markPath(path))
}

/**
 * Packing has put a new log in place, on disk: blobs of what it left out have no record any more. What is not removed
 * now, because the process is killed, goes when the log is opened.
 * @param dropped names of blobs that may have lost their record
 */
export async function sweepAfterPack(log: Log, dropped: readonly string[]): Promise<void> {
  const { words, files, path } = log
  if (dropped.length === 0 && Atomics.load(words, word.sweepDue) === 0) return
  // Looked at first: whoever is about to commit one of these files was counted before it was made.
  const all = Atomics.load(words, word.sweepDue) === 0 ? dropped : blobFiles(files, path)
  if (log.seats.sum('iterations') !== 0) {
    Atomics.store(words, word.sweepDue, 1)
  } else if (log.seats.sum('pendingBlobs') === 0) {
    Atomics.store(words, word.sweepDue, 0)
    await sweepBlobs(log, all)
  } else await sweepBlobs(log, dropped)
}

/** Names of blob files in the folder; a log that is lost must not be replaced by an empty one while it has any. */
export function blobFiles(files: Log['files'], path: string): string[] {
  return files.list(blobsFolder(path)).filter((name) => parseBlobName(name) !== undefined)
}

/** Bytes of all files of blobs. */
export async function blobBytes(log: Log): Promise<number> {
  let bytes = 0
  for (const [at, name] of blobFiles(log.files, log.path).entries()) {
    if (at % objectsPerTurn === objectsPerTurn - 1) await nextTurn()
    bytes += sizeOf(log, `${blobsFolder(log.path)}/${name}`)
  }
  return bytes
}

/** 0 where it cannot be told: nothing depends on it. */
function sizeOf({ files, report }: Log, path: string): number {
  try {
    const file = files.open(path, 'read')
    try {
      return files.size(file)
    } finally {
      files.close(file)
    }
  } catch (error) {
    // A transaction that was aborted has removed it meanwhile.
    if (systemErrorCode(error) !== 'ENOENT') report(`${path}: not counted: ${describeError(error)}`)
    return 0
  }
}

/**
 * Removes those of the files that no record of the log names. Other files in the folder are not touched.
 * Nobody may be about to commit one of them.
 */
async function sweepBlobs(log: Log, names: readonly string[]): Promise<void> {
  const idsOf = new Map<Oid, string[]>()
  for (const name of names) {
    const parsed = parseBlobName(name)
    if (parsed === undefined) continue
    const ids = idsOf.get(parsed.oid)
    if (ids === undefined) idsOf.set(parsed.oid, [parsed.id])
    else ids.push(parsed.id)
  }
  let count = 0
  for (const [oid, ids] of idsOf) {
    if (++count % objectsPerTurn === 0) await nextTurn()
    let named: ReadonlySet<string>
    try {
      named = namedBlobs(log, oid)
    } catch (error) {
      // Then it cannot be told what belongs to the object: everything stays.
      log.report(`${log.path}: blobs of object ${oid} were not looked at: ${describeError(error)}`)
      continue
    }
    for (const id of ids) if (!named.has(id)) removeBlob(log, oid, id)
  }
}

/** Ids of the blobs of all revisions of an object. */
function namedBlobs(log: Log, oid: Oid): Set<string> {
  const named = new Set<string>()
  for (let record = log.find(oid, maxTid, maxTid)?.record; record !== undefined; ) {
    if (record.blob !== undefined) named.add(record.blob.id)
    if (record.previous === noPosition) break
    record = log.read(log.file, record.previous, oid)
  }
  return named
}

/** A file that cannot be removed does no harm; the next opening tries again. */
export function removeBlob(log: Log, oid: Oid, id: string): void {
  const name = blobPath(log.path, oid, id)
  try {
    log.files.remove(name)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return
    Atomics.store(log.words, word.sweepDue, 1)
    log.report(`${name}: belongs to no object, and cannot be removed: ${describeError(error)}`)
  }
}
