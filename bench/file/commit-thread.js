/** One thread of commit.js: runs a batch each time it is told to, of commits or of bare appends. */

import { closeSync, openSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { barePerSecond, commitsPerSecond } from './commit.js'
import { context, file } from './support.js'

const { bare, count, words, options, state, firstOid } = workerData

const thread = bare === undefined ? await committing() : appending()

async function committing() {
  const storage = await file.open(options, context, state)
  return { batch: () => commitsPerSecond(storage, 1, firstOid), close: () => storage.close() }
}

function appending() {
  const appended = openSync(bare, 'a')
  const shared = new Int32Array(words)
  return { batch: () => barePerSecond(appended, count, shared), close: () => closeSync(appended) }
}

/** @param {unknown} message */
async function answer(message) {
  if (message !== 'close') return thread.batch()
  await thread.close()
  return 0
}

parentPort?.on('message', (message) => {
  void answer(message).then((result) => parentPort?.postMessage(result))
})
parentPort?.postMessage(0)
