/**
 * Runs several actors in an order that a seed decides.
 *
 * Every actor asks for its turn before each step, and one actor at a time is given one. An actor that waits inside the
 * storage (for the commit lock, for a disk) does not hold up the others: after a moment the next one gets its turn.
 * With a storage that answers at once, equal seeds give equal schedules; with others the seed decides as much as can
 * be decided from outside.
 */

import type { Random } from '../core/random.ts'
import { pause } from './claims.ts'

export type Turn = () => Promise<void>

export async function interleave(
  random: Random,
  actors: readonly ((turn: Turn) => Promise<void>)[],
): Promise<void> {
  const waiting: (() => void)[] = []
  let running = actors.length
  let failure: { readonly error: unknown } | undefined
  const turn: Turn = async () => {
    if (failure !== undefined) throw new StoppedError()
    await new Promise<void>((resolve) => {
      waiting.push(resolve)
    })
    if (failure !== undefined) throw new StoppedError()
  }
  const ends = actors.map(async (actor) => {
    try {
      await actor(turn)
    } catch (error) {
      if (!(error instanceof StoppedError)) failure ??= { error }
    } finally {
      running--
    }
  })
  while (running > 0) {
    if (waiting.length > 0) waiting.splice(random.integer(waiting.length), 1)[0]!()
    await pause()
  }
  await Promise.all(ends)
  if (failure !== undefined) throw failure.error
}

/** Another actor failed; this one need not go on. */
class StoppedError extends Error {}
