/**
 * A thread that works on a shared state cache: adds, reads, deletes and clears as its seed says. Every revision carries
 * its oid, its tid and a checksum of its bytes, so that a torn or mixed-up read cannot go unnoticed.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { crc32 } from 'node:zlib'

const { cacheUrl, memory, gate, seed, operations, objects } = workerData
const { StateCache } = await import(cacheUrl)
const cache = new StateCache(memory)

let state = (seed * 2654435761) >>> 0 || 1
/** @param {number} limit */
function random(limit) {
  state ^= state << 13
  state ^= state >>> 17
  state = (state ^ (state << 5)) >>> 0
  return state % limit
}

/**
 * 16 bytes of head, then bytes that depend on all of it. Every writer of a revision writes the same.
 * @param {number} oid @param {number} tid
 */
function revision(oid, tid) {
  const data = Buffer.alloc(16 + ((oid * 31 + tid * 17) % 900), (oid * 7 + tid) & 0xff)
  data.writeUInt32LE(oid, 0)
  data.writeUInt32LE(tid, 4)
  data.writeUInt32LE(data.length, 8)
  data.writeUInt32LE(crc32(data.subarray(16), oid ^ tid), 12)
  return data
}

/** @param {{ serial: number, data: Uint8Array }} found @param {number} oid @param {number} tid */
function problemOf(found, oid, tid) {
  const data = Buffer.from(found.data.buffer, found.data.byteOffset, found.data.length)
  if (found.serial !== tid || data.readUInt32LE(0) !== oid || data.readUInt32LE(4) !== tid) {
    return `object ${oid} at ${tid}: got object ${data.readUInt32LE(0)} at ${data.readUInt32LE(4)}`
  }
  if (data.readUInt32LE(8) !== data.length) return `object ${oid} at ${tid}: ${data.length} bytes`
  return data.readUInt32LE(12) === crc32(data.subarray(16), oid ^ tid)
    ? undefined
    : `object ${oid} at ${tid}: torn`
}

/** @type {string[]} */
const problems = []
/** @type {{ found: { serial: number, data: Uint8Array }, oid: number }[]} */
const kept = []
Atomics.add(gate, 0, 1)
Atomics.notify(gate, 0)
while (Atomics.load(gate, 0) < gate[1]) Atomics.wait(gate, 0, Atomics.load(gate, 0), 100)

for (let operation = 0; operation < operations; operation++) {
  const oid = random(objects)
  const tid = 1 + random(6)
  const choice = random(1000)
  if (choice < 300) cache.add(oid, tid, revision(oid, tid), tid)
  else if (choice < 980) {
    const found = choice < 700 ? cache.get(oid, tid, tid + random(3)) : cache.find(oid, tid, tid)
    if (found === undefined) continue
    const problem = problemOf(found, oid, choice < 700 ? tid : found.serial)
    if (problem !== undefined) problems.push(problem)
    // Some results are looked at again much later: they must still be what they were.
    if (choice < 310 && kept.length < 1000) kept.push({ found, oid })
  } else if (choice < 999) cache.delete(oid, tid)
  else if (random(50) === 0) cache.clear()
}
for (const { found, oid } of kept) {
  const problem = problemOf(found, oid, found.serial)
  if (problem !== undefined) problems.push(`later: ${problem}`)
}
parentPort?.postMessage({ problems: problems.slice(0, 5), statistics: cache.statistics() })
