/**
 * Numbers of the record format, shared by encoder and decoder. The format is described byte by byte in
 * docs/record-format.md; golden records in the tests keep both in step.
 */

/** First byte of every record. A change of the layout gets a new one. */
export const recordVersion = 1

/** First byte of every value. */
export const tag = {
  null: 0,
  false: 1,
  true: 2,
  /** An integer from 0, as a varint. */
  positive: 3,
  /** An integer below 0: the varint is -1 - value. */
  negative: 4,
  float: 5,
  string: 6,
  bytes: 7,
  array: 8,
  object: 9,
  reference: 10,
} as const

/** Arrays and plain objects inside each other. Deeper states could overflow the stack of whoever reads them. */
export const depthLimit = 200

export const classNameLengthLimit = 200

/** Printable ASCII without blanks, so that a name is as long in bytes as in characters. */
export function isClassName(name: string): boolean {
  return name.length <= classNameLengthLimit && /^[\x21-\x7e]+$/.test(name)
}
