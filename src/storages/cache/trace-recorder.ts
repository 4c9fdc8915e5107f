/**
 * Records what is asked of a state cache, for the simulator. The format is described in docs/cache-trace.md:
 *
 *     header   16 bytes   "SHOOTTRC", u32 version (1), u32 record length (32)
 *     record   32 bytes   f64 milliseconds since 1970, u8 kind, 3 bytes 0, u32 length of the state, u64 oid, u64 tid
 *
 * All numbers are little-endian. One file per isolate; records are buffered and appended by the thousand.
 */

import { closeSync, openSync, writeSync } from 'node:fs'
import { ShootoutError, UsageError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import { type Trace, TraceBuilder } from './trace.ts'

const magic = 'SHOOTTRC'
const version = 1
const headerBytes = 16
const recordBytes = 32
const recordsAtATime = 1024

const kinds = ['load', 'store', 'clear'] as const
type Kind = (typeof kinds)[number]

export class TraceRecorder {
  readonly #path: string
  readonly #now: () => number
  #file: number | undefined
  readonly #buffer = Buffer.alloc(recordBytes * recordsAtATime)
  #used = 0

  /**
   * @param path must not exist. @param now milliseconds since 1970
   * @throws ShootoutError `trace-file` when it cannot be created
   */
  constructor(path: string, now: () => number = Date.now) {
    this.#path = path
    this.#now = now
    try {
      this.#file = openSync(path, 'wx', 0o644)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new ShootoutError(
        'trace-file',
        `the cache trace cannot be written to ${path} (${reason}); name a file that does not exist, in a folder you may write to`,
        {
          cause,
        },
      )
    }
    const head = Buffer.alloc(headerBytes)
    head.write(magic, 'latin1')
    head.writeUInt32LE(version, 8)
    head.writeUInt32LE(recordBytes, 12)
    writeAll(this.#file, head)
  }

  get path(): string {
    return this.#path
  }

  /** A reader was given this revision, from the cache or the backend. */
  loaded(oid: Oid, tid: Tid, bytes: number): void {
    this.#record('load', oid, tid, bytes)
  }

  /** A commit brought this revision into the cache. */
  stored(oid: Oid, tid: Tid, bytes: number): void {
    this.#record('store', oid, tid, bytes)
  }

  cleared(): void {
    this.#record('clear', 0, 0, 0)
  }

  flush(): void {
    if (this.#file === undefined || this.#used === 0) return
    writeAll(this.#file, this.#buffer.subarray(0, this.#used))
    this.#used = 0
  }

  close(): void {
    if (this.#file === undefined) return
    this.flush()
    closeSync(this.#file)
    this.#file = undefined
  }

  #record(kind: Kind, oid: number, tid: number, bytes: number): void {
    const buffer = this.#buffer
    const at = this.#used
    buffer.writeDoubleLE(this.#now(), at)
    buffer.writeUInt32LE(kinds.indexOf(kind), at + 8)
    buffer.writeUInt32LE(bytes, at + 12)
    writeSafe(buffer, oid, at + 16)
    writeSafe(buffer, tid, at + 24)
    this.#used += recordBytes
    if (this.#used === buffer.length) this.flush()
  }
}

/** Whether this is a trace that `TraceRecorder` wrote. */
export function isRecordedTrace(content: Uint8Array): boolean {
  return (
    Buffer.from(content.buffer, content.byteOffset, Math.min(8, content.length)).toString('latin1') === magic
  )
}

/**
 * Reads what a recorder wrote. A record that is cut short at the end, by a crash, is left out.
 * @throws UsageError `bad-trace` that names the position
 */
export function readRecordedTrace(content: Uint8Array): Trace {
  const view = new DataView(content.buffer, content.byteOffset, content.length)
  if (!isRecordedTrace(content) || content.length < headerBytes) throw badTrace('it does not begin as one')
  const [found, length] = [view.getUint32(8, true), view.getUint32(12, true)]
  if (found !== version || length !== recordBytes) {
    throw badTrace(
      `it is of version ${found} with records of ${length} bytes; this program reads version ${version}`,
    )
  }
  const builder = new TraceBuilder()
  for (let at = headerBytes; at + recordBytes <= content.length; at += recordBytes) {
    const kind = kinds[view.getUint32(at + 8, true)]
    const oid = readSafe(view, at + 16)
    const tid = readSafe(view, at + 24)
    if (kind === undefined || !Number.isSafeInteger(oid) || !Number.isSafeInteger(tid)) {
      throw badTrace(`the record at byte ${at} makes no sense`)
    }
    if (kind === 'clear') builder.clear()
    else builder.add(kind, oid, tid, view.getUint32(at + 12, true))
  }
  return builder.build()
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
}

function writeSafe(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32LE(value >>> 0, at)
  buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
}

function readSafe(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true)
}

function badTrace(problem: string): UsageError {
  return new UsageError('bad-trace', `this is not a cache trace: ${problem}`)
}
