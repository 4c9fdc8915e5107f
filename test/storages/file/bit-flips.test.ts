/** The bit-flip matrix: one flipped bit anywhere in the files of a store is noticed, and never served as data. */

import { expect, test } from 'vitest'
import { ShootoutError } from '../../../src/core/errors.ts'
import { noTid, type Oid } from '../../../src/core/ids.ts'
import { Random } from '../../../src/core/random.ts'
import { SimulatedFileSystem } from '../../simulation/simulated-file-system.ts'
import { bytes, commit, type OpenedLog, oid, openSimulated, text } from './support.ts'

const path = '/disk/data.log'

async function makeStore(): Promise<Map<string, Uint8Array>> {
  const files = new SimulatedFileSystem(new Random('bit flips'))
  const opened = await openSimulated(files, path)
  const instance = opened.storage.newInstance()
  await commit(instance, { 0: 'root', 1: 'one', 2: 'x'.repeat(100) })
  await commit(instance, { 1: 'one, changed', 3: 'three' })
  await commit(instance, { 2: null, 3: 'three, changed' })
  await opened.close()
  return files.snapshot()
}

const expected: Readonly<Record<number, string | undefined>> = {
  0: 'root',
  1: 'one, changed',
  2: undefined,
  3: 'three, changed',
}

interface Outcome {
  /** An error, or a message for a person. */
  noticed: boolean
  refused: boolean
}

/** Opens, loads everything, reads the whole log. Throws when something wrong is served. */
async function use(contents: ReadonlyMap<string, Uint8Array>): Promise<Outcome> {
  const files = new SimulatedFileSystem(new Random('bit flips'))
  for (const [name, content] of contents) files.put(name, content)
  let opened: Awaited<ReturnType<typeof openSimulated>>
  try {
    opened = await openSimulated(files, path)
  } catch (error) {
    expect(error).toBeInstanceOf(ShootoutError)
    return { noticed: true, refused: true }
  }
  const { storage, messages } = opened
  let noticed = messages.length > 0
  const instance = storage.newInstance()
  instance.pollInvalidations()
  const setAside = messages.some((message) => message.includes('moved to'))
  for (let oid = 0; oid < 4; oid++) {
    try {
      const [revision] = instance.loadMany([oid as Oid])
      // With the last transaction set aside, the state before it is right.
      if (!setAside) expect(revision && text(revision.data)).toBe(expected[oid])
    } catch (error) {
      expect(error).toMatchObject({ code: 'corrupt-data' })
      noticed = true
    }
  }
  try {
    let count = 0
    for await (const transaction of storage.iterate()) count += transaction.records.length
    expect(count).toBe(setAside ? 5 : 7)
  } catch (error) {
    expect(error).toMatchObject({ code: 'corrupt-data' })
    noticed = true
  }
  await opened.close()
  return { noticed, refused: false }
}

for (const [label, kept] of [
  ['with its checkpoint', [path, `${path}.index`]],
  ['without a checkpoint', [path]],
] as const) {
  test(`a flipped bit in a log ${label} is noticed`, async () => {
    const store = await makeStore()
    const files = new Map(kept.map((name) => [name, store.get(name)!]))
    expect(await use(files)).toEqual({ noticed: false, refused: false })
    let refused = 0
    for (let at = 0; at < files.get(path)!.length; at++) {
      const flipped = files.get(path)!.slice()
      flipped[at]! ^= 1 << (at % 8)
      const outcome = await use(new Map([...files, [path, flipped]]))
      expect(outcome.noticed, `byte ${at}`).toBe(true)
      if (outcome.refused) refused++
    }
    expect(refused).toBeGreaterThan(64)
  })
}

test('a flipped bit in a checkpoint is noticed, and costs nothing but time', async () => {
  const store = await makeStore()
  const index = store.get(`${path}.index`)!
  // The first page begins at 64; most of its slots are empty, so every seventh byte will do.
  for (let at = 0; at < index.length; at += at < 128 ? 1 : 7) {
    const flipped = index.slice()
    flipped[at]! ^= 1 << (at % 8)
    const outcome = await use(new Map([...store, [`${path}.index`, flipped]]))
    expect(outcome, `byte ${at}`).toEqual({ noticed: true, refused: false })
  }
})

test('a flipped bit in the file of a blob, or in the record that names it, is noticed', async () => {
  const files = new SimulatedFileSystem(new Random('blobs'))
  const opened = await openSimulated(files, path)
  const instance = opened.storage.newInstance()
  const blobs = [new Uint8Array(0), new Uint8Array(300).fill(7), new Uint8Array(66_000).fill(9)]
  for (const [at, blob] of blobs.entries()) {
    instance.pollInvalidations()
    const transaction = instance.begin()
    await transaction.storeBlob(oid(at), noTid, bytes('x'), [blob])
    await (await transaction.vote()).finish()
  }
  await commit(instance, { 9: 'plain' })
  await opened.close()
  const store = files.snapshot()

  /** True when something is noticed; throws when something wrong is read. */
  async function isNoticed(name: string, at: number): Promise<boolean> {
    const disk = new SimulatedFileSystem(new Random('blobs'))
    for (const [one, content] of store) {
      const copy = content.slice()
      if (one === name) copy[at]! ^= 1 << (at % 8)
      if (!one.endsWith('.index')) disk.put(one, copy)
    }
    let again: OpenedLog
    try {
      again = await openSimulated(disk, path)
    } catch (error) {
      expect(error).toMatchObject({ code: 'corrupt-data' })
      return true
    }
    let noticed = false
    const reading = again.storage.newInstance()
    reading.pollInvalidations()
    for (const [at, blob] of blobs.entries()) {
      try {
        const reader = reading.openBlob(oid(at))!
        expect(Buffer.compare(await reader.read(0, 100_000), blob)).toBe(0)
      } catch (error) {
        expect(error).toMatchObject({ code: 'corrupt-data' })
        noticed = true
      }
    }
    reading.release()
    await again.close()
    return noticed
  }

  expect(await isNoticed('none', 0)).toBe(false)
  const names = [...store.keys()].filter((name) => name.includes('.blobs/'))
  expect(names).toHaveLength(3)
  for (const name of names) {
    const { length } = store.get(name)!
    // Every byte of the small one; of the large one some of each block, and all checksums.
    for (let at = 0; at < length; at += length < 1000 || at >= 66_000 ? 1 : Math.min(4999, 66_000 - at)) {
      expect(await isNoticed(name, at), `byte ${at} of ${name}`).toBe(true)
    }
  }
  const records = store.get(path)!.length - 105
  for (let at = 64; at < records; at++) expect(await isNoticed(path, at), `byte ${at}`).toBe(true)
})
