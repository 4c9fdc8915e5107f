/**
 * Persistent objects: what an application keeps in a database. Each has an oid and a record of its own, and belongs to
 * one connection.
 *
 * Loading is explicit. An object that is known but not loaded is a *ghost*; `await connection.activate(object)` gives
 * it its state, and from then on it is read and changed without waiting, until the connection's next transaction
 * boundary. Reading the state of a ghost throws; it never waits and never guesses.
 */

import { ShootoutError, UsageError } from '../core/errors.ts'
import { noTid, type Oid, type Tid } from '../core/ids.ts'
import type { Awaitable, BlobReader } from '../storages/storage.ts'

/** What the state of an object may consist of. Arrays and plain objects in it are values: replace them, never edit. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | Persistent
  | readonly Value[]
  | { readonly [key: string]: Value }

/**
 * `new`: not committed yet. `ghost`: known, not loaded. `saved`: loaded, as in the snapshot. `changed`: to be stored by
 * the next commit.
 */
export type ObjectStatus = 'new' | 'ghost' | 'saved' | 'changed'

/** What an object says to the connection it belongs to. */
export interface ObjectOwner {
  /** A saved object is about to change. @throws StorageTransactionError when it must not */
  willChange(object: Persistent): void
  activate<T extends Persistent>(object: T): Awaitable<T>
  readCurrent(object: Persistent): void
  openBlob(object: Persistent): Promise<BlobReader | undefined>
}

/** A class whose objects can be stored: it has a name that never changes, and makes ghosts without arguments. */
export interface PersistentClass<T extends Persistent = Persistent> {
  /** What records call this class. Printable ASCII without blanks, at most 200 characters. Never reuse one. */
  readonly className: string
  new (): T
  /**
   * Merges two concurrent changes. States are as from `getState`; references in them can only be compared and copied.
   * Pure. Throwing or returning undefined means that they cannot be merged.
   */
  resolveConflict?(base: Value, committed: Value, mine: Value): Value | undefined
}

/**
 * The base of all persistent objects. A subclass keeps its state as it likes, throws `notLoaded` when it has none,
 * and calls `willChange` before each change.
 */
export abstract class Persistent {
  // Bookkeeping of the connection. Anybody may read it; nobody else writes it.
  oid: Oid | undefined = undefined
  /** Tid of the revision that was loaded or written last. */
  serial: Tid = noTid
  status: ObjectStatus = 'new'
  owner: ObjectOwner | undefined = undefined
  /** Bytes of that revision's record. */
  recordBytes = 0
  /** Asked for since the object cache last looked. */
  recentlyUsed = false
  /** Made once, when the object first becomes a ghost. */
  weakReference: WeakRef<Persistent> | undefined = undefined

  /** The name in this object's record. @throws UsageError `class-name` when its class has none */
  get className(): string {
    const { className, name } = this.constructor as unknown as Partial<PersistentClass> & {
      readonly name: string
    }
    if (className === undefined) {
      throw new UsageError(
        'class-name',
        `class ${name} has no static className; give it one, such as "bank.Account", and register it with registerClass`,
      )
    }
    return className
  }

  /** The whole state, for the record. Called on commit. */
  abstract getState(): Value
  /** Takes over a state that was read. @throws CorruptDataError when it is not a state of this class */
  abstract setState(state: Value): void
  /** Forgets the state: the object becomes a ghost. */
  abstract dropState(): void

  /** To be called before each change of state. @throws ShootoutError `object-not-loaded`, StorageTransactionError */
  protected willChange(): void {
    if (this.status === 'saved') this.owner?.willChange(this)
    else if (this.status === 'ghost') throw notLoaded(this)
  }
}

/** The error of reading a ghost. */
export function notLoaded(object: Persistent): ShootoutError {
  return new ShootoutError(
    'object-not-loaded',
    `object ${object.oid} (${object.className}) is not loaded in this transaction; ` +
      '`await connection.activate(object)` before you use it',
    { details: { oid: object.oid, className: object.className } },
  )
}

/** A persistent object whose state is one immutable value: `object.state = { ...object.state, balance: 5 }`. */
export abstract class PersistentObject<S extends Value> extends Persistent {
  #state: S | undefined

  constructor(state?: S) {
    super()
    this.#state = state
  }

  get state(): S {
    const state = this.#state
    if (state === undefined) throw notLoaded(this)
    return state
  }

  set state(state: S) {
    this.willChange()
    this.#state = state
  }

  override getState(): Value {
    return this.state
  }

  override setState(state: Value): void {
    this.#state = this.checkState(state)
  }

  override dropState(): void {
    this.#state = undefined
  }

  /** Proves that a value which was read is a state of this class. @throws CorruptDataError */
  protected abstract checkState(state: Value): S
}
