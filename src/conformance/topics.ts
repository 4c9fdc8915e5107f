/** All topics, in the order in which they are checked: from what everything else rests on to what is rare. */

import type { Topic } from './behaviour.ts'
import { basics } from './topics/basics.ts'
import { blobHistory } from './topics/blob-history.ts'
import { blobTransactions } from './topics/blob-transactions.ts'
import { blobs } from './topics/blobs.ts'
import { commitsAtOnce } from './topics/commit-at-once.ts'
import { concurrency } from './topics/concurrency.ts'
import { conflictResolution } from './topics/conflict-resolution.ts'
import { conflicts } from './topics/conflicts.ts'
import { cache, counters } from './topics/counters.ts'
import { deletion } from './topics/deletion.ts'
import { garbage } from './topics/garbage.ts'
import { currentRevision, history, revisionList } from './topics/history.ts'
import { honesty } from './topics/honesty.ts'
import { invalidations } from './topics/invalidations.ts'
import { iteration } from './topics/iteration.ts'
import { loadMany, prefetch } from './topics/load-many.ts'
import { objectIds } from './topics/object-ids.ts'
import { packing } from './topics/pack.ts'
import { packUnderWay } from './topics/pack-under-way.ts'
import { persistence } from './topics/persistence.ts'
import { races, sharedRaces } from './topics/races.ts'
import { readCurrent } from './topics/read-current.ts'
import { readOnly } from './topics/read-only.ts'
import { restore } from './topics/restore.ts'
import { sharing } from './topics/sharing.ts'
import { snapshots } from './topics/snapshots.ts'
import { transactionState } from './topics/transaction-state.ts'
import { twoPhaseCommit } from './topics/two-phase-commit.ts'
import { undoTopic } from './topics/undo.ts'
import { waitingVotes } from './topics/waiting-votes.ts'
import { close, zap } from './topics/zap-and-close.ts'

export const topics: readonly Topic[] = [
  honesty,
  basics,
  objectIds,
  transactionState,
  twoPhaseCommit,
  waitingVotes,
  conflicts,
  conflictResolution,
  readCurrent,
  commitsAtOnce,
  snapshots,
  invalidations,
  loadMany,
  prefetch,
  currentRevision,
  history,
  revisionList,
  deletion,
  undoTopic,
  packing,
  garbage,
  packUnderWay,
  iteration,
  restore,
  blobs,
  blobTransactions,
  blobHistory,
  persistence,
  readOnly,
  concurrency,
  races,
  sharing,
  sharedRaces,
  counters,
  cache,
  zap,
  close,
]
