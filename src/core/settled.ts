import type { Awaitable } from './awaitable.ts'

/** As `Promise.all`, but only once none is under way any more, whatever becomes of the others. @throws the first error */
export async function settled<T>(promises: readonly Awaitable<T>[]): Promise<T[]> {
  const ends = await Promise.allSettled(promises)
  return ends.map((end) => {
    if (end.status === 'rejected') throw end.reason
    return end.value
  })
}
