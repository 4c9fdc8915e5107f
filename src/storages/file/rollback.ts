/**
 * Takes back what was appended but could not be made durable: after a failed flush nobody knows what of it is on the
 * disk, and asking again would get a false "yes" (the system forgets the pages it could not write). So the log is cut
 * back to where it is known to be durable, and that is flushed. If even that fails, the log takes no more writes.
 */

import type { Oid, Tid } from '../../core/ids.ts'
import type { Log } from './log.ts'
import { LogScanner } from './scan.ts'
import { word } from './shared-state.ts'

/** Call it with the mutex held. Returns undefined when the log can be used again, or why it cannot. */
export function takeBack(log: Log): unknown {
  const { numbers, words } = log
  const rollback = Atomics.load(words, word.rollbacks) + 1
  numbers.noteRollback(rollback, numbers.lastTid, numbers.tailTid)
  let problem: unknown
  try {
    for (const [oid, previous] of replacedPositions(log)) {
      const serial = previous === 0 ? 0 : log.read(log.file, previous, oid).serial
      log.index.set(oid, previous, serial as Tid)
    }
    log.files.truncate(log.file, numbers.durableEnd)
    log.files.sync(log.file)
    log.counters.syncs++
    numbers.tail = numbers.durableEnd
  } catch (error) {
    problem = error
    Atomics.store(words, word.failed, 1)
  }
  // Of what was taken back, blobs may be left.
  Atomics.store(words, word.sweepDue, 1)
  Atomics.store(words, word.rollbacks, rollback)
  return problem
}

/** For each object that was changed beyond the durable end: where its newest durable revision is. */
function replacedPositions(log: Log): Map<Oid, number> {
  const { durableEnd, tail } = log.numbers
  const scanner = new LogScanner(log.files, log.file, log.seed)
  const positions = new Map<Oid, number>()
  for (let position = durableEnd; position < tail; ) {
    const read = scanner.read(position, tail, (record) => {
      if (!positions.has(record.oid)) positions.set(record.oid, record.previous)
    })
    if ('reason' in read)
      throw new Error(`the transaction at ${position} cannot be read back: ${read.reason}`)
    position = read.end
  }
  return positions
}
