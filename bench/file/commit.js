/**
 * Commits of one object of 400 bytes: one client, 32 tasks, one thread and four, against a raw append and fdatasync, and
 * against four threads that do nothing else and share it.
 * All take turns, a short batch each, because what a flush costs on a shared machine changes from second to second.
 */

import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { inFolder, median, openLog, report } from './support.js'

const rounds = Number(process.argv[2] ?? 15)
const warmRounds = 8
const batchMs = 200

const data = new Uint8Array(400).fill(7)

/** Commits per second of `tasks` clients of this thread, for one batch. @param {any} storage @param {number} tasks */
export async function commitsPerSecond(storage, tasks, firstOid = 1) {
  const start = performance.now()
  let commits = 0
  const client = async (/** @type {number} */ oid) => {
    const instance = storage.newInstance()
    instance.pollInvalidations()
    let serial = instance.loadMany([oid])[0]?.serial ?? 0
    while (performance.now() - start < batchMs) {
      instance.pollInvalidations()
      const transaction = instance.begin()
      transaction.store(oid, serial, data)
      serial = await (await transaction.vote()).finish()
      instance.afterCompletion()
      commits++
    }
    instance.release()
  }
  await Promise.all(Array.from({ length: tasks }, (_, at) => client(firstOid + at)))
  return (commits / (performance.now() - start)) * 1000
}

/** @param {number} file */
function rawPerSecond(file) {
  const record = Buffer.alloc(500, 7)
  const start = performance.now()
  let writes = 0
  for (; performance.now() - start < batchMs; writes++) {
    writeSync(file, record)
    fdatasyncSync(file)
  }
  return (writes / (performance.now() - start)) * 1000
}

/**
 * Appends per second of one of `count` threads that only write, meet, and let the last one flush for all: what threads
 * could reach at best on this machine.
 *
 * @param {number} file @param {number} count @param {Int32Array} words flushes, threads that have written
 */
export function barePerSecond(file, count, words) {
  const record = Buffer.alloc(500, 7)
  const start = performance.now()
  let writes = 0
  for (; performance.now() - start < batchMs; writes++) {
    const flushes = Atomics.load(words, 0)
    writeSync(file, record)
    if (Atomics.add(words, 1, 1) === count - 1) {
      Atomics.store(words, 1, 0)
      fdatasyncSync(file)
      Atomics.add(words, 0, 1)
      Atomics.notify(words, 0)
    } else {
      // At the end of a batch somebody may be waited for who comes no more.
      while (Atomics.load(words, 0) === flushes && performance.now() - start < batchMs) {
        Atomics.wait(words, 0, flushes, 5)
      }
    }
  }
  return (writes / (performance.now() - start)) * 1000
}

/** Starts threads that run a batch each time they are told. @param {any[]} data what each is given */
async function startThreads(data) {
  const workers = data.map(
    (workerData) => new Worker(new URL('./commit-thread.js', import.meta.url), { workerData }),
  )
  const answers = () =>
    Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
  await answers()
  return {
    async batch() {
      const answered = answers()
      for (const worker of workers) worker.postMessage('go')
      return /** @type {number[]} */ (await answered).reduce((sum, rate) => sum + rate, 0)
    },
    async close() {
      for (const worker of workers) worker.postMessage('close')
      await answers()
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}

if (import.meta.url === `file://${process.argv[1]}`) {
  await inFolder(async (folder) => {
    const raw = openSync(join(folder, 'raw'), 'w')
    const opened = await openLog(join(folder, 'data.log'))
    const commits = Array.from({ length: 4 }, (_, thread) => ({
      options: opened.options,
      state: opened.shared.state,
      firstOid: 1000 + thread * 10,
    }))
    const one = await startThreads(commits.slice(0, 1))
    const four = await startThreads(commits)
    closeSync(openSync(join(folder, 'bare'), 'w'))
    const bareData = { bare: join(folder, 'bare'), count: 4, words: new SharedArrayBuffer(8) }
    const bare = await startThreads(Array.from({ length: 4 }, () => bareData))
    /** @type {Record<string, () => number | Promise<number>>} */
    const ways = {
      raw: () => rawPerSecond(raw),
      'one client': () => commitsPerSecond(opened.storage, 1),
      '32 tasks': () => commitsPerSecond(opened.storage, 32),
      'one thread': () => one.batch(),
      'four threads': () => four.batch(),
      'four bare threads': () => {
        new Int32Array(bareData.words).fill(0)
        return bare.batch()
      },
    }
    /** @type {Record<string, number[]>} */
    const rates = {}
    // Threads compile for themselves, and that takes all processors: first until they have done so.
    for (let round = 0; round < warmRounds; round++) for (const way of Object.values(ways)) await way()
    for (let round = 0; round < rounds; round++) {
      for (const [name, way] of Object.entries(ways)) rates[name] = [...(rates[name] ?? []), await way()]
    }
    const ratio = (/** @type {string} */ a, /** @type {string} */ b) =>
      median((rates[a] ?? []).map((rate, round) => rate / (rates[b]?.[round] ?? 0)))
    for (const [name, list] of Object.entries(rates)) {
      console.log(`${name.padEnd(44)} ${`${Math.round(median(list))}/s`.padStart(24)}`)
    }
    const alone = ratio('raw', 'one client')
    const tasks = ratio('32 tasks', 'one client')
    const threads = ratio('four threads', 'one thread')
    const ofBare = ratio('four threads', 'four bare threads')
    report('one client ÷ raw append and fdatasync, time', alone.toFixed(2), '≤ 1.25', alone <= 1.25)
    report('32 tasks ÷ one client, commits per second', tasks.toFixed(1), '≥ 10', tasks >= 10)
    report('four threads ÷ one thread, commits per second', threads.toFixed(2), '≥ 3', threads >= 3)
    report('four threads ÷ four bare threads', ofBare.toFixed(2), '≥ 0.7', ofBare >= 0.7)
    await one.close()
    await four.close()
    await bare.close()
    await opened.close()
    closeSync(raw)
  })
}
