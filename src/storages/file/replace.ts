/** How a new log takes the place of the old one, under its name and in shared memory. For packing and zapping. */

import { dirname } from 'node:path'
import type { Log } from './log.ts'
import type { PackWriter } from './pack-copy.ts'
import { word } from './shared-state.ts'

/**
 * Puts the new log in the place of the old one. The mutex is held, the new log and the spare index are complete.
 * @throws when the new log is not in place, and the old one is as it was; or, with the log marked as failed, when it
 * is not certain which of the two the name will mean after a loss of power
 */
export function putInPlace(log: Log, writer: PackWriter): void {
  const { files, path, numbers, words } = log
  files.sync(writer.file)
  log.counters.syncs++
  Atomics.store(words, word.switching, 1)
  try {
    files.rename(writer.path, path)
    writer.isInPlace = true
    files.syncFolder(dirname(path))
    log.counters.syncs++
  } catch (error) {
    if (!writer.isInPlace) {
      Atomics.store(words, word.switching, 0)
      throw error
    }
    // Both logs hold every confirmed transaction. Those that wait for the disk are only in the new one: they fail, and
    // no other is taken before opening the log has shown which it is.
    const rollback = Atomics.load(words, word.rollbacks) + 1
    numbers.noteRollback(rollback, numbers.lastTid, numbers.tailTid)
    Atomics.store(words, word.failed, 1)
    Atomics.store(words, word.rollbacks, rollback)
    throw error
  }
  log.spareIndex.replace(log.index, (start) => writer.positions.page(start))
  numbers.tail = writer.end
  numbers.durableEnd = writer.end
  numbers.lastTid = numbers.tailTid
  numbers.checkpointEnd = 0
  numbers.checkpointBytes = 0
  Atomics.store(words, word.seed, writer.seed | 0)
  Atomics.store(words, word.formatVersion, writer.version)
  Atomics.add(words, word.generation, 1)
  Atomics.store(words, word.switching, 0)
  log.adopt(writer.file, log.generation)
}
