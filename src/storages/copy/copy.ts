/**
 * Copies a store into another, of any two storages: with all history where both sides can, else the current states.
 *
 * Whatever ends a copy early – a kill, a full disk, a lost connection – the destination holds the beginning of the
 * source, in whole transactions, and the same copy goes on from there. A destination that holds anything else is
 * refused before it is written to.
 */

import type { Storage } from '../storage.ts'
import { CopyJob, type CopyOptions, type CopyResult, type CopyWay } from './job.ts'
import { copyStates } from './states.ts'
import { copyTransactions } from './transactions.ts'

export type { BlobPolicy, CopyOptions, CopyPhase, CopyProgress, CopyResult, CopyWay } from './job.ts'

/** What can be copied between these two. */
export function copyWay(source: Storage, destination: Storage): CopyWay {
  const isWhole =
    source.iterate !== undefined && destination.iterate !== undefined && destination.restore !== undefined
  return isWhole ? 'transactions' : 'states'
}

/**
 * @throws ShootoutError `copy-not-a-prefix`, `copy-cannot-walk`, `blobs-not-kept`, and what the storages raise
 */
export async function copyStore(
  source: Storage,
  destination: Storage,
  options: CopyOptions,
): Promise<CopyResult> {
  const job = new CopyJob(options)
  const way = copyWay(source, destination)
  const copy = way === 'transactions' ? copyTransactions : copyStates
  await copy(source, destination, job)
  return job.result(way)
}
