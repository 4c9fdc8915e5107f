/**
 * Which objects a client has been sent, as far as the server remembers: what it is known to have is not sent along
 * again. A table of fixed size, in which an object takes the place of another of the same slot, so it forgets. Both
 * mistakes are harmless: who is forgotten is sent twice, who is wrongly thought to be there is asked for.
 */

import type { Oid } from '../../core/ids.ts'

/** 128 KiB for a client that asks for neighbours; objects numbered one after the other fill it evenly. */
const slotCount = 32 * 1024

export class KnownObjects {
  /** 0: nothing. */
  readonly #slots = new Uint32Array(slotCount)

  has(oid: Oid): boolean {
    const mark = markOf(oid)
    return this.#slots[mark % slotCount] === mark
  }

  add(oid: Oid): void {
    const mark = markOf(oid)
    this.#slots[mark % slotCount] = mark
  }

  delete(oid: Oid): void {
    const mark = markOf(oid)
    if (this.#slots[mark % slotCount] === mark) this.#slots[mark % slotCount] = 0
  }

  clear(): void {
    this.#slots.fill(0)
  }
}

/** Never 0. Different for different objects below 2³² − 1; beyond, two may be taken for each other. */
function markOf(oid: Oid): number {
  const high = Math.floor(oid / 0x1_0000_0000)
  return ((oid ^ Math.imul(high, 0x9e37_79b1)) + 1) >>> 0 || 1
}
