/**
 * The blob cache: blobs in a folder, for every thread and process that names it, so that a blob that was read or
 * committed on this machine is not fetched again.
 *
 * A blob belongs to one revision of one life of one store, and never changes; its file is found by that alone. Files
 * are filled under temporary names and get their own when they are complete (`blob-space.ts`), so what is found is
 * whole, and checked all the same (`blob-file.ts`). Whatever goes wrong with the folder, blobs are read from where they
 * are kept, and the log says so once.
 */

import { describeError } from '../../../core/errors.ts'
import { systemErrorCode } from '../../../core/file-system.ts'
import type { BlobCacheCounters } from '../../storage.ts'
import { BlobFile, type BlobKey, blobFileName, fileBytes } from './blob-file.ts'
import { type BlobFolder, BlobSpace } from './blob-space.ts'
import { CachedPieces, FillingPieces, type OpenSource } from './cached-pieces.ts'
import { Filling } from './filling.ts'
import { IncomingBlob } from './incoming-blob.ts'
import { type BlobPieces, type BlobShape, pieceLength } from './pieces.ts'

/** A larger share of the limit would push out too much at once. */
const blobShareMax = 0.5
/** A folder that could not be written to is left alone for so long. */
const pauseMs = 60_000

const nothing = new Uint8Array(0)

export interface FoundBlob extends BlobShape {
  readonly pieces: BlobPieces
}

export type MutableBlobCacheCounters = { -readonly [K in keyof BlobCacheCounters]: number }

export class BlobCache {
  /** Larger blobs are not taken. */
  readonly blobBytesMax: number
  readonly counted: MutableBlobCacheCounters = {
    hits: 0,
    misses: 0,
    bytesRead: 0,
    bytesWritten: 0,
    evictions: 0,
    damaged: 0,
  }
  readonly #folder: BlobFolder
  readonly #space: BlobSpace
  readonly #log: (message: string) => void
  /** By path. */
  readonly #fillings = new Map<string, Filling>()
  #pausedUntilMs = 0
  #hasComplained = false
  #failure: { readonly error: unknown } | undefined
  #isClosed = false

  /** @throws the system's error when the folder cannot be used */
  constructor(folder: BlobFolder, log: (message: string) => void) {
    this.blobBytesMax = Math.floor(folder.bytesLimit * blobShareMax)
    this.#folder = folder
    this.#space = new BlobSpace(folder, () => this.counted.evictions++)
    this.#log = log
    this.#space.open()
  }

  counters(): BlobCacheCounters {
    return { ...this.counted }
  }

  /**
   * The blob of this revision; undefined when it is not here.
   * @param openSource for when a piece turns out to be damaged
   */
  find(key: BlobKey, openSource: OpenSource): FoundBlob | undefined {
    const file = this.#isClosed ? undefined : this.#open(key)
    if (file === undefined) return undefined
    const found = { bytes: file.bytes, pieceBytes: file.pieceBytes }
    if (file.bytes > file.pieceBytes) {
      this.counted.hits++
      return { ...found, pieces: new CachedPieces(this, key, file, openSource) }
    }
    // Looked at now, so that nothing is left to go wrong.
    const piece = file.bytes === 0 ? nothing : this.readPiece(key, file, 0)
    file.close()
    if (piece === undefined) return undefined
    this.counted.hits++
    return { ...found, pieces: { get: () => piece, close() {} } }
  }

  #open(key: BlobKey): BlobFile | undefined {
    const { files } = this.#folder
    let file: BlobFile | undefined
    this.attempt(() => {
      try {
        file = BlobFile.open(files, this.#pathOf(key), key)
      } catch (error) {
        if (systemErrorCode(error) === 'ENOENT') return
        throw error
      }
      if (file === undefined) this.#dropDamaged(key)
      else this.#used(file)
    })
    return file
  }

  /** For those who ask which was used last. */
  #used(file: BlobFile): void {
    try {
      file.touch(this.#nowMs)
    } catch (error) {
      // Somebody else's file: it is used all the same, and goes a little early.
      if (systemErrorCode(error) === undefined) throw error
    }
  }

  /**
   * The pieces of a blob that is not here, from its source; the cache takes a copy as they are read.
   * @param openSource for when a piece is needed again after `source` was closed
   */
  fill(key: BlobKey, shape: BlobShape, source: BlobPieces, openSource: OpenSource): BlobPieces {
    this.counted.misses++
    const path = this.#pathOf(key)
    let filling = this.#fillings.get(path)
    if (filling === undefined) {
      const incoming = shape.bytes > this.blobBytesMax ? undefined : this.incoming(shape.pieceBytes)
      if (incoming === undefined) return source
      filling = new Filling(key, shape, incoming, () => this.#fillings.delete(path))
      this.#fillings.set(path, filling)
    }
    return new FillingPieces(this, filling, source, openSource)
  }

  /** A new file to be filled. Undefined where none can be made now. */
  incoming(pieceBytes: number): IncomingBlob | undefined {
    if (this.#isClosed || this.#nowMs < this.#pausedUntilMs) return undefined
    const path = this.#space.newIncoming()
    let incoming: IncomingBlob | undefined
    this.attempt(() => {
      if (this.#hasComplained) this.#space.makeFolders()
      incoming = new IncomingBlob(this, path, BlobFile.create(this.#folder.files, path, pieceBytes))
    })
    return incoming
  }

  /** Everything that was complete has been placed. @throws what was not the disk's fault */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#space.settled()
    if (this.#failure !== undefined) throw this.#failure.error
  }

  // --- For the files --------------------------------------------------------------------------------------------------

  /** Ends the file and gives it its name. Never fails. */
  async place(path: string, file: BlobFile, key: BlobKey): Promise<void> {
    try {
      const isSealed = this.attempt(() => {
        file.seal(key)
        file.touch(this.#nowMs)
      })
      if (!isSealed) return this.remove(path)
      const isPlaced = await this.#space.place(path, fileBytes(file), blobFileName(key))
      if (isPlaced) this.counted.bytesWritten += file.bytes
    } catch (error) {
      if (systemErrorCode(error) === undefined) this.#failure ??= { error }
      else this.#complain(error)
    }
  }

  /** Undefined when it is not what it must be: then the file is removed. */
  readPiece(key: BlobKey, file: BlobFile, number: number): Uint8Array | undefined {
    let piece: Uint8Array | undefined
    this.attempt(() => {
      piece = file.read(number, pieceLength(file, number))
    })
    if (piece === undefined) this.#dropDamaged(key)
    else this.counted.bytesRead += piece.length
    return piece
  }

  #dropDamaged(key: BlobKey): void {
    this.counted.damaged++
    this.#log(`a blob in ${this.#folder.path} was damaged, and is read from the store again`)
    this.remove(this.#pathOf(key))
  }

  remove(path: string): void {
    this.attempt(() => this.#space.remove(path))
  }

  /** Does what may fail because of the disk. False: it did, and was reported. */
  attempt(work: () => void): boolean {
    try {
      work()
      return true
    } catch (error) {
      this.#complain(error)
      return false
    }
  }

  /** @throws what is not the disk's fault */
  #complain(error: unknown): void {
    if (systemErrorCode(error) === undefined) throw error
    this.#pausedUntilMs = this.#nowMs + pauseMs
    if (this.#hasComplained) return
    this.#hasComplained = true
    this.#log(
      `the blob cache ${this.#folder.path} does not work: ${describeError(error)}; blobs are read from the store, and it is tried again every minute`,
    )
  }

  #pathOf(key: BlobKey): string {
    const { folder, name } = blobFileName(key)
    return `${this.#folder.path}/${folder}/${name}`
  }

  get #nowMs(): number {
    return this.#folder.clock.wallUs() / 1000
  }
}
