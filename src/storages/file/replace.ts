/** How a new log takes the place of the old one, under its name and in shared memory. For packing and zapping. */

import { dirname } from 'node:path'
import type { Log } from './log.ts'
import type { PackWriter } from './pack-copy.ts'
import { word } from './shared-state.ts'

/**
 * Puts the new log in the place of the old one. The mutex is held, the new log and the spare index are complete.
 * @param onSwitch called when the new log has the name: from then on it must not be discarded
 */
export function putInPlace(log: Log, writer: PackWriter, onSwitch: () => void): void {
  const { files, path, numbers, words } = log
  files.sync(writer.file)
  files.rename(writer.path, path)
  onSwitch()
  try {
    files.syncFolder(dirname(path))
  } catch (error) {
    // Both logs hold every confirmed transaction, but which of them the name will mean is not certain.
    Atomics.store(words, word.failed, 1)
    throw error
  } finally {
    log.counters.syncs++
    if (Atomics.load(words, word.votes) > 0) log.spareIndex.copyClaims(log.index)
    numbers.tail = writer.end
    numbers.durableEnd = writer.end
    numbers.lastTid = numbers.tailTid
    numbers.checkpointEnd = 0
    numbers.checkpointBytes = 0
    Atomics.store(words, word.file, writer.file)
    Atomics.store(words, word.seed, writer.seed | 0)
    Atomics.add(words, word.generation, 1)
  }
}
