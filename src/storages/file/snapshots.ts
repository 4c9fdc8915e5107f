/**
 * Which snapshots are open, over all threads: packing keeps what they show. One slot of shared memory per instance.
 */

import { ShootoutError } from '../../core/errors.ts'
import { maxTid, type Tid } from '../../core/ids.ts'

/** Instances that can hold a snapshot open at once, over all threads. */
const slotCount = 1 << 16
/** A tid each, and whose the slot is. */
export const snapshotsBytes = slotCount * (8 + 2)

const free = 0n
/** Belongs to an instance that has no snapshot open. */
const idle = 1n
/** A slot with a snapshot holds its tid and this, so that tid 0 differs from the two above. */
const offset = 2n

export class OpenSnapshots {
  readonly #slots: BigInt64Array
  readonly #seats: Uint16Array
  #next = 0

  constructor(buffer: SharedArrayBuffer) {
    this.#slots = new BigInt64Array(buffer, 0, slotCount)
    this.#seats = new Uint16Array(buffer, slotCount * 8, slotCount)
  }

  /** A slot for an instance of the storage with this seat. @throws ShootoutError `too-many-instances` */
  acquire(seat: number): number {
    const { length } = this.#slots
    for (let tries = 0; tries < length; tries++) {
      const slot = this.#next
      this.#next = (slot + 1) % length
      if (Atomics.compareExchange(this.#slots, slot, free, idle) !== free) continue
      this.#seats[slot] = seat
      return slot
    }
    throw new ShootoutError(
      'too-many-instances',
      `file: ${length} storage instances are in use; release those that are no longer needed`,
    )
  }

  open(slot: number, tid: Tid): void {
    Atomics.store(this.#slots, slot, BigInt(tid) + offset)
  }

  close(slot: number): void {
    Atomics.store(this.#slots, slot, idle)
  }

  release(slot: number): void {
    this.#seats[slot] = 0
    Atomics.store(this.#slots, slot, free)
  }

  /** The slots of a storage whose thread was terminated. */
  releaseAll(seat: number): void {
    for (let slot = 0; slot < slotCount; slot++) {
      if (this.#seats[slot] === seat && Atomics.load(this.#slots, slot) !== free) this.release(slot)
    }
  }

  /** `maxTid` when no snapshot is open. */
  oldest(): Tid {
    let oldest = BigInt(maxTid) + offset
    for (let slot = 0; slot < this.#slots.length; slot++) {
      const value = Atomics.load(this.#slots, slot)
      if (value >= offset && value < oldest) oldest = value
    }
    return Number(oldest - offset) as Tid
  }
}
