/** Opening a log of which the process was killed: the newest checkpoint before its end, and what came after it. */

import { copyFileSync, linkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fill, inFolder, medians, openLog, rawScan, report, timed } from './support.js'

const megabytes = Number(process.argv[2] ?? 1024)
const rounds = 3

await inFolder(async (folder) => {
  const path = join(folder, 'data.log')
  const killed = join(folder, 'killed.log')
  const opened = await openLog(path, { durability: 'os' })
  await fill(opened.storage, megabytes)
  // What a kill leaves: the log, and the newest checkpoint before its end.
  linkSync(path, killed)
  copyFileSync(`${path}.index`, join(folder, 'saved.index'))
  await opened.close()
  /** @type {Record<'raw' | 'own', { wallMs: number, cpuMs: number }[]>} */
  const times = { raw: [], own: [] }
  for (let round = 0; round < rounds; round++) {
    copyFileSync(join(folder, 'saved.index'), `${killed}.index`)
    /** @type {{ close(): Promise<void> }[]} */
    const after = []
    times.own.push(await timed(async () => after.push(await openLog(killed))))
    await after[0]?.close()
    times.raw.push(await timed(() => rawScan(killed)))
  }
  const { size } = statSync(killed)
  const [bare, own] = [medians(times.raw), medians(times.own)]
  console.log(`bare read of the log with checksum: ${Math.round(bare.wallMs)} ms`)
  for (const [name, ms] of /** @type {[string, number][]} */ ([
    ['opening after a kill', own.wallMs],
    ['opening after a kill, processor time', own.cpuMs],
  ])) {
    const value = `${Math.round(ms)} ms for ${Math.round(size / 1024 ** 2)} MB`
    report(name, value, '< 1 s for 1 GB', (ms / size) * 1024 ** 3 < 1000)
  }
})
