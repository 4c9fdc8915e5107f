/** Destroys all data: an empty log takes the place of the old one, in one step. */

import { dirname } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { noTid } from '../../core/ids.ts'
import { parseBlobName } from './blob-file.ts'
import { blobFiles, removeBlob } from './blob-folder.ts'
import { checkpointPath } from './checkpoint.ts'
import { newFileHeader } from './file-header.ts'
import type { Log } from './log.ts'
import { forgetReserve } from './oid-reserve.ts'
import { unfinishedPackPath } from './pack.ts'
import { PackWriter } from './pack-copy.ts'
import { putInPlace } from './replace.ts'

/** Call it with the `packing` and `checkpointing` words held. */
export function zap(log: Log, clock: Clock): void {
  const { files, numbers, path } = log
  const header = newFileHeader(clock)
  log.locked(() => {
    log.assertWritable()
    const writer = new PackWriter(files, unfinishedPackPath(path), log.counters, header)
    let isSwitched = false
    try {
      putInPlace(log, writer)
      isSwitched = true
    } finally {
      if (!isSwitched) writer.discard()
    }
    numbers.nextOid = header.nextOid
    numbers.reservedOids = 0
    numbers.lastTid = noTid
  })
  forgetReserve(files, path)
  for (const name of blobFiles(files, path)) {
    const { oid, id } = parseBlobName(name)!
    removeBlob(log, oid, id)
  }
  // It belongs to the old log, as its file id tells.
  if (!files.exists(checkpointPath(path))) return
  files.remove(checkpointPath(path))
  files.syncFolder(dirname(path))
}
