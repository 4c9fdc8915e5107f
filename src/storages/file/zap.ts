/** Destroys all data of a log. The checkpoint goes first: without it, a log cut short is an empty log, not a damaged one. */

import { dirname } from 'node:path'
import { noTid } from '../../core/ids.ts'
import { checkpointPath } from './checkpoint.ts'
import { fileHeaderBytes } from './format.ts'
import type { Log } from './log.ts'

export function zap(log: Log): void {
  const { files, file, numbers, path } = log
  log.locked(() => {
    log.assertWritable()
    if (files.exists(checkpointPath(path))) {
      files.remove(checkpointPath(path))
      files.syncFolder(dirname(path))
    }
    files.truncate(file, fileHeaderBytes)
    files.sync(file)
    log.counters.syncs++
    log.index.clear()
    numbers.tail = fileHeaderBytes
    numbers.durableEnd = fileHeaderBytes
    numbers.checkpointEnd = fileHeaderBytes
    numbers.checkpointBytes = 0
    numbers.nextOid = 1
    numbers.lastTid = noTid
  })
}
