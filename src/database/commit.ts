/**
 * Carries out the commit of one connection's transaction: states to records, then the storage's two-phase commit.
 *
 * States are taken in one go, without waiting in between, so a commit stores what the objects were at one moment. Nothing
 * of the connection is changed here except that new objects get their oids; after an error the connection aborts.
 */

import { isPromise } from '../core/awaitable.ts'
import { describeError, isTransient, ShootoutError, UsageError } from '../core/errors.ts'
import type { Oid, Tid } from '../core/ids.ts'
import type {
  StorageInstance,
  Transaction,
  TransactionMetadata,
  VotedTransaction,
} from '../storages/storage.ts'
import { type ClassRegistry, GenericObject } from './class-registry.ts'
import type { ObjectOwner, Persistent } from './persistent.ts'
import { PersistentBlob } from './persistent-blob.ts'
import { completeRecord, draftRecord, type RecordDraft } from './record-encoder.ts'

export interface Written {
  readonly object: Persistent
  readonly oid: Oid
  readonly recordBytes: number
}

export interface CommitOutcome {
  readonly tid: Tid
  readonly written: readonly Written[]
  /** Written with another state than the objects have. */
  readonly resolvedOids: readonly Oid[]
}

/**
 * Order: states, oids for new objects, begin, store, readCurrent, vote, finish. A failure on the way aborts the storage's
 * transaction, so that its locks are gone before the error is seen.
 * @param changed objects to store; new ones that they refer to are added to it
 */
export async function carryOutCommit(
  instance: StorageInstance,
  owner: ObjectOwner,
  classes: ClassRegistry,
  metadata: TransactionMetadata,
  changed: Set<Persistent>,
  readCurrent: ReadonlySet<Persistent>,
): Promise<CommitOutcome> {
  const drafts = draftAll(owner, classes, changed)
  await giveOids(instance, drafts)

  const transaction = instance.begin(metadata)
  let stage: Transaction | VotedTransaction = transaction
  try {
    const written: Written[] = []
    for (const { object, draft } of drafts) {
      const oid = object.oid!
      const data = completeRecord(draft, oidOf)
      const stored =
        object instanceof PersistentBlob
          ? storeBlob(transaction, object, data)
          : transaction.store(oid, object.serial, data)
      if (isPromise(stored)) await stored
      written.push({ object, oid, recordBytes: data.length })
    }
    for (const object of readCurrent) {
      if (changed.has(object)) continue
      const checked = transaction.readCurrent(object.oid!, object.serial)
      if (isPromise(checked)) await checked
    }
    if (transaction.commit !== undefined) {
      const committing = transaction.commit()
      const committed = isPromise(committing) ? await committing : committing
      return { tid: committed.tid, written, resolvedOids: committed.resolvedOids }
    }
    const vote = transaction.vote()
    const voted: VotedTransaction = isPromise(vote) ? await vote : vote
    stage = voted
    const finish = voted.finish()
    const tid = isPromise(finish) ? await finish : finish
    return { tid, written, resolvedOids: voted.resolvedOids }
  } catch (error) {
    await abortAfter(error, stage)
    throw error
  }
}

function storeBlob(transaction: Transaction, blob: PersistentBlob, data: Uint8Array): Promise<void> {
  if (transaction.storeBlob === undefined) {
    throw new ShootoutError(
      'blobs-not-kept',
      `object ${blob.oid} is a blob, and the storage of this database keeps no blobs; choose one that does`,
      { details: { oid: blob.oid } },
    )
  }
  return transaction.storeBlob(blob.oid!, blob.serial, data, blob.newContent)
}

interface Drafted {
  readonly object: Persistent
  readonly draft: RecordDraft
}

/** Drafts the records of all changed objects, and of the new objects found on the way. */
function draftAll(owner: ObjectOwner, classes: ClassRegistry, changed: Set<Persistent>): Drafted[] {
  const drafts: Drafted[] = []
  // A set that grows while it is walked is walked to its new end.
  for (const object of changed) {
    if (object.status === 'new') mustBeKnown(object, classes)
    const draft = draftRecord(object.className, object.getState())
    drafts.push({ object, draft })
    for (const target of draft.targets) {
      if (target.owner === owner) continue
      if (target.owner !== undefined || target.status !== 'new') throw foreignTarget(object, target)
      target.owner = owner
      changed.add(target)
    }
  }
  return drafts
}

/** An object of an unknown class could be stored, but would come back as another thing than it was. */
function mustBeKnown(object: Persistent, classes: ClassRegistry): void {
  if (object.constructor === classes.find(object.className) || object instanceof GenericObject) return
  throw new UsageError(
    'class-name',
    `class ${object.constructor.name} is not registered, so its objects could not be read again; ` +
      'call registerClass with it where it is defined',
    { details: { className: object.className } },
  )
}

async function giveOids(instance: StorageInstance, drafts: readonly Drafted[]): Promise<void> {
  let count = 0
  for (const { object } of drafts) if (object.oid === undefined) count++
  if (count === 0) return
  const request = instance.newOids(count)
  const oids = isPromise(request) ? await request : request
  let next = 0
  for (const { object } of drafts) if (object.oid === undefined) object.oid = oids[next++]!
}

function oidOf(target: Persistent): Oid {
  return target.oid!
}

/** An abort that fails must not hide why the commit failed, nor whether repeating it may help. */
async function abortAfter(error: unknown, stage: Transaction | VotedTransaction): Promise<void> {
  try {
    await stage.abort()
  } catch (abortError) {
    throw new ShootoutError(
      'abort-failed',
      `a commit failed (${describeError(error)}), and so did aborting it (${describeError(abortError)})`,
      { cause: error, transient: isTransient(error) },
    )
  }
}

function foreignTarget(object: Persistent, target: Persistent): ShootoutError {
  return new ShootoutError(
    'foreign-object',
    `a ${object.className} refers to object ${target.oid} (${target.className}) of another connection; ` +
      'get it again through this one',
    { details: { oid: target.oid, className: target.className } },
  )
}
