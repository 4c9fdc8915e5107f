/**
 * Memory that the index takes for each object, as the system counts it: after opening, and after a pack. It reads
 * `/proc/self/smaps`, so it runs on Linux only.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inFolder, openLog, optionsOf, report, storeObjects } from './support.js'

const objects = Number(process.argv[2] ?? 2_000_000)
/** An odd size, so that the mappings of the indexes are known by it. */
const indexBytes = optionsOf({}).indexBytes + 12_345 * 4096

/** Bytes that are resident of all mappings large enough to hold an index of this size. */
function residentBytes() {
  let [isIndex, sum] = [false, 0]
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    const mapping = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line)
    if (mapping !== null) {
      const bytes = Number.parseInt(mapping[2] ?? '', 16) - Number.parseInt(mapping[1] ?? '', 16)
      isIndex = bytes >= indexBytes && bytes < 4 * indexBytes
    }
    const resident = /^Rss: +([0-9]+) kB/.exec(line)
    if (isIndex && resident !== null) sum += Number(resident[1]) * 1024
  }
  return sum
}

await inFolder(async (folder) => {
  const path = join(folder, 'data.log')
  const data = new Uint8Array(8)
  const opened = await openLog(path, { durability: 'none', indexBytes })
  const { storage } = opened
  await storeObjects(storage, objects, () => data)
  const stored = residentBytes() / objects
  // One object gets a second revision, so that there is something to pack.
  await storeObjects(storage, 1, () => data)
  const processBefore = process.memoryUsage.rss()
  const { removedRevisions } = await storage.pack({ before: storage.lastTid })
  const grown = Math.round((process.memoryUsage.rss() - processBefore) / 1024 ** 2)
  console.log(
    `${objects} objects, ${removedRevisions} revision removed; packing made the process grow by ${grown} MB, garbage included`,
  )
  for (const [when, bytes] of /** @type {[string, number][]} */ ([
    ['before a pack', stored],
    ['after a pack', residentBytes() / objects],
  ])) {
    report(
      `index per object, ${when}`,
      `${bytes.toFixed(1)} B`,
      'between 16 and 24 B',
      bytes >= 16 && bytes <= 24,
    )
  }
  await opened.close()
})
