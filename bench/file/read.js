/**
 * Reading a large log: loads, the scan, and opening after a kill, against bare reads of the same file.
 *
 *     node bench/file/read.js [megabytes]
 */

import { closeSync, copyFileSync, linkSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { inFolder, median, openLog, report, timed } from './support.js'

const bytesWanted = Number(process.argv[2] ?? 1024) * 1024 ** 2
const recordBytes = 400
const perTransaction = 100

/** Fills the log with objects of 400 bytes. Returns how many. @param {any} storage */
async function fill(storage) {
  const instance = storage.newInstance()
  const data = new Uint8Array(recordBytes).fill(7)
  let oid = 0
  for (let bytes = 0; bytes < bytesWanted; bytes += perTransaction * (recordBytes + 32) + 68) {
    instance.pollInvalidations()
    const transaction = instance.begin()
    for (let count = 0; count < perTransaction; count++) transaction.store(oid++, 0, data)
    await (await transaction.vote()).finish()
    instance.afterCompletion()
    await nextTurn()
  }
  instance.release()
  return oid
}

/** Nanoseconds per call. @param {number} calls @param {(random: number) => unknown} body */
function perCall(calls, body) {
  let state = 12345
  const start = performance.now()
  for (let call = 0; call < calls; call++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    body(state / 2 ** 32)
  }
  return ((performance.now() - start) / calls) * 1e6
}

/** Megabytes per second of reading the file from end to end, with a checksum over everything. @param {string} path */
function rawScan(path) {
  const file = openSync(path, 'r')
  const buffer = Buffer.alloc(1 << 20)
  const start = performance.now()
  let bytes = 0
  for (let got = 1, sum = 0; got > 0; bytes += got) {
    got = readSync(file, buffer, 0, buffer.length, bytes)
    sum = crc32(buffer.subarray(0, got), sum)
  }
  closeSync(file)
  return bytes / 1024 ** 2 / ((performance.now() - start) / 1000)
}

await inFolder(async (folder) => {
  const path = join(folder, 'data.log')
  const killed = join(folder, 'killed.log')
  const opened = await openLog(path, { durability: 'os' })
  const count = await fill(opened.storage)
  const { size } = statSync(path)
  // What a kill leaves: the log, and the newest checkpoint before its end.
  linkSync(path, killed)
  copyFileSync(`${path}.index`, `${killed}.index`)
  const instance = opened.storage.newInstance()
  instance.pollInvalidations()
  const file = openSync(path, 'r')
  const buffer = Buffer.alloc(recordBytes + 32)
  const [raws, loads] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])]
  for (let round = 0; round < 10; round++) {
    raws.push(
      perCall(20_000, (random) =>
        readSync(file, buffer, 0, buffer.length, Math.floor(random * (size - 500))),
      ),
    )
    loads.push(perCall(20_000, (random) => instance.load(Math.floor(random * count))))
  }
  closeSync(file)
  console.log(`${count} objects of ${recordBytes} bytes, ${Math.round(size / 1024 ** 2)} MB`)
  console.log(`bare read of a record: ${(median(raws) / 1000).toFixed(2)} µs`)
  report('cold load', `${(median(loads) / 1000).toFixed(2)} µs`, '≤ 3 µs', median(loads) <= 3000)
  await opened.close()

  const rates = { raw: /** @type {number[]} */ ([]), own: /** @type {number[]} */ ([]) }
  const killedMs = []
  for (let round = 0; round < 3; round++) {
    rates.raw.push(rawScan(path))
    rmSync(`${path}.index`)
    const readOnly = []
    readOnly.push(await timed(async () => (await openLog(path, { durability: 'none' })).close()))
    rates.own.push(size / 1024 ** 2 / ((readOnly[0] ?? 0) / 1000))
    const saved = `${killed}.saved`
    copyFileSync(`${killed}.index`, saved)
    /** @type {{ close(): Promise<void> }[]} */
    const after = []
    killedMs.push(
      await timed(async () => {
        after.push(await openLog(killed))
      }),
    )
    await after[0]?.close()
    copyFileSync(saved, `${killed}.index`)
  }
  console.log(`bare sequential read with checksum: ${Math.round(median(rates.raw))} MB/s`)
  const share = median(rates.own) / median(rates.raw)
  const own = `${Math.round(median(rates.own))} MB/s`
  report(
    'scan (opening without a checkpoint)',
    own,
    '≥ 500 MB/s or 80 % of bare',
    median(rates.own) >= 500 || share >= 0.8,
  )
  const gigabyteMs = (median(killedMs) / size) * 1024 ** 3
  report(
    'opening after a kill',
    `${Math.round(median(killedMs))} ms`,
    '< 1 s for 1 GB',
    gigabyteMs < 1000 || median(killedMs) < 1000,
  )
})
