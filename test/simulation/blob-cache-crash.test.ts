/**
 * The blob cache on a disk that fails (the fault model stands in simulated-file-system.ts).
 *
 * The promises that are checked after every failure: what is read is exactly what was stored, wherever it came from;
 * the files together are within the limit; nothing is left of what was under way; and the cache works on.
 */

import { expect, test } from 'vitest'
import { Random } from '../../src/core/random.ts'
import { BlobCache } from '../../src/storages/cache/blobs/blob-cache.ts'
import { keyOf, openBlob, pieceBytes, readBlob, StepClock } from '../storages/cache/cached-blobs.ts'
import { MachineStopped, SimulatedFileSystem } from './simulated-file-system.ts'

const bytesLimit = 120_000
const objects = 9
const sizeOf = (oid: number): number => oid * 5500

interface Machine {
  readonly files: SimulatedFileSystem
  readonly clock: StepClock
  /** Counts restarts: what ran before is gone. */
  readonly boot: number
}

function open({ files, clock, boot }: Machine, process: number): BlobCache {
  const mark = `${boot}-${process}-0`
  const isGone = (other: string): boolean => !other.startsWith(`${boot}-`)
  return new BlobCache({ files, path: '/cache', bytesLimit, clock, processes: { mark, isGone } }, () => {})
}

/** Two processes that read and commit blobs. The second one begins anew now and then. */
async function workload(machine: Machine, random: Random, steps: number): Promise<void> {
  const caches = [open(machine, 1), open(machine, 2)]
  for (let step = 0; step < steps; step++) {
    const process = random.integer(2)
    const cache = caches[process]!
    const key = keyOf(random.integer(objects), 1 + random.integer(2))
    const kind = random.integer(10)
    if (kind < 6) await readBlob(cache, key, sizeOf(key.oid))
    else if (kind < 7) {
      const { reader } = openBlob(cache, key, sizeOf(key.oid))
      await reader.read(random.integer(30_000), 10)
      await reader.close()
    } else if (kind < 9) await commit(cache, key.oid, key.tid, random)
    else {
      await cache.close()
      caches[process] = open(machine, process + 1)
    }
  }
  for (const cache of caches) await cache.close()
}

async function commit(cache: BlobCache, oid: number, tid: number, random: Random): Promise<void> {
  const key = keyOf(oid, tid)
  const copy = cache.incoming(pieceBytes)
  const { reader } = openBlob(cache, key, sizeOf(oid))
  const content = await reader.read(0, sizeOf(oid))
  await reader.close()
  if (copy === undefined) return
  const chunks: Uint8Array[] = []
  for (let at = 0; at < content.length; ) {
    const length = 1 + random.integer(15_000)
    chunks.push(content.subarray(at, at + length))
    at += length
  }
  for await (const _chunk of copy.copyOf(chunks)) {
    // Somebody else stores it.
  }
  if (random.integer(3) === 0) return copy.drop()
  await copy.place(key)
  copy.close()
}

/** What the next process finds. Returns how many blobs came from the cache. */
async function verifyLeft(machine: Machine): Promise<number> {
  const { files } = machine
  let hits = 0
  for (const process of [3, 4]) {
    const cache = open(machine, process)
    expect(files.list('/cache/incoming')).toEqual([])
    expect(bytesPlaced(files)).toBeLessThanOrEqual(bytesLimit)
    for (let oid = 0; oid < objects; oid++) {
      for (const tid of [1, 2]) {
        const { isHit, asked } = await readBlob(cache, keyOf(oid, tid), sizeOf(oid))
        if (isHit && asked === 0) hits++
      }
    }
    await cache.close()
  }
  expect(bytesPlaced(files)).toBeLessThanOrEqual(bytesLimit)
  expect(files.list('/cache/incoming')).toEqual([])
  expect(files.exists('/cache/lock')).toBe(false)
  expect((await readBlob(open(machine, 5), keyOf(8, 2), sizeOf(8))).isHit).toBe(true)
  return hits
}

function bytesPlaced(files: SimulatedFileSystem): number {
  return [...files.snapshot()]
    .filter(([name]) => name.endsWith('.blob'))
    .reduce((sum, [, content]) => sum + Math.ceil(content.length / 4096) * 4096, 0)
}

const start = (files: SimulatedFileSystem, boot = 0): Machine => {
  const clock = new StepClock()
  clock.ms += boot * 3_600_000
  return { files, clock, boot }
}

async function isStopped(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return false
  } catch (error) {
    if (error instanceof MachineStopped) return true
    throw error
  }
}

test('after a kill or a loss of power at any write, what is read is what was stored', async () => {
  let hits = 0
  let stops = 0
  for (let round = 0; round < 2; round++) {
    const seed = `blob cache crash ${round}`
    const make = () => new Random(seed)
    const whole = new SimulatedFileSystem(make().split('disk'))
    await workload(start(whole), make().split('work'), 60)
    expect(whole.operations).toBeGreaterThan(200)
    for (let stopAt = 1; stopAt <= whole.operations; stopAt += 1 + Math.min(stopAt >> 2, 24)) {
      const random = make().split(stopAt)
      const files = new SimulatedFileSystem(make().split('disk'), { stopAt, shortWrites: 0.1 })
      if (await isStopped(workload(start(files), make().split('work'), 60))) stops++
      try {
        hits += await verifyLeft(start(files.afterKill(random), 1))
        hits += await verifyLeft(start(files.afterPowerLoss(random), 1))
      } catch (error) {
        throw new Error(`seed "${seed}", stopped at ${stopAt}: ${(error as Error).message}`, { cause: error })
      }
    }
  }
  expect(stops).toBeGreaterThan(40)
  // It is no use to be right by having nothing.
  expect(hits).toBeGreaterThan(200)
})

test('a full disk ends the caching, not the reading', async () => {
  for (let bytesFree = 0; bytesFree < 200_000; bytesFree += 29_003) {
    const random = new Random(`blob cache full ${bytesFree}`)
    const files = new SimulatedFileSystem(random.split('disk'), { bytesFree })
    await workload(start(files), random.split('work'), 40)
    expect(bytesPlaced(files)).toBeLessThanOrEqual(bytesLimit)
    const after = files.afterKill(random)
    await verifyLeft(start(after, 1))
  }
})

test('bits that flip are never given out', async () => {
  const random = new Random('blob cache bits')
  let damaged = 0
  for (let round = 0; round < 25; round++) {
    const files = new SimulatedFileSystem(random.split(`disk ${round}`))
    await workload(start(files), random.split(`work ${round}`), 25)
    const names = [...files.snapshot()].filter(([, content]) => content.length > 0)
    const [name, content] = names[random.integer(names.length)]!
    content[random.integer(content.length)]! ^= 1 << random.integer(8)
    files.put(name, content)
    await verifyLeft(start(files, 1))
    damaged++
  }
  expect(damaged).toBe(25)
})
