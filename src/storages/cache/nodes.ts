/**
 * Nodes: what a policy keeps with each entry, three words of a typed array. The cache puts them into the header of the
 * entry, where the cache line has been fetched anyway; the simulator into an array of their own.
 *
 *     word 0   previous node of the list, 0 at the front
 *     word 1   next node, 0 at the back
 *     word 2   mark of the policy (4 bits), weight (28 bits)
 */

export const nodeWords = 3

/** The greatest weight a node can have. */
export const nodeWeightMax = 2 ** 28 - 1

export class Nodes {
  readonly #words: Int32Array
  readonly #stride: number
  readonly #base: number

  /** Node n begins at word `base + n × stride`. */
  constructor(words: Int32Array, stride: number = nodeWords, base = 0) {
    this.#words = words
    this.#stride = stride
    this.#base = base
  }

  previous(node: number): number {
    return this.#words[this.#base + node * this.#stride]!
  }

  setPrevious(node: number, other: number): void {
    this.#words[this.#base + node * this.#stride] = other
  }

  next(node: number): number {
    return this.#words[this.#base + node * this.#stride + 1]!
  }

  setNext(node: number, other: number): void {
    this.#words[this.#base + node * this.#stride + 1] = other
  }

  mark(node: number): number {
    return this.#words[this.#base + node * this.#stride + 2]! & 15
  }

  setMark(node: number, mark: number): void {
    const at = this.#base + node * this.#stride + 2
    this.#words[at] = (this.#words[at]! & ~15) | mark
  }

  weight(node: number): number {
    return this.#words[this.#base + node * this.#stride + 2]! >>> 4
  }

  /** Sets the weight, and the mark to 0. */
  setWeight(node: number, weight: number): void {
    this.#words[this.#base + node * this.#stride + 2] = weight << 4
  }
}
