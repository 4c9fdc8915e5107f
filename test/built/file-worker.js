/**
 * A process, or a thread of one, that uses a file storage until it is killed or told to stop. Started by the tests
 * beside it; plain JavaScript, so that it runs as it is.
 */

import { writeSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** @type {{ dist: string, path: string, threads: number, tasks: number, task: 'confirm' | 'increment' | 'watch', commits: number }} */
const job = isMainThread ? JSON.parse(process.argv[2] ?? '') : workerData.job
const { default: file } = await import(`${job.dist}storages/file/index.js`)
const { parseOptions } = await import(`${job.dist}core/options.js`)
const { systemClock } = await import(`${job.dist}core/clock.js`)

const context = { clock: systemClock, log: () => {} }
const options = parseOptions('file', file.options, { path: job.path, checkpointBytes: 50_000 })

if (isMainThread) {
  const shared = await file.share(options, context)
  const uses = [...Array(job.threads).keys()].map(
    (thread) =>
      new Promise((resolve, reject) => {
        const worker = new Worker(new URL(import.meta.url), {
          workerData: { job, thread, state: shared.state },
        })
        worker.once('message', resolve)
        worker.once('error', reject)
      }),
  )
  if (job.threads === 0) uses.push(use(shared.state, 0))
  const reports = await Promise.all(uses)
  await shared.close()
  writeSync(1, `${JSON.stringify(reports)}\n`)
} else {
  parentPort?.postMessage(await use(workerData.state, workerData.thread))
}

/** @param {unknown} state @param {number} thread */
async function use(state, thread) {
  const storage = await file.open(options, context, state)
  const run = { confirm, increment, watch }[job.task]
  const reports = await Promise.all(
    [...Array(job.tasks).keys()].map((task) => run(storage, thread * job.tasks + task)),
  )
  await storage.close()
  return reports
}

/**
 * Writes ever greater numbers to an object of its own, and says so each time. Packs now and then.
 *
 * @param {any} storage @param {number} number
 */
async function confirm(storage, number) {
  const instance = storage.newInstance()
  const oid = number + 1
  for (let round = 1; ; round++) {
    instance.pollInvalidations()
    const [revision] = instance.loadMany([oid])
    const value = revision === undefined ? 1 : Number(new TextDecoder().decode(revision.data).trimEnd()) + 1
    const transaction = instance.begin()
    const serial = revision?.serial ?? 0
    const data = new TextEncoder().encode(String(value).padEnd(number * 100))
    // The blob says the same as the object.
    if (round % 5 === 0) await transaction.storeBlob(oid, serial, data, [data])
    else transaction.store(oid, serial, data)
    await (await transaction.vote()).finish()
    writeSync(1, `${oid} ${value}\n`)
    instance.afterCompletion()
    if (number === 0 && round % 20 === 0) await storage.pack({ before: storage.lastTid })
  }
}

/**
 * Adds one to two objects at once, `commits` times, and looks whether they are ever unequal.
 *
 * @param {any} storage @param {number} number
 */
async function increment(storage, number) {
  const instance = storage.newInstance()
  const report = { conflicts: 0, unequal: 0, staleCaches: 0 }
  const cache = new Map()
  for (let done = 0; done < job.commits; ) {
    const changed = instance.pollInvalidations()
    if (changed === 'all') cache.clear()
    else for (const oid of changed) cache.delete(oid)
    for (const oid of [1, 2]) if (!cache.has(oid)) cache.set(oid, instance.load(oid))
    const [one, two] = [cache.get(1), cache.get(2)]
    if (one.serial !== two.serial) report.unequal++
    if (instance.load(1).serial !== one.serial) report.staleCaches++
    const transaction = instance.begin()
    const next = new TextEncoder().encode(String(Number(new TextDecoder().decode(one.data)) + 1))
    transaction.store(1, one.serial, next)
    transaction.store(2, two.serial, next)
    try {
      const serial = await (await transaction.vote()).finish()
      for (const oid of [1, 2]) cache.set(oid, { data: next, serial })
      done++
    } catch (/** @type {any} */ error) {
      if (!error.transient) throw error
      report.conflicts++
      await transaction.abort()
    }
    instance.afterCompletion()
    if (number === 0 && done % 50 === 49) await storage.pack({ before: storage.lastTid })
  }
  return report
}

/**
 * Number 0 changes and packs thousands of objects, of which each says which it is and how often it was changed; the
 * others read them without a pause until it has ended, and count what they should not have found.
 *
 * @param {any} storage @param {number} number
 */
async function watch(storage, number) {
  const [objects, end] = [5000, 5001]
  const report = { wrong: 0, reads: 0 }
  const instance = storage.newInstance()
  const text = (/** @type {number} */ oid) => new TextDecoder().decode(instance.load(oid).data)
  const store = async (/** @type {number} */ step, /** @type {number} */ round) => {
    instance.pollInvalidations()
    const transaction = instance.begin()
    for (let oid = 0; oid <= objects; oid += step) {
      const serial = instance.loadMany([oid])[0]?.serial ?? 0
      transaction.store(oid, serial, new TextEncoder().encode(`${oid} ${round} `.padEnd(20 + (oid % 100))))
    }
    if (round === job.commits) transaction.store(end, 0, new Uint8Array(1))
    await (await transaction.vote()).finish()
    instance.afterCompletion()
  }
  if (number === 0) {
    for (let round = 0; round <= job.commits; round++) {
      await store(round === 0 ? 1 : 1 + (round % 7), round)
      await storage.pack({ before: storage.lastTid })
    }
    return report
  }
  const seen = new Int32Array(objects + 1)
  for (let hasEnded = false, at = number; !hasEnded; await new Promise((resolve) => setImmediate(resolve))) {
    instance.pollInvalidations()
    hasEnded = instance.loadMany([end])[0] !== undefined
    if (instance.loadMany([0])[0] === undefined) continue
    for (let count = 0; count < 500; count++) {
      at = (at * 48271) % 2147483647
      const oid = at % (objects + 1)
      const [own, round] = text(oid).split(' ').map(Number)
      if (own !== oid || (round ?? -1) < (seen[oid] ?? 0)) report.wrong++
      seen[oid] = round ?? 0
      report.reads++
    }
  }
  return report
}
