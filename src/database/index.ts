/** The object layer, as scenarios and applications import it. */

export { isPromise } from '../core/awaitable.ts'
export { BTree, type BTreeRange } from './b-tree.ts'
export { ClassRegistry, GenericObject } from './class-registry.ts'
export { Connection, type ConnectionSetup, type TransferCounts } from './connection.ts'
export { Database, type DatabaseOptions, type TransactionCounts } from './database.ts'
export type { ObjectCacheLimits } from './object-cache.ts'
export {
  type ObjectOwner,
  type ObjectStatus,
  Persistent,
  type PersistentClass,
  PersistentObject,
  type Value,
} from './persistent.ts'
export { type OpenSource, PersistentBlob } from './persistent-blob.ts'
export { PersistentCounter } from './persistent-counter.ts'
export { type MapKey, PersistentMap } from './persistent-map.ts'
export { PersistentSet } from './persistent-set.ts'
export { type DecodedRecord, decodeRecord, type Refer, references } from './record-decoder.ts'
export { encodeRecord } from './record-encoder.ts'
export { conflictResolver, resolveConflict } from './resolve-conflict.ts'
export { type RetryOptions, type RetryOutcome, withRetries } from './retry.ts'
export { registerClass, standardClasses } from './standard-classes.ts'
