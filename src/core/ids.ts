/**
 * Object and transaction identifiers. This is the only file that knows how they are represented.
 *
 * Both are safe integers: they live in typed arrays and fast maps, and SQL keeps them as BIGINT. On disk and on the
 * wire each takes 8 bytes, big-endian.
 */

declare const oidBrand: unique symbol
declare const tidBrand: unique symbol

/** Identifies a persistent object. Counts from 0, which is the root object of every store. */
export type Oid = number & { readonly [oidBrand]: true }

/**
 * Identifies a committed transaction: microseconds since 1970-01-01 UTC, strictly increasing within a store.
 * The *serial* of an object revision is the tid of the transaction that wrote it.
 */
export type Tid = number & { readonly [tidBrand]: true }

/** The object from which all others are reached. */
export const rootOid = 0 as Oid

/** Before every transaction. As the serial handed to `store` it means "this object is new". */
export const noTid = 0 as Tid

/** After every transaction that can ever be: `loadBefore(oid, maxTid)` asks for the current revision. */
export const maxTid = Number.MAX_SAFE_INTEGER as Tid

/** Bytes of an encoded identifier. */
export const idBytes = 8

/** @throws RangeError when `value` cannot be an oid. */
export function asOid(value: number): Oid {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not an object id`)
  return value as Oid
}

/** @throws RangeError when `value` cannot be a tid. */
export function asTid(value: number): Tid {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not a transaction id`)
  return value as Tid
}

/**
 * The tid of the next commit: the clock, unless the clock stands still or went back.
 * @param last newest tid of the store
 * @param clockUs microseconds since 1970
 */
export function nextTid(last: Tid, clockUs: number): Tid {
  return Math.max(last + 1, clockUs) as Tid
}

/** The tid just after `tid`: `loadBefore(oid, after(t))` shows the state that transaction `t` left. */
export function after(tid: Tid): Tid {
  return Math.min(tid + 1, maxTid) as Tid
}

/** When the transaction was committed, to the millisecond. */
export function tidToDate(tid: Tid): Date {
  return new Date(tid / 1000)
}

const wordSize = 0x1_0000_0000

/** Writes an oid or tid as 8 bytes, big-endian. */
export function writeId(target: Uint8Array, id: Oid | Tid, offset: number): void {
  const high = Math.floor(id / wordSize)
  const low = id >>> 0
  target[offset] = high >>> 24
  target[offset + 1] = high >>> 16
  target[offset + 2] = high >>> 8
  target[offset + 3] = high
  target[offset + 4] = low >>> 24
  target[offset + 5] = low >>> 16
  target[offset + 6] = low >>> 8
  target[offset + 7] = low
}

function readId(source: Uint8Array, offset: number): number {
  const high =
    source[offset]! * 0x1_00_00_00 +
    ((source[offset + 1]! << 16) | (source[offset + 2]! << 8) | source[offset + 3]!)
  const low =
    source[offset + 4]! * 0x1_00_00_00 +
    ((source[offset + 5]! << 16) | (source[offset + 6]! << 8) | source[offset + 7]!)
  return high * wordSize + low
}

/** @throws RangeError when the 8 bytes are beyond the safe integers (damaged data). */
export function readOid(source: Uint8Array, offset: number): Oid {
  return asOid(readId(source, offset))
}

/** @throws RangeError when the 8 bytes are beyond the safe integers (damaged data). */
export function readTid(source: Uint8Array, offset: number): Tid {
  return asTid(readId(source, offset))
}
