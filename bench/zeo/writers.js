/**
 * Transactions per second of 1, 2, 4 and 8 writers, each a process of its own that changes its own object, against bare
 * round trips by as many processes; and with a flush to the disk for each commit, against a bare append and
 * `fdatasync`.
 */

import { fork } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inFolder, median, note, openFloor, report, shown, withServer } from './support.js'

const turns = Number(process.argv[2] ?? 5)
const durabilities = process.argv[3]?.split(',') ?? ['os', 'full']
const batchMs = 600
const target = 5000

/** @param {string} place of a server, or of a floor @param {string} kind @param {number} count */
async function startWriters(place, kind, count) {
  const script = fileURLToPath(new URL('./writer.js', import.meta.url))
  const writers = Array.from({ length: count }, () => fork(script, [place, kind]))
  /** @returns {Promise<any[]>} */
  const answers = () =>
    Promise.all(writers.map((writer) => new Promise((done) => writer.once('message', done))))
  await answers()
  return {
    /** Per second, all together, and processor time of one, µs. @param {number} [only] so many of them */
    async batch(only = count) {
      const chosen = writers.slice(0, only)
      const answered = Promise.all(
        chosen.map((writer) => new Promise((done) => writer.once('message', done))),
      )
      for (const writer of chosen) writer.send(batchMs)
      const heard = /** @type {{ perSecond: number, cpuUs: number }[]} */ (await answered)
      return { perSecond: heard.reduce((sum, one) => sum + one.perSecond, 0), cpuUs: heard[0]?.cpuUs ?? 0 }
    },
    close() {
      for (const writer of writers) writer.disconnect()
    },
  }
}

/** @param {string} folder */
function syncsPerSecond(folder) {
  const file = openSync(join(folder, 'raw'), 'w')
  const record = Buffer.alloc(500, 7)
  const from = performance.now()
  let count = 0
  for (; performance.now() - from < batchMs; count++) {
    writeSync(file, record)
    fdatasyncSync(file)
  }
  closeSync(file)
  return (count / (performance.now() - from)) * 1000
}

for (const durability of durabilities) {
  await inFolder((folder) =>
    withServer({ serve: 'file', durability }, async (served) => {
      const floor = await openFloor('unix', folder)
      const writers = await startWriters(served.address, 'zeo', 8)
      const bare = await startWriters(floor.place, 'floor', 8)
      for (const count of [1, 2, 4, 8]) {
        /** @type {Record<'bare' | 'syncs' | 'commits' | 'client' | 'server', number[]>} */
        const found = { bare: [], syncs: [], commits: [], client: [], server: [] }
        for (let turn = 0; turn < turns; turn++) {
          found.bare.push((await bare.batch(count)).perSecond)
          if (durability === 'full') found.syncs.push(syncsPerSecond(folder))
          const [commitsBefore, cpuBefore] = [(await served.status()).commits, await served.cpuUs()]
          const { perSecond, cpuUs } = await writers.batch(count)
          found.commits.push(perSecond)
          found.client.push(cpuUs)
          found.server.push(
            ((await served.cpuUs()) - cpuBefore) / ((await served.status()).commits - commitsBefore),
          )
        }
        const perSecond = median(found.commits)
        const trips = `${shown(perSecond)}/s, bare round trips ${shown(median(found.bare))}/s`
        const isTarget = durability === 'os' && count === 8
        report(
          `${count} writers, durability=${durability}`,
          durability === 'os' ? trips : `${trips}, bare syncs ${shown(median(found.syncs))}/s`,
          isTarget ? `≥ ${target}/s` : 'none: see the floor',
          !isTarget || perSecond >= target,
        )
        note(
          'processor time of a transaction',
          `client ${shown(median(found.client))} µs, server ${shown(median(found.server))} µs`,
        )
      }
      writers.close()
      bare.close()
      floor.close()
    }),
  )
}
