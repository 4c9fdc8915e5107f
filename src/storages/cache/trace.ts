/**
 * A trace in memory: the requests that a cache was asked, ready to be simulated any number of times. Revisions and
 * objects are numbered from 1 in the order of their first appearance, so that the simulator needs no hashing.
 */

export interface Trace {
  /** Revision asked for or stored, numbered from 1; 0 for `clear`. */
  readonly revisions: Int32Array
  /** The object it is a revision of, by revision number. */
  readonly objectOf: Int32Array
  /** Bytes of the revision, by event: a foreign trace may know the same id with several sizes. */
  readonly bytes: Int32Array
  /** 1 where the event is a store. */
  readonly isStore: Uint8Array
  readonly revisionCount: number
  readonly objectCount: number
}

/** Collects events into a trace. */
export class TraceBuilder {
  readonly #revisionNumbers = new Map<string | number, number>()
  readonly #objectNumbers = new Map<number, number>()
  readonly #objectOf: number[] = [0]
  readonly #revisions = new Growing(Int32Array)
  readonly #bytes = new Growing(Int32Array)
  readonly #isStore = new Growing(Uint8Array)

  get length(): number {
    return this.#revisions.length
  }

  /**
   * @param kind `load`: a reader asked for a revision; `store`: a commit brought one in, and nobody had asked for it
   * @param version tid of the revision; 0 in traces of things that do not change
   */
  add(kind: 'load' | 'store', object: number, version: number, bytes: number): void {
    const key = version === 0 ? object : `${object}/${version}`
    let revision = this.#revisionNumbers.get(key)
    if (revision === undefined) {
      revision = this.#revisionNumbers.size + 1
      this.#revisionNumbers.set(key, revision)
      let number = this.#objectNumbers.get(object)
      if (number === undefined) {
        number = this.#objectNumbers.size + 1
        this.#objectNumbers.set(object, number)
      }
      this.#objectOf.push(number)
    }
    this.#revisions.push(revision)
    this.#bytes.push(bytes)
    this.#isStore.push(kind === 'store' ? 1 : 0)
  }

  /** The cache was emptied. */
  clear(): void {
    this.#revisions.push(0)
    this.#bytes.push(0)
    this.#isStore.push(0)
  }

  build(): Trace {
    return {
      revisions: this.#revisions.done(),
      objectOf: Int32Array.from(this.#objectOf),
      bytes: this.#bytes.done(),
      isStore: this.#isStore.done(),
      revisionCount: this.#revisionNumbers.size,
      objectCount: this.#objectNumbers.size,
    }
  }
}

/** A typed array that grows. */
class Growing<A extends Int32Array | Uint8Array> {
  length = 0
  #values: A
  readonly #make: new (
    length: number,
  ) => A

  constructor(make: new (length: number) => A) {
    this.#make = make
    this.#values = new make(1024)
  }

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new this.#make(2 * this.length)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.length++] = value
  }

  done(): A {
    return this.#values.slice(0, this.length) as A
  }
}
