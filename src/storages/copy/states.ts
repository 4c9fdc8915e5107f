/**
 * Copying without history: the current state of each object, under the same id, in new transactions. Every state and
 * every choice is made in one snapshot of the source.
 *
 * Objects go in an order that the source alone decides, and each batch is one transaction; so a copy that was killed
 * has written a first part of that order, and starting it again goes on where the destination has no objects any more.
 */

import { ConflictError } from '../../core/errors.ts'
import { noTid } from '../../core/ids.ts'
import type { RecordedBlob, Storage, StorageInstance } from '../storage.ts'
import { compareBlobs, compareStates, ofObject } from './compare.ts'
import { type CopyJob, type CopyPhase, notPrefixError } from './job.ts'
import { iteratedStates, type Page, reachableStates, type State } from './state-pages.ts'

const blobChunkBytes = 1024 * 1024

export async function copyStates(source: Storage, destination: Storage, job: CopyJob): Promise<void> {
  const from = await source.newInstance()
  try {
    const to = await destination.newInstance()
    try {
      await from.pollInvalidations()
      const copy = new StateCopy(source, from, to, job)
      await copy.upload(destination.lastTid === noTid)
      if (job.options.verify && !job.isStopped) await copy.verify()
    } finally {
      await to.release()
    }
  } finally {
    await from.release()
  }
}

class StateCopy {
  readonly #source: Storage
  readonly #from: StorageInstance
  readonly #to: StorageInstance
  readonly #job: CopyJob

  constructor(source: Storage, from: StorageInstance, to: StorageInstance, job: CopyJob) {
    this.#source = source
    this.#from = from
    this.#to = to
    this.#job = job
  }

  #pages(): AsyncIterable<Page> {
    return this.#source.iterate === undefined
      ? reachableStates(this.#from, this.#job)
      : iteratedStates(this.#source, this.#from)
  }

  async upload(isEmpty: boolean): Promise<void> {
    const checked = { records: 0, bytes: 0 }
    let isBehind = isEmpty
    let writing: Promise<void> = Promise.resolve()
    try {
      for await (const { states, fraction } of this.#pages()) {
        await this.#job.breathe()
        if (this.#job.isStopped) break
        const missing = isBehind ? states : await this.#check(states, checked)
        if (missing.length > 0) isBehind = true
        // The source is read on while this is written, except for blobs, which are read while they are written.
        await writing
        writing = this.#commit(missing)
        if (this.#blobsAreCopied) await writing
        else writing.catch(() => {})
        const phase: CopyPhase = isBehind ? 'copying' : 'checking'
        this.#job.progress(phase, fraction, isBehind ? this.#job.written : checked)
      }
      await writing
    } finally {
      await writing.catch(() => {})
    }
  }

  /** Compares those that are there. Returns the rest, once the first object is missing. */
  async #check(
    states: readonly State[],
    checked: { records: number; bytes: number },
  ): Promise<readonly State[]> {
    await this.#to.pollInvalidations()
    const found = await this.#to.loadMany(states.map(({ oid }) => oid))
    for (const [index, state] of states.entries()) {
      const revision = found[index]
      if (revision === undefined) {
        if (checked.records === 0)
          throw notPrefixError(`it has no object ${state.oid}, but other transactions`)
        const later = states.find((_, other) => other > index && found[other] !== undefined)
        if (later !== undefined)
          throw notPrefixError(`it has object ${later.oid}, but not object ${state.oid}`)
        await this.#to.afterCompletion()
        return states.slice(index)
      }
      const difference = compareStates(state.data, revision.data) ?? (await this.#compareBlob(state))
      if (difference !== undefined) throw notPrefixError(ofObject(state.oid, difference))
      checked.records++
      checked.bytes += state.data.length
      this.#job.recordsThere++
    }
    await this.#to.afterCompletion()
    return []
  }

  async #commit(states: readonly State[]): Promise<void> {
    if (states.length === 0) return
    const { written } = this.#job
    await this.#to.pollInvalidations()
    const transaction = this.#to.begin()
    let blobs = 0
    let blobBytes = 0
    try {
      for (const { oid, data, mayHaveBlob } of states) {
        const blob = mayHaveBlob && this.#blobsAreCopied ? await openBlob(this.#from, oid) : undefined
        try {
          const wanted = this.#job.blobToCopy(oid, blob)
          if (wanted === undefined) await transaction.store(oid, noTid, data)
          else {
            await transaction.storeBlob!(oid, noTid, data, wanted.chunks())
            blobs++
            blobBytes += wanted.bytes
          }
        } finally {
          await blob?.close()
        }
      }
      await (await transaction.vote()).finish()
    } catch (error) {
      await transaction.abort()
      if (error instanceof ConflictError)
        throw notPrefixError(`it has object ${error.oid}, but not those before it`)
      throw error
    }
    await this.#to.afterCompletion()
    written.transactions++
    written.records += states.length
    for (const { data } of states) written.bytes += data.length
    written.blobs += blobs
    written.blobBytes += blobBytes
  }

  async verify(): Promise<void> {
    const { verified } = this.#job
    await this.#to.pollInvalidations()
    for await (const { states, fraction } of this.#pages()) {
      await this.#job.breathe()
      if (this.#job.isStopped) return
      const found = await this.#to.loadMany(states.map(({ oid }) => oid))
      for (const [index, state] of states.entries()) {
        const revision = found[index]
        const difference =
          revision === undefined
            ? 'is missing'
            : (compareStates(state.data, revision.data) ?? (await this.#compareBlob(state)))
        if (difference !== undefined) this.#job.differs(ofObject(state.oid, difference))
        verified.records++
        verified.bytes += state.data.length
      }
      this.#job.progress('verifying', fraction, verified)
    }
  }

  get #blobsAreCopied(): boolean {
    return this.#job.options.blobs !== 'leave-out' && this.#from.openBlob !== undefined
  }

  async #compareBlob({ oid, mayHaveBlob }: State): Promise<string | undefined> {
    if (this.#job.options.blobs !== 'copy') return undefined
    const wanted = mayHaveBlob ? await openBlob(this.#from, oid) : undefined
    const found = await openBlob(this.#to, oid)
    if (wanted !== undefined) this.#job.verified.blobs++
    try {
      return await compareBlobs(wanted, found)
    } finally {
      await wanted?.close()
      await found?.close()
    }
  }
}

type OpenedBlob = RecordedBlob & { close(): Promise<void> }

async function openBlob(instance: StorageInstance, oid: State['oid']): Promise<OpenedBlob | undefined> {
  const reader = await instance.openBlob?.(oid)
  if (reader === undefined) return undefined
  return {
    bytes: reader.bytes,
    async *chunks() {
      for (let position = 0; position < reader.bytes; position += blobChunkBytes) {
        yield await reader.read(position, blobChunkBytes)
      }
    },
    close: async () => reader.close(),
  }
}
