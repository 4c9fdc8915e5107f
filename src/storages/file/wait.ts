/** Waiting for a word of shared memory to change, without blocking the event loop. */

interface AsyncWait {
  readonly async: boolean
  readonly value: string | Promise<string>
}

// In Node since 16, in TypeScript's library only from ES2024 on.
const waitAsync = (
  Atomics as unknown as {
    waitAsync(words: Int32Array, at: number, value: number, timeoutMs: number): AsyncWait
  }
).waitAsync

/** How long one wait lasts at most. A wake-up that got lost costs no more than this. */
const roundMsMax = 20

/**
 * Resolves when `words[at]` is no longer `seen`, or after a few milliseconds: callers look again in any case.
 */
export async function changeOf(
  words: Int32Array,
  at: number,
  seen: number,
  timeoutMs = roundMsMax,
): Promise<void> {
  const wait = waitAsync(words, at, seen, timeoutMs)
  if (!wait.async) return
  // A pending waitAsync does not keep the process alive; a timer does, and makes up for a wake-up that got lost.
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs)
    void (wait.value as Promise<string>).then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
