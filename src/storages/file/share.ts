/**
 * Opens a log for a process, once: takes the lock, creates the file or recovers it, and fills the shared memory that
 * all threads will use. Ends with a checkpoint.
 */

import { basename } from 'node:path'
import { describeError, ShootoutError, UsageError } from '../../core/errors.ts'
import type { FileSystem } from '../../core/file-system.ts'
import { noTid, type Tid } from '../../core/ids.ts'
import { acquireLock, type LockFile } from '../../core/lock-file.ts'
import { formatDuration } from '../../core/units.ts'
import type { OpenContext, SharedState } from '../storage.ts'
import { zeroCounters } from '../storage.ts'
import { blobsFolder } from './blob-file.ts'
import { blobFiles, sweepAfterCrash, unmarkBlobs } from './blob-folder.ts'
import { checkpointPath, readCheckpoint, unfinishedCheckpointPath, writeCheckpoint } from './checkpoint.ts'
import { notAccessible, notMade } from './file-errors.ts'
import { createLog, readFileHeader } from './file-header.ts'
import { checksumSeed, fileHeaderBytes } from './format.ts'
import { releaseIndexBuffer } from './index-memory.ts'
import { Log } from './log.ts'
import { forgetReserve, reservedOids, unfinishedReservePath } from './oid-reserve.ts'
import { unfinishedPackPath } from './pack.ts'
import { PositionIndex } from './position-index.ts'
import { type LogState, readLog, setTailAside } from './recovery.ts'
import { newSharedLog, type SharedLog, SharedNumbers, word } from './shared-state.ts'
import type { FileDurability } from './storage.ts'

export interface ShareOptions {
  readonly path: string
  readonly durability: FileDurability
  readonly indexBytes: number
}

/**
 * @param lockLog keeps other processes out; a simulated disk needs another one than a real disk
 * @throws ShootoutError `storage-locked`, `log-not-found`, `not-a-log`, `corrupt-data` …
 */
export async function shareLog(
  files: FileSystem,
  options: ShareOptions,
  context: OpenContext,
  lockLog: typeof acquireLock = acquireLock,
): Promise<SharedState<SharedLog>> {
  const { path, durability } = options
  if (path === '') {
    throw new UsageError('no-path', 'file: which log? Give its path, as in file:path=data.log')
  }
  const readOnly = context.readOnly ?? false
  let lock: LockFile | undefined
  let file: number | undefined
  let shared: SharedLog | undefined
  try {
    if (!readOnly) lock = lockFor(path, context, lockLog)
    if (!files.exists(path)) {
      if (readOnly)
        throw new ShootoutError('log-not-found', `there is no log ${path}; check the path`, {
          details: { path },
        })
      refuseOrphans(files, path)
      makeLog(files, path, context)
    }
    file = openLog(files, path, readOnly)
    shared = newSharedLog(path, readOnly, options.indexBytes)
    recover(files, file, shared, context)
    files.close(file)
    file = undefined
    if (!readOnly) await withLog(files, shared, context, sweepAfterCrash)
    const ownLock = lock
    const state = shared
    const end = async () => {
      try {
        if (!readOnly) {
          await lastCheckpoint(files, state, durability, context)
          await withLog(files, state, context, unmarkBlobs)
        }
      } finally {
        releaseIndexBuffer(state.index)
        ownLock?.release()
      }
    }
    let ending: Promise<void> | undefined
    return {
      state,
      // Closing twice must not give the memory back twice.
      close: () => {
        ending ??= end()
        return ending
      },
    }
  } catch (error) {
    if (file !== undefined) files.close(file)
    if (shared !== undefined) releaseIndexBuffer(shared.index)
    lock?.release()
    throw error
  }
}

function lockFor(path: string, context: OpenContext, lockLog: typeof acquireLock): LockFile {
  try {
    return lockLog(path, context.log)
  } catch (error) {
    throw notMade(path, error)
  }
}

function makeLog(files: FileSystem, path: string, context: OpenContext): void {
  try {
    createLog(files, path, context.clock)
  } catch (error) {
    throw notMade(path, error)
  }
}

/** A log that is missing while what belongs to it is there was moved or lost: a new one in its place would hide that. */
function refuseOrphans(files: FileSystem, path: string): void {
  const blobs = blobFiles(files, path).length > 0 ? blobsFolder(path) : undefined
  const orphan = files.exists(checkpointPath(path)) ? checkpointPath(path) : blobs
  if (orphan === undefined) return
  throw new ShootoutError(
    'log-not-found',
    `there is no log ${path}, but ${basename(orphan)} belongs to one; put the log back, or remove ${orphan} to begin a new one`,
    { details: { path, orphan } },
  )
}

function openLog(files: FileSystem, path: string, readOnly: boolean): number {
  try {
    return files.open(path, readOnly ? 'read' : 'write')
  } catch (error) {
    throw notAccessible(path, error)
  }
}

function recover(files: FileSystem, file: number, shared: SharedLog, context: OpenContext): void {
  const { path, readOnly } = shared
  const header = readFileHeader(files, file, path)
  const seed = checksumSeed(header.fileId)
  const source = { files, file, path, seed }
  const index = new PositionIndex(shared.index, 0)
  const start = context.clock.monotonicNs()
  const empty: LogState = { end: fileHeaderBytes, lastTid: noTid, nextOid: header.nextOid }
  const { confirmedEnd, state: checkpoint } = readCheckpoint(source, header, index, context.log)
  const state = readLog(source, checkpoint ?? empty, confirmedEnd, (oid, position, serial) =>
    index.set(oid, position, serial),
  )
  if (!readOnly) {
    setTailAside(source, state.end, context.log)
    // What was found may still be in the memory of a system that did not crash; from here on it counts as confirmed.
    files.sync(file)
    for (const unfinished of [
      unfinishedCheckpointPath(path),
      unfinishedPackPath(path),
      unfinishedReservePath(path),
    ]) {
      if (files.exists(unfinished)) files.remove(unfinished)
    }
  }
  const readNs = context.clock.monotonicNs() - start
  if (readNs > 5e9) context.log(`${path}: opened in ${formatDuration(readNs)}`)
  const words = new Int32Array(shared.words)
  const numbers = new SharedNumbers(shared)
  words[word.seed] = seed | 0
  words[word.formatVersion] = header.version
  numbers.tail = state.end
  numbers.durableEnd = state.end
  const lastTid = Math.max(state.lastTid, header.lastTid) as Tid
  numbers.lastTid = lastTid
  numbers.tailTid = lastTid
  numbers.nextOid = Math.max(state.nextOid, reservedOids(files, path, context.log))
  numbers.checkpointEnd = checkpoint?.end ?? 0
  numbers.checkpointBytes = checkpoint?.bytes ?? 0
}

/** Runs `body` with a view of the log that is closed afterwards. */
async function withLog(
  files: FileSystem,
  shared: SharedLog,
  context: OpenContext,
  body: (log: Log) => void | Promise<void>,
): Promise<void> {
  const log = new Log(shared, files, context.clock, zeroCounters(), context.log)
  try {
    await body(log)
  } finally {
    log.leave()
  }
}

/** So that the next opening need not read the log. It can do without. */
async function lastCheckpoint(
  files: FileSystem,
  shared: SharedLog,
  durability: FileDurability,
  context: OpenContext,
): Promise<void> {
  const log = new Log(shared, files, context.clock, zeroCounters(), context.log)
  // What it would say is not certain.
  if (Atomics.load(log.words, word.failed) !== 0) return
  try {
    if (durability === 'os') files.sync(log.file)
    await writeCheckpoint(log, durability !== 'none')
    forgetReserve(files, log.path)
  } catch (error) {
    context.log(
      `${log.path}: no checkpoint was written on closing, so the next opening reads the log: ${describeError(error)}`,
    )
  } finally {
    log.close()
  }
}
