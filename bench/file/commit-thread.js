/** One thread of commit.js: runs a batch each time it is told to. */

import { parentPort, workerData } from 'node:worker_threads'
import { commitsPerSecond } from './commit.js'
import { context, file } from './support.js'

const storage = await file.open(workerData.options, context, workerData.state)
parentPort?.on('message', async (message) => {
  if (message === 'close') {
    await storage.close()
    parentPort?.postMessage(0)
    return
  }
  parentPort?.postMessage(await commitsPerSecond(storage, 1, workerData.firstOid))
})
parentPort?.postMessage(0)
