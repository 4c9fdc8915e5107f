/**
 * A process whose threads use a log and are terminated while they hold something. Prints what the others can do then.
 * Started by the test beside it; plain JavaScript, so that it runs as it is.
 */

import { existsSync, readdirSync, writeSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** @type {{ dist: string, path: string, holds: 'vote' | 'readCurrent' | 'snapshot' | 'blob' | 'leader' | 'pack' | 'mutex' }} */
const job = isMainThread ? JSON.parse(process.argv[2] ?? '') : workerData.job
const { default: file } = await import(`${job.dist}storages/file/index.js`)
const { word } = await import(`${job.dist}storages/file/shared-state.js`)
const { parseOptions } = await import(`${job.dist}core/options.js`)
const { systemClock } = await import(`${job.dist}core/clock.js`)

const context = { clock: systemClock, log: () => {} }
const options = parseOptions('file', file.options, { path: job.path, claimWait: '20s' })
const encoder = new TextEncoder()

if (isMainThread) await survive()
else await holdForEver()

/** @param {any} instance @param {Record<number, string>} changes */
async function commit(instance, changes) {
  instance.pollInvalidations()
  const transaction = instance.begin()
  try {
    for (const [oid, value] of Object.entries(changes)) {
      const [revision] = instance.loadMany([Number(oid)])
      transaction.store(Number(oid), revision?.serial ?? 0, encoder.encode(value))
    }
    await (await transaction.vote()).finish()
  } finally {
    transaction.abort()
    instance.afterCompletion()
  }
}

async function survive() {
  const shared = await file.share(options, context)
  const storage = await file.open(options, context, shared.state)
  const instance = storage.newInstance()
  await commit(instance, { 1: 'a', 2: 'a' })
  const worker = new Worker(new URL(import.meta.url), { workerData: { job, state: shared.state } })
  await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  await worker.terminate()
  /** @type {Record<string, unknown>} */
  const report = {}
  try {
    await commit(instance, { 1: 'b', 2: 'b' })
    await commit(instance, { 1: 'c' })
    const { removedRevisions } = await storage.pack({ before: storage.lastTid })
    report['removedRevisions'] = removedRevisions
  } catch (/** @type {any} */ error) {
    report['code'] = error.code
  }
  instance.pollInvalidations()
  report['value'] = new TextDecoder().decode(instance.load(1).data)
  const held = [word.syncing, word.packing, word.checkpointing]
  /** @type {Int32Array} */
  const words = storage.log.words
  report['isHeld'] = held.some((at) => Atomics.load(words, at) !== 0)
  await storage.close()
  await shared.close()
  const again = await file.share(options, context)
  const reopened = await file.open(options, context, again.state)
  await commit(reopened.newInstance(), { 1: 'after opening' })
  await reopened.close()
  await again.close()
  report['blobFiles'] = existsSync(`${job.path}.blobs`) ? readdirSync(`${job.path}.blobs`) : []
  writeSync(1, JSON.stringify(report))
}

async function holdForEver() {
  const storage = await file.open(options, context, workerData.state)
  const instance = storage.newInstance()
  instance.pollInvalidations()
  const transaction = instance.begin()
  const { serial } = instance.load(1)
  const { seats, words, mutex } = storage.log
  switch (job.holds) {
    case 'vote':
      transaction.store(1, serial, encoder.encode('never'))
      await transaction.vote()
      break
    case 'readCurrent':
      transaction.readCurrent(1, serial)
      await transaction.vote()
      break
    case 'blob':
      await transaction.storeBlob(1, serial, encoder.encode('never'), [new Uint8Array(1000)])
      break
    case 'leader':
      Atomics.store(words, word.syncing, seats.own)
      break
    case 'pack':
      Atomics.store(words, word.packing, seats.own)
      Atomics.store(words, word.checkpointing, seats.own)
      break
    case 'mutex':
      mutex.lock()
      break
  }
  parentPort?.postMessage('ready')
  setInterval(() => {}, 1000)
}
