/**
 * The blobs that one transaction has written and no record names yet. For as long as there are any, in any thread,
 * packing removes no files but those that it knows.
 */

import { StorageTransactionError } from '../../core/errors.ts'
import { systemErrorCode } from '../../core/file-system.ts'
import type { Oid } from '../../core/ids.ts'
import type { BlobSource } from '../storage.ts'
import { blobsFolder, writeBlob } from './blob-file.ts'
import { prepareBlobs, removeBlob } from './blob-folder.ts'
import { writeFailed } from './file-errors.ts'
import type { BlobReference } from './format.ts'
import type { Log } from './log.ts'

export class PendingBlobs {
  readonly #log: Log
  readonly #isDurable: boolean
  readonly #written: { readonly oid: Oid; readonly id: string }[] = []
  #hasEnded = false

  /** @param isDurable the files must survive a loss of power before a record names them */
  constructor(log: Log, isDurable: boolean) {
    this.#log = log
    this.#isDurable = isDurable
    log.seats.add('pendingBlobs', 1)
  }

  /** @throws ShootoutError `disk-full`, `write-failed`; whatever `source` throws */
  async write(oid: Oid, source: BlobSource): Promise<BlobReference> {
    const { files, counters, path, seats } = this.#log
    seats.add('pendingBlobs', 1)
    try {
      this.#writing(() => prepareBlobs(this.#log, this.#isDurable))
      const blob = await writeBlob(files, counters, path, oid, source, this.#isDurable)
      if (this.#hasEnded) {
        removeBlob(this.#log, oid, blob.id)
        throw new StorageTransactionError('the transaction was aborted while it stored a blob')
      }
      this.#written.push({ oid, id: blob.id })
      return blob
    } finally {
      seats.add('pendingBlobs', -1)
    }
  }

  /** Flushes the names of the files: before a record may name them. */
  flush(): void {
    const { files, counters, path } = this.#log
    if (!this.#isDurable || this.#written.length === 0) return
    this.#writing(() => files.syncFolder(blobsFolder(path)))
    counters.syncs++
  }

  /** The transaction is over. @param named ids that are in the log now; the other files go */
  end(named: ReadonlySet<string>): void {
    this.#hasEnded = true
    for (const { oid, id } of this.#written) if (!named.has(id)) removeBlob(this.#log, oid, id)
    this.#log.seats.add('pendingBlobs', -1)
  }

  #writing(body: () => void): void {
    try {
      body()
    } catch (cause) {
      if (systemErrorCode(cause) === undefined) throw cause
      throw writeFailed(this.#log.path, cause)
    }
  }
}
