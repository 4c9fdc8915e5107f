/**
 * Which gates the selftest holds, and in which order. Whatever is done least of what is wanted comes next, over all
 * storages, so that a budget that ends early leaves a certificate with a little of everything.
 */

import type { Random } from '../../core/random.ts'

/** One kind of trial of one storage. */
export interface Arm {
  /** Extra operations of the candidate: 0.05 is 5 % more. */
  readonly extra: number
  /** The machine is disturbed during half of the blocks. */
  readonly isDisturbed: boolean
}

export interface WantedArm extends Arm {
  readonly gates: number
}

/** The slowdown that must be found: an operation that waits for the disk is noisier. */
export function extraToFind(waitsForDisk: boolean): number {
  return waitsForDisk ? 0.1 : 0.05
}

/** @param waitsForDisk the operations that are timed do */
export function wantedArms(isQuick: boolean, waitsForDisk: boolean): readonly WantedArm[] {
  const find = extraToFind(waitsForDisk)
  const arms = isQuick
    ? ([
        [0, 4, false],
        [find, 4, false],
        [0.2, 1, false],
        [0, 1, true],
        [0.2, 1, true],
      ] as const)
    : ([
        [0, 14, false],
        [find, 20, false],
        [0.02, 2, false],
        [0.2, 2, false],
        [0, 3, true],
        [0.2, 3, true],
      ] as const)
  return arms.map(([extra, gates, isDisturbed]) => ({ extra, gates, isDisturbed }))
}

/** All gates of all storages, in the order in which they are held; `T` says whose they are. */
export function interleaved<T>(
  wanted: readonly (readonly [T, readonly WantedArm[]])[],
  random: Random,
): readonly (readonly [T, Arm])[] {
  // The k-th of n gates stands at (k + u) / n of the way, with u drawn: evenly spread, and not in lock-step.
  return wanted
    .flatMap(([whose, arms]) =>
      arms.flatMap(({ extra, isDisturbed, gates }) =>
        Array.from({ length: gates }, (_, number) => ({
          at: (number + random.float()) / gates,
          gate: [whose, { extra, isDisturbed }] as const,
        })),
      ),
    )
    .sort((a, b) => a.at - b.at)
    .map(({ gate }) => gate)
}
