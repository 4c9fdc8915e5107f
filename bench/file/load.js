/** Loads of objects that nothing has in memory but the page cache of the system, against bare reads of as many bytes. */

import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fill, inFolder, medians, openLog, recordBytes, report, timed } from './support.js'

const megabytes = Number(process.argv[2] ?? 1024)
const calls = 20_000
const rounds = 15

let state = 12345
function random() {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return state / 2 ** 32
}

/** @param {() => unknown} body */
const manyTimes = (body) => () => {
  for (let call = 0; call < calls; call++) body()
}

await inFolder(async (folder) => {
  const path = join(folder, 'data.log')
  const opened = await openLog(path, { durability: 'os' })
  const count = await fill(opened.storage, megabytes)
  const { size } = statSync(path)
  const instance = opened.storage.newInstance()
  instance.pollInvalidations()
  const file = openSync(path, 'r')
  const buffer = Buffer.alloc(recordBytes + 32)
  /** @type {Record<'raw' | 'own', { wallMs: number, cpuMs: number }[]>} */
  const times = { raw: [], own: [] }
  const raw = manyTimes(() => {
    readSync(file, buffer, 0, buffer.length, Math.floor(random() * (size - buffer.length)))
  })
  const own = manyTimes(() => instance.load(Math.floor(random() * count)))
  for (let round = 0; round < rounds; round++) {
    times.raw.push(await timed(raw))
    times.own.push(await timed(own))
  }
  closeSync(file)
  await opened.close()
  const us = (/** @type {number} */ ms) => ((ms * 1000) / calls).toFixed(2)
  const [bare, load] = [medians(times.raw), medians(times.own)]
  console.log(`${count} objects of ${recordBytes} bytes, ${Math.round(size / 1024 ** 2)} MB`)
  console.log(`bare read of a record: ${us(bare.wallMs)} µs, of processor time ${us(bare.cpuMs)} µs`)
  console.log(`cold load ÷ bare read, processor time: ${(load.cpuMs / bare.cpuMs).toFixed(2)}`)
  report('cold load', `${us(load.wallMs)} µs`, '≤ 3 µs', load.wallMs * 1000 <= 3 * calls)
  report('cold load, processor time', `${us(load.cpuMs)} µs`, '≤ 3 µs', load.cpuMs * 1000 <= 3 * calls)
})
