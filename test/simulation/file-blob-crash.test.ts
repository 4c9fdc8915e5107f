/**
 * Losing power, or the process, at any operation of commits and packs with blobs: what was confirmed is there with its
 * blobs, of everything else all or nothing is, and no file is left that belongs to nothing.
 */

import { expect, test } from 'vitest'
import { describeError } from '../../src/core/errors.ts'
import { noTid, type Oid, rootOid, type Tid } from '../../src/core/ids.ts'
import { Random } from '../../src/core/random.ts'
import { blobsFolder } from '../../src/storages/file/blob-file.ts'
import { commit, type OpenedLog, oid, openSimulated, text } from '../storages/file/support.ts'
import { SimulatedFileSystem } from './simulated-file-system.ts'

const path = '/disk/data.log'
const folder = blobsFolder(path)

/** The blob of a revision says which it is: its size and its content follow from the text of the object. */
function blobOf(label: string): Uint8Array {
  const random = new Random(label)
  return new Uint8Array(random.integer(3) === 0 ? 66_000 : random.integer(1500)).fill(random.integer(256))
}

/** What each object may hold: what was confirmed last, and what was tried since. */
type Expected = Map<Oid, Set<string | undefined>>

/** Commits `labels`; those that begin with `blob` have a blob. */
async function write(
  opened: OpenedLog,
  expected: Expected,
  labels: Readonly<Record<number, string>>,
): Promise<Tid> {
  const changes = Object.entries(labels).map(([id, label]) => [oid(Number(id)), label] as const)
  for (const [id, label] of changes) expected.set(id, new Set([...(expected.get(id) ?? [undefined]), label]))
  const instance = opened.storage.newInstance()
  try {
    instance.pollInvalidations()
    const transaction = instance.begin()
    for (const [id, label] of changes) {
      const serial = instance.loadMany([id])[0]?.serial ?? noTid
      const data = new TextEncoder().encode(label)
      if (!label.startsWith('blob')) transaction.store(id, serial, data)
      else await transaction.storeBlob(id, serial, data, [blobOf(label)])
    }
    const tid = await (await transaction.vote()).finish()
    for (const [id, label] of changes) expected.set(id, new Set([label]))
    return tid
  } finally {
    instance.release()
  }
}

async function abortOne(opened: OpenedLog): Promise<void> {
  const instance = opened.storage.newInstance()
  instance.pollInvalidations()
  const transaction = instance.begin()
  await transaction.storeBlob(oid(9), noTid, new Uint8Array(1), [new Uint8Array(3000)])
  await transaction.storeBlob(oid(9), noTid, new Uint8Array(1), [new Uint8Array(300)])
  await transaction.vote()
  instance.release()
}

async function workload(files: SimulatedFileSystem, seed: string, expected: Expected): Promise<void> {
  const opened = await openSimulated(files, path)
  await write(opened, expected, { 0: 'root>1,2', 1: 'plain' })
  await write(opened, expected, { 1: `blob ${seed}`, 2: `blob ${seed} 2` })
  await abortOne(opened)
  const replaced = await write(opened, expected, { 1: `blob ${seed} 3`, 8: `blob ${seed} garbage` })
  expected.get(oid(1))!.add(`blob ${seed}`)
  expected.get(oid(8))!.add(undefined)
  const instance = opened.storage.newInstance()
  instance.pollInvalidations()
  const transaction = instance.begin()
  transaction.undo(replaced)
  await (await transaction.vote()).finish()
  expected.set(oid(1), new Set([`blob ${seed}`]))
  instance.release()
  const packing = opened.storage.pack({
    before: opened.storage.lastTid,
    references: (data) => (text(data).startsWith('root') ? [oid(1), oid(2)] : []),
  })
  const outcomes = await Promise.allSettled([packing, write(opened, expected, { 2: `blob ${seed} during` })])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  await opened.close()
}

/** Returns every file afterwards. */
async function verify(files: SimulatedFileSystem, expected: Expected): Promise<string> {
  const opened = await openSimulated(files, path)
  const named = new Set<string>()
  for await (const { records } of opened.storage.iterate()) {
    for (const { data, blob } of records) {
      const label = data === null ? '' : text(data)
      expect(blob !== undefined).toBe(label.startsWith('blob'))
      if (blob === undefined) continue
      const chunks: Uint8Array[] = []
      for await (const chunk of blob.chunks()) chunks.push(chunk)
      expect(Buffer.compare(Buffer.concat(chunks), blobOf(label)), `the blob of ${label}`).toBe(0)
      named.add(label)
    }
  }
  const instance = opened.storage.newInstance()
  instance.pollInvalidations()
  for (const [id, labels] of expected) {
    const [revision] = instance.loadMany([id])
    expect([...labels], `object ${id}`).toContain(revision && text(revision.data))
  }
  expect(files.list(folder).length, 'files, all of which belong to something').toBe(named.size)
  await opened.close()
  const lines = [...files.snapshot()].map(([name, data]) => `${name} ${Buffer.from(data).toString('base64')}`)
  return lines.sort().join('\n')
}

test('wherever power is lost or the process is killed, blobs are whole, and none is left over', async () => {
  for (const seed of ['b']) {
    const whole = new SimulatedFileSystem(new Random(seed))
    await workload(whole, seed, new Map())
    expect(whole.list(folder).length, 'after closing').toBe(3)
    expect(whole.operations).toBeGreaterThan(70)
    for (let stopAt = 1; stopAt <= whole.operations; stopAt++) {
      const files = new SimulatedFileSystem(new Random(seed), { stopAt, shortWrites: 0.1 })
      const expected: Expected = new Map()
      await workload(files, seed, expected).catch(() => {})
      for (let outcome = 0; outcome < 3; outcome++) {
        const label = `${seed}/${stopAt}/${outcome}`
        const random = new Random(label)
        // The kill last: what is written after it goes to the same files.
        const left = outcome === 2 ? files.afterKill(random) : files.afterPowerLoss(random)
        try {
          const first = await verify(left, expected)
          expect(await verify(left.afterKill(random), expected)).toBe(first)
          const opened = await openSimulated(left, path)
          await write(opened, new Map(expected), { 1: 'blob after it' })
          await opened.close()
        } catch (error) {
          const message = `stopped at operation ${stopAt}, outcome ${label}: ${describeError(error)}`
          throw new Error(message, { cause: error })
        }
      }
    }
  }
}, 120_000)

test('a log without blobs gets its new version with the first one, and is whole wherever power is lost', async () => {
  const plain = new SimulatedFileSystem(new Random('plain'))
  const opened = await openSimulated(plain, path)
  await commit(opened.storage.newInstance(), { [rootOid]: 'root' })
  await opened.close()
  const versionOf = (files: SimulatedFileSystem) => Buffer.from(files.snapshot().get(path)!).readUInt32BE(8)
  expect(versionOf(plain)).toBe(1)
  const use = async (files: SimulatedFileSystem) => {
    const again = await openSimulated(files, path)
    await write(again, new Map(), { 1: 'blob' })
    await again.close()
  }
  const whole = plain.afterKill(new Random('whole'))
  await use(whole)
  expect(versionOf(whole)).toBe(2)
  for (let stopAt = 1; stopAt <= whole.operations; stopAt++) {
    const files = plain.afterPowerLoss(new Random(`${stopAt}`), { stopAt })
    await use(files).catch(() => {})
    for (let outcome = 0; outcome < 4; outcome++) {
      const left = files.afterPowerLoss(new Random(`${stopAt}/${outcome}`))
      const found = await openSimulated(left, path)
      const instance = found.storage.newInstance()
      instance.pollInvalidations()
      expect(text(instance.load(rootOid).data)).toBe('root')
      if (instance.loadMany([oid(1)])[0] !== undefined) expect(versionOf(left)).toBe(2)
      await found.close()
    }
  }
})

test('a full disk, or one that does not confirm, fails the blob, and the next one works', async () => {
  const files = new SimulatedFileSystem(new Random('faults'))
  const opened = await openSimulated(files, path)
  const expected: Expected = new Map()
  await write(opened, expected, { 1: 'blob first' })
  files.faults = { bytesFree: 20_000 }
  const large = { 1: 'blob too large' }
  expect(blobOf(large[1]).length).toBeGreaterThan(60_000)
  await expect(write(opened, new Map(), large)).rejects.toMatchObject({ code: 'disk-full' })
  files.faults = { failingSyncs: new Set([files.syncs + 1]) }
  await expect(write(opened, new Map(), { 1: 'blob' })).rejects.toMatchObject({ code: 'write-failed' })
  files.faults = {}
  expect(files.list(folder).length).toBe(2)
  await write(opened, expected, { 1: 'blob second' })
  await opened.close()
  await verify(files, expected)
})
