/** What the two ways of copying have in common: what is asked for, what is counted, and how a copy is refused. */

import { ShootoutError } from '../../core/errors.ts'
import type { Oid } from '../../core/ids.ts'
import type { RecordedBlob } from '../storage.ts'

/** Bytes read from the source before they are sent on. Two batches are in memory: one is read while the other is written. */
export const batchBytes = 4 * 1024 * 1024

/** `transactions`: all of them, with tids, metadata and every revision. `states`: the current state of each object. */
export type CopyWay = 'transactions' | 'states'

export type CopyPhase = 'checking' | 'copying' | 'verifying'

export interface CopyProgress {
  readonly phase: CopyPhase
  /** Of this phase, from 0 to 1; an estimate. */
  readonly fraction: number
  /** Handled in this phase. */
  readonly records: number
  readonly bytes: number
}

/** What is to become of blobs: copied; left out; or the copy stops at the first, because the destination keeps none. */
export type BlobPolicy = 'copy' | 'leave-out' | 'refuse'

export interface CopyOptions {
  /** Finds the objects that a state refers to. Only called where the source cannot iterate. */
  readonly references: (data: Uint8Array) => Iterable<Oid>
  readonly blobs: BlobPolicy
  /** Compare everything afterwards. */
  readonly verify: boolean
  /** Aborted: the copy stops after the batch at hand and can be continued. */
  readonly signal?: AbortSignal
  onProgress?(progress: CopyProgress): void
}

export interface CopyResult {
  readonly way: CopyWay
  /** False when the signal ended it early. */
  readonly finished: boolean
  /** Found in the destination, compared, and left as they were. */
  readonly recordsThere: number
  /** Written by this copy. */
  readonly transactions: number
  readonly records: number
  readonly bytes: number
  readonly blobs: number
  readonly blobBytes: number
  /** References to objects that the source does not have. */
  readonly dangling: number
  readonly verification?: Verification
}

export interface Verification {
  readonly records: number
  readonly bytes: number
  readonly blobs: number
  readonly differenceCount: number
  /** The first of them, one line each. */
  readonly differences: readonly string[]
}

/** Longest time without looking whether the copy is to stop. */
const breathMs = 20

/** Differences that are told; the rest are only counted. */
const differencesTold = 20

/** One copy that is under way. */
export class CopyJob {
  readonly options: CopyOptions
  readonly written = { transactions: 0, records: 0, bytes: 0, blobs: 0, blobBytes: 0 }
  readonly verified = { records: 0, bytes: 0, blobs: 0 }
  readonly #differences: string[] = []
  #differenceCount = 0
  #breathedMs = 0
  recordsThere = 0
  dangling = 0

  constructor(options: CopyOptions) {
    this.options = options
  }

  get isStopped(): boolean {
    return this.options.signal?.aborted === true
  }

  /**
   * To be awaited between steps. Storages that answer without waiting would keep signals and timers from being heard;
   * every few milliseconds those get their turn.
   */
  breathe(): Promise<void> | undefined {
    const now = performance.now()
    if (now - this.#breathedMs < breathMs) return undefined
    this.#breathedMs = now
    return new Promise((resolve) => {
      setImmediate(resolve)
    })
  }

  progress(
    phase: CopyPhase,
    fraction: number,
    done: { readonly records: number; readonly bytes: number },
  ): void {
    const { records, bytes } = done
    this.options.onProgress?.({ phase, fraction: Math.min(1, Math.max(0, fraction)), records, bytes })
  }

  /** The blob to write; undefined where there is none or it is to be left out. @throws ShootoutError `blobs-not-kept` */
  blobToCopy(oid: Oid, blob: RecordedBlob | undefined): RecordedBlob | undefined {
    if (blob === undefined || this.options.blobs === 'leave-out') return undefined
    if (this.options.blobs === 'copy') return blob
    throw new ShootoutError(
      'blobs-not-kept',
      `object ${oid} has a blob, and the destination keeps none; choose another destination, or leave blobs out with --no-blobs`,
      { details: { oid } },
    )
  }

  differs(difference: string): void {
    this.#differenceCount++
    if (this.#differences.length < differencesTold) this.#differences.push(difference)
  }

  result(way: CopyWay): CopyResult {
    const isVerified = this.options.verify && !this.isStopped
    return {
      way,
      finished: !this.isStopped,
      recordsThere: this.recordsThere,
      ...this.written,
      dangling: this.dangling,
      ...(isVerified && {
        verification: {
          ...this.verified,
          differenceCount: this.#differenceCount,
          differences: this.#differences,
        },
      }),
    }
  }
}

/** The destination holds something that is not the beginning of this source. */
export function notPrefixError(reason: string): ShootoutError {
  return new ShootoutError(
    'copy-not-a-prefix',
    `the destination holds something else than the beginning of the source: ${reason}; nothing in it was changed by this. Choose an empty destination, or destroy what it holds with --clear`,
  )
}
