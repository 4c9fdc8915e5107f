/**
 * The few file operations a storage needs, so that a test can put a simulated disk with a written fault model in
 * place of the real one. All are synchronous: a positional read from the page cache takes a microsecond, handing it to
 * a thread pool takes fifteen. Only the flush, which may take milliseconds, also exists as a promise.
 *
 * Errors are the system's own (`code` ENOENT, ENOSPC, EIO …); who calls turns them into sentences.
 */

import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'

/** `read`: must exist. `write`: for reading and writing, must exist. `create`: the same, must not exist. */
export type OpenMode = 'read' | 'write' | 'create'

/** What is known of a file by its name. */
export interface FileFacts {
  readonly bytes: number
  /** When it was last written or touched, ms since 1970. */
  readonly touchedMs: number
}

export interface FileSystem {
  /** @returns a descriptor, valid in every thread of the process */
  open(path: string, mode: OpenMode): number
  close(file: number): void
  /** Reads up to `length` bytes at `position`. Returns how many; 0 at the end of the file. */
  read(file: number, target: Uint8Array, offset: number, length: number, position: number): number
  /** Writes up to `length` bytes at `position`. Returns how many: a short write is possible. */
  write(file: number, source: Uint8Array, offset: number, length: number, position: number): number
  truncate(file: number, bytes: number): void
  size(file: number): number
  /** Says that the file was written or used at this moment. */
  touch(file: number, timeMs: number): void
  /** When it returns, the contents of the file, and its size, survive loss of power (fdatasync). */
  sync(file: number): void
  /** As `sync`, without blocking the event loop. */
  syncLater(file: number): Promise<void>
  /** When it returns, creations, renames and removals in the folder survive loss of power. */
  syncFolder(path: string): void
  exists(path: string): boolean
  /** Undefined where there is no such file. */
  look(path: string): FileFacts | undefined
  /** Nothing happens where it exists already. */
  makeFolder(path: string): void
  /** Names in a folder, in no order; none where there is no such folder. */
  list(path: string): string[]
  /** Replaces `to` if it exists, atomically. */
  rename(from: string, to: string): void
  /** A second name for the same file. @throws EEXIST */
  link(existing: string, path: string): void
  remove(path: string): void
}

const flagsOf: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
}

export const realFileSystem: FileSystem = {
  open: (path, mode) => openSync(path, flagsOf[mode], 0o644),
  close: closeSync,
  read: readSync,
  write: writeSync,
  truncate: ftruncateSync,
  size: (file) => fstatSync(file).size,
  touch: (file, timeMs) => futimesSync(file, timeMs / 1000, timeMs / 1000),
  sync: fdatasyncSync,
  syncLater: (file) =>
    new Promise((resolve, reject) => {
      fdatasync(file, (error) => (error === null ? resolve() : reject(error)))
    }),
  syncFolder(path) {
    // Windows cannot open a folder; its file system journals names itself.
    if (process.platform === 'win32') return
    const folder = openSync(path, constants.O_RDONLY)
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  },
  exists: existsSync,
  look(path) {
    const found = statSync(path, { throwIfNoEntry: false })
    return found && { bytes: found.size, touchedMs: found.mtimeMs }
  },
  makeFolder(path) {
    mkdirSync(path, { recursive: true })
  },
  list: (path) => (existsSync(path) ? readdirSync(path) : []),
  rename: renameSync,
  link: linkSync,
  remove: unlinkSync,
}

/** Node refuses single reads and writes of 2 GiB and more. */
const chunkBytesMax = 1024 ** 3

/** Reads until `length` bytes are there or the file ends. Returns how many there were. */
export function readFully(
  files: FileSystem,
  file: number,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  let done = 0
  while (done < length) {
    const wanted = Math.min(length - done, chunkBytesMax)
    const got = files.read(file, target, offset + done, wanted, position + done)
    if (got === 0) break
    done += got
  }
  return done
}

/** Writes all of `source[offset .. offset + length]`, however often the system writes short. Returns the calls made. */
export function writeFully(
  files: FileSystem,
  file: number,
  source: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  let done = 0
  let calls = 0
  while (done < length) {
    const wanted = Math.min(length - done, chunkBytesMax)
    done += files.write(file, source, offset + done, wanted, position + done)
    calls++
  }
  return calls
}

/** The `code` of a system error, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}
