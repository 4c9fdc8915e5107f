/**
 * One connection, as the topics use it: objects are short texts, and a missing object reads as undefined. It adds no
 * cache and no retry, so what a topic sees is what the storage does.
 */

import { noTid, type Oid, type Tid } from '../core/ids.ts'
import type {
  CommittedTransaction,
  Invalidations,
  Revision,
  Storage,
  StorageInstance,
  Transaction,
  TransactionMetadata,
  VotedTransaction,
} from '../storages/storage.ts'
import { codeOf, fail } from './claims.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const toBytes = (text: string): Uint8Array => encoder.encode(text)
export const toText = (data: Uint8Array): string => decoder.decode(data)

/** What a commit writes: texts by oid; null deletes. */
export type Changes = ReadonlyMap<Oid, string | null>

export class Client {
  readonly storage: Storage
  readonly instance: StorageInstance

  constructor(storage: Storage, instance: StorageInstance) {
    this.storage = storage
    this.instance = instance
  }

  /** A copy, because a storage may answer with any kind of read-only set. */
  async poll(): Promise<Invalidations> {
    const changed = await this.instance.pollInvalidations()
    return changed === 'all' ? 'all' : new Set(changed)
  }

  async load(oid: Oid): Promise<Revision> {
    return await this.instance.load(oid)
  }

  /** The text that the snapshot shows, undefined when there is no such object. */
  async read(oid: Oid): Promise<string | undefined> {
    const revision = await this.find(oid)
    return revision === undefined ? undefined : toText(revision.data)
  }

  async readMany(oids: readonly Oid[]): Promise<(string | undefined)[]> {
    const revisions = await this.instance.loadMany(oids)
    return revisions.map((revision) => (revision === undefined ? undefined : toText(revision.data)))
  }

  /** Polls, then reads. */
  async readNow(oid: Oid): Promise<string | undefined> {
    await this.poll()
    return await this.read(oid)
  }

  async find(oid: Oid): Promise<Revision | undefined> {
    try {
      return await this.instance.load(oid)
    } catch (error) {
      if (codeOf(error) === 'object-not-found') return undefined
      throw error
    }
  }

  /** The text just before `before`, undefined when the object is younger; deleted objects read as null. */
  async readBefore(oid: Oid, before: Tid): Promise<string | null | undefined> {
    try {
      const span = await this.instance.loadBefore(oid, before)
      return span === undefined ? undefined : toText(span.data)
    } catch (error) {
      if (codeOf(error) === 'object-not-found') return null
      throw error
    }
  }

  async newOids(count: number): Promise<readonly Oid[]> {
    return await this.instance.newOids(count)
  }

  async newOid(): Promise<Oid> {
    return (await this.newOids(1))[0] ?? fail('newOids(1) gave no oid')
  }

  /** Begins in the snapshot that is open. */
  begin(metadata?: TransactionMetadata): Transaction {
    return metadata === undefined ? this.instance.begin() : this.instance.begin(metadata)
  }

  /** Begins and stores from the revisions that the open snapshot shows. */
  async stage(changes: Changes, metadata?: TransactionMetadata): Promise<Transaction> {
    const serials = new Map<Oid, Tid>()
    for (const oid of changes.keys()) serials.set(oid, (await this.find(oid))?.serial ?? noTid)
    const transaction = this.begin(metadata)
    for (const [oid, text] of changes) await put(transaction, oid, serials.get(oid)!, text)
    return transaction
  }

  async vote(changes: Changes): Promise<VotedTransaction> {
    const transaction = await this.stage(changes)
    return await voteOrAbort(transaction)
  }

  /** A whole commit in the snapshot that is open. Aborts when the vote fails. */
  async commitHere(changes: Changes, metadata?: TransactionMetadata): Promise<Tid> {
    const transaction = await this.stage(changes, metadata)
    const voted = await voteOrAbort(transaction)
    return await voted.finish()
  }

  /** Polls, then commits. */
  async commit(changes: Changes, metadata?: TransactionMetadata): Promise<Tid> {
    await this.poll()
    return await this.commitHere(changes, metadata)
  }

  /** Polls, then commits one object. */
  async write(oid: Oid, text: string | null): Promise<Tid> {
    return await this.commit(new Map([[oid, text]]))
  }

  /** Makes new objects with these texts, in one transaction. */
  async create(...texts: readonly string[]): Promise<readonly Oid[]> {
    const oids = await this.newOids(texts.length)
    await this.commit(new Map(oids.map((oid, index) => [oid, texts[index]!])))
    return oids
  }

  async createOne(text: string): Promise<Oid> {
    return (await this.create(text))[0]!
  }
}

export async function put(
  transaction: Transaction,
  oid: Oid,
  serial: Tid,
  text: string | null,
): Promise<void> {
  if (text !== null) await transaction.store(oid, serial, toBytes(text))
  else if (transaction.delete === undefined) fail('the storage has no delete')
  else await transaction.delete(oid, serial)
}

/** As a connection commits: in one step where the storage can. */
export async function commitAtOnce(
  transaction: Transaction,
  onTid?: (tid: Tid) => void,
): Promise<CommittedTransaction> {
  if (transaction.commit !== undefined) return await transaction.commit(onTid)
  const voted = await transaction.vote()
  const tid = await voted.finish(onTid)
  return { tid, resolvedOids: voted.resolvedOids }
}

/** A vote that failed leaves nothing but abort. */
export async function voteOrAbort(transaction: Transaction): Promise<VotedTransaction> {
  try {
    return await transaction.vote()
  } catch (error) {
    await transaction.abort()
    throw error
  }
}

/** Merges texts that are numbers: base + (committed − base) + (mine − base). Undefined when one is not a number. */
export function mergeNumbers(_oid: Oid, base: Uint8Array, committed: Uint8Array, mine: Uint8Array) {
  const sum = Number(toText(committed)) + Number(toText(mine)) - Number(toText(base))
  return Number.isNaN(sum) ? undefined : toBytes(String(sum))
}
