/**
 * One writer of writers.js: warms up, and then, each time it is told for how long, ms, it commits as fast as it can, or
 * asks a floor.
 */

import { commitOnce, connectFloor, fill, openClient, sample, warmCalls } from './support.js'

const [place = '', kind] = process.argv.slice(2)
const data = new Uint8Array(400).fill(7)

async function openWriter() {
  if (kind === 'floor') {
    const floor = await connectFloor(place)
    return () => floor.trip(500, 40)
  }
  const instance = await (await openClient(place, { cacheBytesLimit: '8mb' })).newInstance()
  const oids = await fill(instance, 1, data.length)
  return () => commitOnce(instance, oids, data)
}

const work = await openWriter()
/** @param {number} ms */
async function batch(ms) {
  const from = performance.now()
  const cpu = process.cpuUsage()
  let count = 0
  for (; performance.now() - from < ms; count++) await work()
  const { user, system } = process.cpuUsage(cpu)
  process.send?.({ perSecond: (count / (performance.now() - from)) * 1000, cpuUs: (user + system) / count })
}

await sample(warmCalls, work)
process.on('message', (/** @type {number} */ ms) => void batch(ms))
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
