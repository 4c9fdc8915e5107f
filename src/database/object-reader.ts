/**
 * Makes objects of records: ghosts for what a record refers to, and states for ghosts. One for each connection, whose
 * objects they become. What is read is held in the connection's object cache.
 */

import { CorruptDataError, ObjectNotFoundError } from '../core/errors.ts'
import type { Oid } from '../core/ids.ts'
import type { Revision } from '../storages/storage.ts'
import type { ClassRegistry } from './class-registry.ts'
import type { ObjectCache } from './object-cache.ts'
import type { ObjectOwner, Persistent } from './persistent.ts'
import { decodeRecord } from './record-decoder.ts'

export class ObjectReader {
  readonly #owner: ObjectOwner
  readonly #classes: ClassRegistry
  readonly #cache: ObjectCache
  readonly #refer = (oid: Oid, className: string): Persistent =>
    this.#cache.find(oid) ?? this.#ghost(oid, className)

  constructor(owner: ObjectOwner, classes: ClassRegistry, cache: ObjectCache) {
    this.#owner = owner
    this.#classes = classes
    this.#cache = cache
  }

  /** The object of a record, which may have come to life while the record was under way. @throws CorruptDataError */
  read(oid: Oid, revision: Revision): Persistent {
    const known = this.#cache.find(oid)
    if (known !== undefined) return known.status === 'ghost' ? this.fill(known, oid, revision) : known
    const { className, state } = decodeRecord(revision.data, this.#refer)
    return this.#take(this.#refer(oid, className), oid, revision, state)
  }

  /** Gives a ghost its state. @throws CorruptDataError */
  fill<T extends Persistent>(object: T, oid: Oid, revision: Revision): T {
    // Two loads of one object may be under way; the first to arrive counts.
    if (object.status !== 'ghost') return object
    const { className, state } = decodeRecord(revision.data, this.#refer)
    if (className !== object.className) {
      throw new CorruptDataError(
        `object ${oid} is a ${className}, yet it is referred to as ${object.className}`,
        {
          details: { oid, className, referredAs: object.className },
        },
      )
    }
    return this.#take(object, oid, revision, state)
  }

  /** As `fill`, one by one. @throws ObjectNotFoundError for the first that has no revision; those before it are filled */
  fillMany(
    objects: readonly Persistent[],
    oids: readonly Oid[],
    revisions: readonly (Revision | undefined)[],
  ): void {
    for (let index = 0; index < objects.length; index++) {
      const revision = revisions[index]
      if (revision === undefined) throw new ObjectNotFoundError(oids[index]!)
      this.fill(objects[index]!, oids[index]!, revision)
    }
  }

  #ghost(oid: Oid, className: string): Persistent {
    const object = this.#classes.make(className)
    object.oid = oid
    object.owner = this.#owner
    object.dropState()
    this.#cache.addGhost(oid, object)
    return object
  }

  #take<T extends Persistent>(
    object: T,
    oid: Oid,
    revision: Revision,
    state: Parameters<T['setState']>[0],
  ): T {
    object.setState(state)
    object.serial = revision.serial
    this.#cache.hold(oid, object, revision.data.length)
    return object
  }
}
