/** Reading a log from end to end, as opening without a checkpoint does, against a bare read with a checksum. */

import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import {
  context,
  file,
  fill,
  inFolder,
  medians,
  openLog,
  optionsOf,
  rawScan,
  report,
  timed,
} from './support.js'

const megabytes = Number(process.argv[2] ?? 512)
const rounds = 5

await inFolder(async (folder) => {
  const path = join(folder, 'data.log')
  const opened = await openLog(path, { durability: 'os' })
  await fill(opened.storage, megabytes)
  await opened.close()
  rmSync(`${path}.index`)
  const options = optionsOf({ path })
  /** @type {Record<'raw' | 'own', { wallMs: number, cpuMs: number }[]>} */
  const times = { raw: [], own: [] }
  for (let round = 0; round < rounds; round++) {
    times.raw.push(await timed(() => rawScan(path)))
    times.own.push(
      await timed(async () => {
        const shared = await file.share(options, { ...context, readOnly: true })
        await shared.close()
      }),
    )
  }
  const rate = (/** @type {number} */ ms) => Math.round(statSync(path).size / 1024 ** 2 / (ms / 1000))
  const [bare, own] = [medians(times.raw), medians(times.own)]
  console.log(
    `bare read with checksum: ${rate(bare.wallMs)} MB/s, by processor time ${rate(bare.cpuMs)} MB/s`,
  )
  const target = '≥ 500 MB/s or 80 % of bare'
  const isReached = rate(own.wallMs) >= 500 || own.wallMs * 0.8 <= bare.wallMs
  report('scan', `${rate(own.wallMs)} MB/s`, target, isReached)
  report('scan, by processor time', `${rate(own.cpuMs)} MB/s`, '≥ 500 MB/s', rate(own.cpuMs) >= 500)
})
