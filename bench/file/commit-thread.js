/** One thread of commit.js: runs a batch each time it is told to. */

import { parentPort, workerData } from 'node:worker_threads'
import { commitsPerSecond } from './commit.js'
import { context, file } from './support.js'

const storage = await file.open(workerData.options, context, workerData.state)

/** @param {unknown} message */
async function answer(message) {
  if (message === 'close') {
    await storage.close()
    return 0
  }
  return commitsPerSecond(storage, 1, workerData.firstOid)
}

parentPort?.on('message', (message) => {
  void answer(message).then((result) => parentPort?.postMessage(result))
})
parentPort?.postMessage(0)
