/**
 * The lock of a shard: one word of shared memory. It is held for a copy of a few hundred bytes, never across an
 * `await`, so who finds it taken spins a little and then sleeps in the kernel. Not reentrant.
 *
 * A thread can be terminated while it holds the lock, and leave the shard half changed. Nobody can tell that from a
 * thread that is merely slow; so who has waited in vain for `waitMsMax` marks the shard as given up: from then on
 * `lock` refuses at once, and the cache answers "not here" for this shard. Should the slow holder finish after all,
 * its `unlock` makes the shard, which nobody has touched since, usable again.
 */

const free = 0
const taken = 1
/** Taken, and somebody sleeps. */
const contended = 2
const givenUp = 3

const waitMsMax = 5_000

/** About as long as a holder needs when it is running: less than it takes to sleep and be woken. */
const spins = 100

/** @param at index of the lock's word. Returns false when the shard is given up */
export function lock(words: Int32Array, at: number): boolean {
  return Atomics.compareExchange(words, at, free, taken) === free || wait(words, at)
}

function wait(words: Int32Array, at: number): boolean {
  for (let attempt = 0; attempt < spins; attempt++) {
    if (Atomics.load(words, at) === free && Atomics.compareExchange(words, at, free, taken) === free)
      return true
  }
  const until = performance.now() + waitMsMax
  for (;;) {
    // Announces a sleeper, without reviving a shard that was given up.
    const found = Atomics.compareExchange(words, at, taken, contended)
    if (found === givenUp) return false
    // Taken as contended: others may sleep too, and must be woken in their turn.
    if (found === free && Atomics.compareExchange(words, at, free, contended) === free) return true
    if (Atomics.wait(words, at, contended, until - performance.now()) !== 'timed-out') continue
    if (Atomics.compareExchange(words, at, contended, givenUp) === contended) {
      Atomics.notify(words, at)
      return false
    }
  }
}

export function unlock(words: Int32Array, at: number): void {
  if (Atomics.exchange(words, at, free) === contended) Atomics.notify(words, at, 1)
}

/** True where a thread died inside. */
export function isGivenUp(words: Int32Array, at: number): boolean {
  return Atomics.load(words, at) === givenUp
}
