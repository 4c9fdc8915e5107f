/** How long a commit takes while the log is packed by the same thread, against before and after, on the same disk. */

import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fillChain, references, stateOf } from './chain.js'
import { inFolder, openLog, report, timed } from './support.js'

const aloneMs = 2000

/** Latencies of commits until told to stop, ascending. @param {any} storage @param {() => boolean} goesOn */
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
  return latencies.sort((a, b) => a - b)
}

/** @param {any} storage */
function latenciesAlone(storage) {
  const until = performance.now() + aloneMs
  return commitLatencies(storage, () => performance.now() < until)
}

await inFolder(async (folder) => {
  const path = join(folder, 'data.log')
  const prepared = await openLog(path, { durability: 'os' })
  await fillChain(prepared.storage)
  await prepared.close()
  const opened = await openLog(path)
  const { storage } = opened
  const before = await latenciesAlone(storage)
  let isPacking = true
  const committing = commitLatencies(storage, () => isPacking)
  const { wallMs } = await timed(() => storage.pack({ before: storage.lastTid, references }))
  isPacking = false
  const during = await committing
  const alone = [...before, ...(await latenciesAlone(storage))].sort((a, b) => a - b)
  console.log(`pack while one client of the same thread commits: ${(wallMs / 1000).toFixed(2)} s`)
  const at = (/** @type {number[]} */ list, /** @type {number} */ share) =>
    list[Math.floor(list.length * share)] ?? Number.NaN
  for (const [name, share] of /** @type {[string, number][]} */ ([
    ['tenth part', 0.1],
    ['median', 0.5],
  ])) {
    const [quiet, busy] = [at(alone, share), at(during, share)]
    const value = `${quiet.toFixed(2)} → ${busy.toFixed(2)} ms, × ${(busy / quiet).toFixed(1)}`
    report(`commit without and during a pack, ${name}`, value, '≤ 3 ×', busy <= 3 * quiet)
  }
  await opened.close()
})
