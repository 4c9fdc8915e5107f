/**
 * Takes away what threads held that were terminated: open snapshots, claims of votes that nobody will end, the turn to
 * flush, pack or write a checkpoint. Called by those who wait for something of that kind, now and then.
 */

import type { Log } from './log.ts'
import { word } from './shared-state.ts'

/** Who waits longer than this asks whether those who hold what it wants still run. */
export const doubtMs = 100

export function buryDead(log: Log): void {
  const { seats } = log
  // Looked for without the mutex: it takes some system calls.
  const dead = [...seats.dead()]
  if (dead.length === 0) return
  log.locked(() => {
    for (const seat of dead) if (seats.isDead(seat)) bury(log, seat)
  })
}

function bury(log: Log, seat: number): void {
  const { seats, words, snapshots } = log
  log.report(`${log.path}: a thread was terminated while it used the log; what it held was given up`)
  snapshots.releaseAll(seat)
  if (seats.count('pendingBlobs', seat) !== 0) Atomics.store(words, word.sweepDue, 1)
  if (seats.count('votes', seat) !== 0) {
    // Claims do not say whose they are, so all are given up. Who has voted in an earlier era looks again on finishing.
    log.index.clearClaims()
    Atomics.add(words, word.claimsEra, 1)
    Atomics.add(words, word.endings, 1)
    Atomics.notify(words, word.endings)
  }
  for (const at of [word.packing, word.checkpointing]) {
    if (Atomics.compareExchange(words, at, seat, 0) === seat) Atomics.notify(words, at)
  }
  if (Atomics.compareExchange(words, word.syncing, seat, 0) === seat) {
    Atomics.add(words, word.syncEpoch, 1)
    Atomics.notify(words, word.syncEpoch)
  }
  seats.free(seat)
}
