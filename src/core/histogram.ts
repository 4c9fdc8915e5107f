/**
 * A log-linear histogram of durations: buckets of equal width within each power of two, so that a value is known to
 * within 1/64 of itself. Recording is two shifts and an increment; merging is addition.
 *
 * Bucket of v: v itself below 128; else, with e = floor(log2 v) − 6, it is 64·e + (v >> e), where v >> e lies in
 * [64, 128).
 */

const subBuckets = 64
const bucketCount = subBuckets * 50

export class Histogram {
  readonly #buckets = new Uint32Array(bucketCount)
  #count = 0
  #maxNs = 0

  get count(): number {
    return this.#count
  }

  get maxNs(): number {
    return this.#maxNs
  }

  record(durationNs: number): void {
    this.add(bucketOf(durationNs), 1)
    if (durationNs > this.#maxNs) this.#maxNs = durationNs
  }

  /** Adds `count` values to a bucket, as read from a file. */
  add(bucket: number, count: number): void {
    this.#buckets[Math.min(bucket, bucketCount - 1)]! += count
    this.#count += count
  }

  /** The greatest value that a caller knows to be in it: merging files, the maximum is stored beside the buckets. */
  raiseMax(durationNs: number): void {
    if (durationNs > this.#maxNs) this.#maxNs = durationNs
  }

  /** Smallest value v such that at least `share` of all values are ≤ v, to bucket accuracy. NaN when empty. */
  quantileNs(share: number): number {
    if (this.#count === 0) return Number.NaN
    const wanted = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      seen += this.#buckets[bucket]!
      if (seen >= wanted) return Math.min(middleOf(bucket), this.#maxNs)
    }
    return this.#maxNs
  }

  /** Non-empty buckets, flattened: [bucket, count, bucket, count …]. */
  toSparse(): number[] {
    const sparse: number[] = []
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const count = this.#buckets[bucket]!
      if (count > 0) sparse.push(bucket, count)
    }
    return sparse
  }
}

/** The bucket of a duration; the fraction of a nanosecond is dropped. */
export function bucketOf(durationNs: number): number {
  const value = Math.max(0, Math.floor(durationNs))
  if (value < 2 * subBuckets) return value
  const exponent = Math.floor(Math.log2(value)) - 6
  return subBuckets * exponent + Math.floor(value / 2 ** exponent)
}

/** The value in the middle of a bucket, ns. */
export function middleOf(bucket: number): number {
  if (bucket < 2 * subBuckets) return bucket
  const exponent = Math.floor(bucket / subBuckets) - 1
  const low = (bucket - subBuckets * exponent) * 2 ** exponent
  return low + (2 ** exponent - 1) / 2
}
