/**
 * One object of 100 MB, there and back, against as many bytes over a bare socket; and the most memory that client and
 * server took meanwhile, by the system's own account (Linux).
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  inFolder,
  inTurns,
  median,
  note,
  openClient,
  openFloor,
  report,
  sample,
  shown,
  withServer,
} from './support.js'

const turns = Number(process.argv[2] ?? 5)
const megabytes = 100
const objectBytes = megabytes * 1e6

setFlagsFromString('--expose-gc')
/** @type {() => void} */
const collect = runInNewContext('gc')

/** @param {string} name of a line @param {number | 'self'} pid */
function memoryOf(name, pid) {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? Number.NaN) * 1024
}

/** The most memory taken while `work` runs, beyond what was taken before. @param {readonly (number | 'self')[]} pids */
async function peaks(pids, work = async () => {}) {
  collect()
  // 5: the high-water mark is what is taken now.
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5')
  const before = pids.map((pid) => memoryOf('VmRSS', pid))
  await work()
  return pids.map((pid, index) => (memoryOf('VmHWM', pid) - (before[index] ?? 0)) / objectBytes)
}

await inFolder((folder) =>
  withServer({}, async (served) => {
    const floor = await openFloor('unix', folder)
    const storage = await openClient(served.address)
    const instance = await storage.newInstance()
    await instance.pollInvalidations()
    const [oid] = await instance.newOids(1)
    /** Cleared by hand, so that no other than the present one is alive. @type {{ data: Uint8Array | undefined }} */
    const held = { data: undefined }
    let serial = 0
    const store = async () => {
      await instance.pollInvalidations()
      const transaction = instance.begin()
      transaction.store(oid, serial, held.data)
      serial = (await transaction.commit()).tid
      await instance.afterCompletion()
    }
    const load = async () => {
      await instance.pollInvalidations()
      const { data } = await instance.load(oid)
      if (data.length !== objectBytes || data[objectBytes - 1] !== 5) throw new Error('wrong data')
      held.data = data
      await instance.afterCompletion()
    }
    const pids = /** @type {const} */ (['self', served.pid])
    if (process.platform === 'linux') {
      const stored = await peaks(pids, async () => {
        held.data = new Uint8Array(objectBytes).fill(5)
        await store()
      })
      held.data = undefined
      const loaded = await peaks(pids, load)
      for (const [what, [client = 0, server = 0]] of /** @type {const} */ ([
        ['store', stored],
        ['load', loaded],
      ])) {
        // The server keeps what is stored, and sends from there.
        report(
          `memory to ${what} ${megabytes} MB, client`,
          `${shown(client)} × the object`,
          '≤ 1.2 ×',
          client <= 1.2,
        )
        report(
          `memory to ${what} ${megabytes} MB, server`,
          `${shown(server)} × the object`,
          '≤ 1.2 ×',
          server <= 1.2,
        )
      }
    } else {
      note('memory', 'not measured: this system does not say')
      held.data = new Uint8Array(objectBytes).fill(5)
      await store()
    }
    const data = new Uint8Array(objectBytes).fill(5)
    /** @type {Record<string, { client: number, server: number }>} */
    const cpu = {}
    /** Bytes per µs are megabytes per second. @param {string} name @param {() => Promise<unknown>} work */
    const speed = async (name, work) => {
      const [client, server] = [process.cpuUsage(), await served.cpuUs()]
      const [us = Number.NaN] = await sample(1, work)
      const { user, system } = process.cpuUsage(client)
      cpu[name] = { client: (user + system) / 1000, server: ((await served.cpuUs()) - server) / 1000 }
      held.data = undefined
      collect()
      return [objectBytes / us]
    }
    const found = await inTurns(turns, {
      'bare there': () => speed('bare there', () => floor.trip(objectBytes, 40)),
      store: () => {
        held.data = data
        return speed('store', store)
      },
      'bare back': () => speed('bare back', () => floor.trip(40, objectBytes)),
      load: () => speed('load', load),
    })
    for (const [what, bare] of /** @type {const} */ ([
      ['store', 'bare there'],
      ['load', 'bare back'],
    ])) {
      const perSecond = median(found[what])
      report(
        `${what} an object of ${megabytes} MB`,
        `${shown(perSecond)} MB/s, bare ${shown(median(found[bare]))} MB/s`,
        '≥ 500 MB/s',
        perSecond >= 500,
      )
      const { client = 0, server = 0 } = cpu[what] ?? {}
      note('processor time', `client ${shown(client)} ms, server ${shown(server)} ms`)
    }
    await storage.close()
    floor.close()
  }),
)
