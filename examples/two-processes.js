/**
 * Two processes share one store through a server: one writes, the other is told what changed and reads it.
 *
 *     npx shootout serve file:./data.log --listen unix:/tmp/s.sock
 *     node examples/two-processes.js unix:/tmp/s.sock
 */

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { loadStorageModule, openStorage, storageUrl } from 'shootout'
import { noTid, parseOptions, rootOid } from 'shootout/storage'

const [address, isWriter] = process.argv.slice(2)
if (address === undefined) throw new Error('say where the server is: two-processes.js unix:/tmp/s.sock')

const zeo = await loadStorageModule(storageUrl('zeo'))
const storage = await openStorage(zeo, parseOptions('zeo', zeo.options, { address }))
const instance = await storage.newInstance()
await instance.pollInvalidations()

if (isWriter) {
  for (let count = 1; count <= 3; count++) {
    const [root] = await instance.loadMany([rootOid])
    const transaction = instance.begin()
    await transaction.store(
      rootOid,
      root?.serial ?? noTid,
      new TextEncoder().encode(`written ${count} times`),
    )
    await (await transaction.vote()).finish()
    await instance.pollInvalidations()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
} else {
  const writer = fork(fileURLToPath(import.meta.url), [address, 'writer'])
  const ended = new Promise((resolve) => writer.once('exit', resolve))
  let last = ''
  for (let isRunning = true; isRunning; ) {
    isRunning =
      (await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 10, 'goes on'))])) ===
      'goes on'
    const changed = await instance.pollInvalidations()
    if (changed === 'all' || changed.has(rootOid)) {
      const { data, serial } = await instance.load(rootOid)
      last = new TextDecoder().decode(data)
      console.log(`process ${writer.pid} changed object ${rootOid} in transaction ${serial}: ${last}`)
    }
    await instance.afterCompletion()
  }
  if (last !== 'written 3 times') process.exitCode = 1
}
await storage.close()
