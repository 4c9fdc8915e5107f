/**
 * The rows of PostgreSQL's answers, in its binary format. `pg` decodes every value as UTF-8 text, which costs bytes a
 * detour through hexadecimal or base64 on both sides. So rows are taken out of the stream before its parser sees them,
 * and decoded here; every other message goes to `pg`.
 *
 * A message is a byte that says what it is, and four that give its length, themselves included. A row is a `D`: two bytes
 * for the number of columns, then for each column four bytes for its length (−1: null) and its value.
 */

/** Values of columns: bigint as number (all of ours are below 2⁵³). */
export type PgValue = number | string | boolean | Uint8Array | null
export type PgRow = readonly PgValue[]

const rowCode = 0x44
const headerBytes = 5

export class RowSplitter {
  readonly #row: (bytes: Buffer, at: number) => void
  readonly #others: (messages: Buffer) => void
  /** The beginning of a message whose rest is still to come, and how many bytes make it worth another look. */
  #kept: Buffer[] = []
  #keptBytes = 0
  #wantedBytes = 0

  /** @param row told where the columns of a row begin. @param others gets whole messages */
  constructor(row: (bytes: Buffer, at: number) => void, others: (messages: Buffer) => void) {
    this.#row = row
    this.#others = others
  }

  push(chunk: Buffer): void {
    if (this.#keptBytes === 0) {
      this.#split(chunk)
      return
    }
    this.#kept.push(chunk)
    this.#keptBytes += chunk.length
    if (this.#keptBytes < this.#wantedBytes) return
    const all = Buffer.concat(this.#kept, this.#keptBytes)
    this.#kept = []
    this.#keptBytes = 0
    this.#split(all)
  }

  #split(bytes: Buffer): void {
    let at = 0
    let othersAt = 0
    let wanted = headerBytes
    while (at + headerBytes <= bytes.length) {
      const length = 1 + bytes.readInt32BE(at + 1)
      if (at + length > bytes.length) {
        wanted = length
        break
      }
      if (bytes[at] === rowCode) {
        // What came before is told before.
        if (othersAt < at) this.#others(bytes.subarray(othersAt, at))
        this.#row(bytes, at + headerBytes)
        othersAt = at + length
      }
      at += length
    }
    if (othersAt < at) this.#others(bytes.subarray(othersAt, at))
    if (at === bytes.length) return
    this.#kept = [bytes.subarray(at)]
    this.#keptBytes = bytes.length - at
    this.#wantedBytes = wanted
  }
}

export type Decoder = (bytes: Buffer, start: number, end: number) => PgValue

/** A copy: what came over the wire is one large piece, which a value must not keep alive. */
const bytesOf: Decoder = (bytes, start, end) => Buffer.from(bytes.subarray(start, end))
const textOf: Decoder = (bytes, start, end) => bytes.toString('utf8', start, end)

/** By the number of the type. */
const binary: ReadonlyMap<number, Decoder> = new Map<number, Decoder>([
  [16, (bytes, start) => bytes[start] === 1],
  [17, bytesOf],
  [20, (bytes, start) => bytes.readInt32BE(start) * 2 ** 32 + bytes.readUInt32BE(start + 4)],
  [21, (bytes, start) => bytes.readInt16BE(start)],
  [23, (bytes, start) => bytes.readInt32BE(start)],
  // name, text, varchar, and void, which has no bytes
  [19, textOf],
  [25, textOf],
  [1043, textOf],
  [2278, textOf],
])

/** @throws when this program does not read such columns */
export function binaryDecoder(type: number): Decoder {
  const decoder = binary.get(type)
  if (decoder === undefined) throw new Error(`columns of type ${type} are not read here; cast them to text`)
  return decoder
}

/** For statements that are sent as they are: their answers are text. */
export function textDecoder(type: number): Decoder {
  return type === 20 || type === 21 || type === 23
    ? (bytes, start, end) => Number(textOf(bytes, start, end))
    : textOf
}

/** @param at where the number of columns stands */
export function decodeRow(decoders: readonly Decoder[], bytes: Buffer, at: number): PgRow {
  const row = new Array<PgValue>(decoders.length)
  let offset = at + 2
  for (let column = 0; column < decoders.length; column++) {
    const length = bytes.readInt32BE(offset)
    offset += 4
    if (length === -1) row[column] = null
    else {
      row[column] = decoders[column]!(bytes, offset, offset + length)
      offset += length
    }
  }
  return row
}
