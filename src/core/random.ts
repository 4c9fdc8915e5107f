/**
 * Seeded random numbers, split by label.
 *
 * Everything random in a run comes from one recorded seed. A part of the program never shares a generator with
 * another; it splits its own off by name, so that adding a draw in one place does not change any other.
 *
 * The generator is sfc32 (Chris Doty-Humphrey, PractRand), seeded through a 32-bit string hash (FNV-1a with the
 * finaliser of MurmurHash3).
 */

export class Random {
  readonly seed: string
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: string | number) {
    this.seed = String(seed)
    this.#a = hash(`${this.seed}/a`)
    this.#b = hash(`${this.seed}/b`)
    this.#c = hash(`${this.seed}/c`)
    for (let round = 0; round < 12; round++) this.uint32()
  }

  /** An independent generator. Equal seeds and labels give equal generators, however often the parent was used. */
  split(...labels: readonly (string | number)[]): Random {
    return new Random(`${this.seed}/${labels.join('/')}`)
  }

  /** Uniform integer in [0, 2³²). */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    this.#c |= 0
    return sum >>> 0
  }

  /** Uniform in [0, 1), 32 bits. */
  float(): number {
    return this.uint32() / 0x1_0000_0000
  }

  /** Uniform integer in [0, limit). `limit` is at most 2³². */
  integer(limit: number): number {
    return Math.floor(this.float() * limit)
  }

  /** Standard normal, by Box and Muller. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.float())) * Math.cos(2 * Math.PI * this.float())
  }

  /** A shuffled copy (Fisher and Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items]
    for (let last = result.length - 1; last > 0; last--) {
      const other = this.integer(last + 1)
      const item = result[last]!
      result[last] = result[other]!
      result[other] = item
    }
    return result
  }
}

/** 32-bit hash of a string. Not for security. */
export function hash(text: string): number {
  let h = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    h ^= text.charCodeAt(index)
    h = Math.imul(h, 0x01000193)
  }
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
