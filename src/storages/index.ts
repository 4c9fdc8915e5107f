/**
 * `shootout/storage`: everything that a storage of your own needs, and nothing else.
 * How to write one: docs/writing-a-storage.md. A complete one in a single file: examples/tiny-storage.js.
 */

export { type Clock, systemClock } from '../core/clock.ts'
export * from '../core/errors.ts'
export * from '../core/ids.ts'
export {
  type OptionBasics,
  type OptionSpec,
  type OptionsOf,
  type OptionsSpec,
  option,
  parseOptions,
} from '../core/options.ts'
export { type Conflict, resolveOrThrow } from './conflict-resolution.ts'
export {
  type BaseBlob,
  type BaseBlobReader,
  type BaseRecord,
  type BaseRevision,
  type BaseStorage,
  type BaseTransaction,
  mvccAdapter,
} from './mvcc-adapter.ts'
export { openContext, openStorage } from './open.ts'
export * from './storage.ts'
