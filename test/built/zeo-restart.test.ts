/** A client with a cache, whose server is killed while others go on, through another server process on the same store. */

import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Oid } from '../../src/core/ids.ts'
import { parseOptions } from '../../src/core/options.ts'
import { openStorage } from '../../src/storages/open.ts'
import type { Storage, StorageInstance } from '../../src/storages/storage.ts'
import zeo from '../../src/storages/zeo/index.ts'
import { bytes, read, remove, write } from '../storages/zeo/harness.ts'
import { kill, TestProcesses } from './processes.ts'

const processes = new TestProcesses('zeo-restart')
const objects = Array.from({ length: 30 }, (_, index) => (index + 1) as Oid)

const startServer = (socket?: string) => processes.startServer(socket === undefined ? {} : { socket })

const open = (given: Record<string, unknown> = {}) =>
  openStorage(zeo, parseOptions('zeo', zeo.options, { address: processes.address(), wait: '20s', ...given }))

/** What others do while the first server is dead, through a server of their own, which is killed too. */
async function elsewhere(work: (instance: StorageInstance) => Promise<unknown>): Promise<void> {
  const server = await startServer('elsewhere')
  const storage = await open({ address: processes.address('elsewhere') })
  await work(await storage.newInstance())
  await kill(server)
  await storage.close()
}

async function readAll(storage: Storage, instance: StorageInstance) {
  const before = storage.counters()
  const found = (await instance.loadMany(objects)).map((one) =>
    one === undefined ? undefined : new TextDecoder().decode(one.data),
  )
  const { backendLoads, roundTrips } = storage.counters()
  return {
    found,
    loads: backendLoads - before.backendLoads,
    roundTrips: roundTrips - before.roundTrips,
  }
}

/** A client, and all objects, whose content is their number. */
async function filled() {
  const storage = await open()
  const instance = await storage.newInstance()
  for (const oid of objects) await write(instance, oid, `${oid}`)
  return { storage, instance }
}

test('what others did through another server is told after the restart; the cache is used for all else', async () => {
  let server = await startServer()
  const { storage, instance } = await filled()
  const expected: (string | undefined)[] = objects.map((oid) => `${oid}`)
  await instance.pollInvalidations()
  for (const round of [1, 2]) {
    await kill(server)
    await elsewhere(async (other) => {
      await write(other, objects[round]!, `round ${round}`)
      await write(other, 99 as Oid, `round ${round}`)
      await remove(other, objects[10 + round]!)
    })
    server = await startServer()
    const changed = [objects[round]!, 99 as Oid, objects[10 + round]!]
    const report = await instance.pollInvalidations()
    // A deletion of before may be told again: it has left nothing that says when it was.
    expect(new Set([...report].filter((oid) => oid !== objects[10 + round - 1]))).toEqual(new Set(changed))
    expected[round] = `round ${round}`
    expected[10 + round] = undefined
    const { found, loads, roundTrips } = await readAll(storage, instance)
    expect(found).toEqual(expected)
    // The changed object, and in one request with it those that do not exist.
    expect([loads, roundTrips]).toEqual([1, 1])
    await write(instance, objects[20]!, `mine ${round}`)
    expected[20] = `mine ${round}`
    await instance.pollInvalidations()
  }
  await storage.close()
})

test('a server killed during a commit: the cache knows afterwards what became of it', async () => {
  let server = await startServer()
  const { storage, instance } = await filled()
  for (let round = 0; round < 3; round++) {
    await instance.pollInvalidations()
    const transaction = instance.begin()
    const [known] = await instance.loadMany([objects[0]!])
    await transaction.store(objects[0]!, known!.serial, bytes(`round ${round}`))
    const committing = Promise.resolve(transaction.commit!()).then(
      () => 'committed',
      () => 'lost',
    )
    await kill(server)
    server = await startServer()
    const outcome = await committing
    await transaction.abort()
    // Another client, without a cache, has the truth.
    const plain = await open({ cacheBytesLimit: 0 })
    const truth = await read(await plain.newInstance(), objects[0]!)
    await plain.close()
    expect(await read(instance, objects[0]!)).toBe(truth)
    if (outcome === 'committed') expect(truth).toBe(`round ${round}`)
  }
  await storage.close()
})

test('a backup that was put in its place and has gone its own way is not believed', async () => {
  const server = await startServer()
  const { storage, instance } = await filled()
  copyFileSync(join(processes.folder, 'data.log'), join(processes.folder, 'backup.log'))
  await write(instance, objects[4]!, 'since the backup')
  await instance.pollInvalidations()
  await kill(server)
  copyFileSync(join(processes.folder, 'backup.log'), join(processes.folder, 'data.log'))
  rmSync(join(processes.folder, 'data.log.index'), { force: true })
  await elsewhere((other) => write(other, objects[5]!, 'after the backup'))
  await startServer()
  expect(await instance.pollInvalidations()).toBe('all')
  const { found } = await readAll(storage, instance)
  expect(found).toEqual(objects.map((oid) => (oid === objects[5] ? 'after the backup' : `${oid}`)))
  await storage.close()
})
