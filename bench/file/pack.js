/** Packing 400 000 records of which half go, with garbage collection, while one client commits. */

import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inFolder, median, openLog, report, timed } from './support.js'

const objects = 200_000
const perTransaction = 100
const data = new Uint8Array(400).fill(7)

/** Every object refers to the next one, through its first 4 bytes. @param {number} oid */
function stateOf(oid) {
  const state = data.slice()
  new DataView(state.buffer).setUint32(0, oid + 1 < objects ? oid + 1 : 0)
  return state
}

/** @param {Uint8Array} state */
const references = (state) => [new DataView(state.buffer, state.byteOffset).getUint32(0)]

/** Latencies of commits until told to stop. @param {any} storage @param {() => boolean} goesOn */
async function commitLatencies(storage, goesOn) {
  const latencies = []
  const instance = storage.newInstance()
  while (goesOn()) {
    instance.pollInvalidations()
    const start = performance.now()
    const transaction = instance.begin()
    const revision = instance.load(5)
    transaction.store(5, revision.serial, stateOf(5))
    await (await transaction.vote()).finish()
    latencies.push(performance.now() - start)
    instance.afterCompletion()
    await nextTurn()
  }
  instance.release()
  return latencies
}

await inFolder(async (folder) => {
  const opened = await openLog(join(folder, 'data.log'), { durability: 'os' })
  const { storage } = opened
  const instance = storage.newInstance()
  for (let revision = 0; revision < 2; revision++) {
    for (let first = 0; first < objects; first += perTransaction) {
      instance.pollInvalidations()
      const transaction = instance.begin()
      for (let oid = first; oid < first + perTransaction; oid++) {
        transaction.store(oid, instance.loadMany([oid])[0]?.serial ?? 0, stateOf(oid))
      }
      await (await transaction.vote()).finish()
      instance.afterCompletion()
      await nextTurn()
    }
  }
  instance.release()
  await opened.close()
  copyFileSync(join(folder, 'data.log'), join(folder, 'alone.log'))
  const quiet = await openLog(join(folder, 'alone.log'))
  const quietMs = await timed(() => quiet.storage.pack({ before: quiet.storage.lastTid, references }))
  report('pack of 400 000 records', `${(quietMs / 1000).toFixed(2)} s`, '≤ 1.92 s', quietMs <= 1920)
  await quiet.close()
  const full = await openLog(join(folder, 'data.log'))
  const until = performance.now() + 1000
  const alone = await commitLatencies(full.storage, () => performance.now() < until)
  const rssBefore = process.memoryUsage.rss()
  let packing = true
  /** @type {any} */
  let result
  const during = commitLatencies(full.storage, () => packing)
  const packMs = await timed(async () => {
    result = await full.storage.pack({ before: full.storage.lastTid, references })
  })
  packing = false
  const latencies = await during
  console.log(
    `removed ${result.removedRevisions} revisions, ${result.bytesBefore} → ${result.bytesAfter} bytes`,
  )
  console.log(`resident memory grew by ${Math.round((process.memoryUsage.rss() - rssBefore) / 1024 ** 2)} MB`)
  console.log(`pack while one client of the same thread commits: ${(packMs / 1000).toFixed(2)} s`)
  const [p50, p50During] = [median(alone), median(latencies)]
  const ratio = p50During / p50
  const value = `${p50.toFixed(2)} → ${p50During.toFixed(2)} ms`
  report('commit, median, without and during a pack', value, '≤ 3 ×', ratio <= 3)
  await full.close()
})
