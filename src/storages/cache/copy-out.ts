/**
 * Memory for what leaves the cache. Small results are cut from a common buffer, which is never used twice: one
 * allocation serves dozens of hits, and a result stays valid as long as somebody holds it.
 */

/** Results up to this size are cut from the common buffer: a holder of one keeps at most 16 KB alive. */
const smallBytesMax = 1024
const commonWords = 4096

export class ResultMemory {
  /** Where to put the words of the result last made room for. */
  words = new Int32Array(0)
  at = 0
  #common = new Int32Array(0)
  #used = 0

  /** Makes room. The result will be `result(bytes)`. */
  reserve(bytes: number): void {
    const wordCount = (bytes + 3) >>> 2
    if (bytes > smallBytesMax) {
      this.words = new Int32Array(wordCount)
      this.at = 0
      return
    }
    if (this.#used + wordCount > this.#common.length) {
      this.#common = new Int32Array(commonWords)
      this.#used = 0
    }
    this.words = this.#common
    this.at = this.#used
    this.#used += wordCount
  }

  result(bytes: number): Uint8Array {
    return new Uint8Array(this.words.buffer, this.at * 4, bytes)
  }
}
