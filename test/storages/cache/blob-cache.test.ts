/** The blob cache on real files: what is kept, what goes, and what is never served. */

import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { type FileSystem, realFileSystem } from '../../../src/core/file-system.ts'
import { isGone, processMark } from '../../../src/core/process-mark.ts'
import { BlobCache } from '../../../src/storages/cache/blobs/blob-cache.ts'
import { openBlobCache } from '../../../src/storages/cache/blobs/open.ts'
import { openContext } from '../../../src/storages/open.ts'
import { freshRandom } from '../../fresh-random.ts'
import { contentOf, keyOf, openBlob, pieceBytes, readBlob, StepClock } from './cached-blobs.ts'

let folder: string
const logged: string[] = []
const opened: BlobCache[] = []
const gone = new Set<string>()

beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'shootout-blob-cache-')), 'cache')
})

afterEach(async () => {
  for (const cache of opened.splice(0)) await cache.close()
  rmSync(dirname(folder), { recursive: true, force: true })
  logged.length = 0
  gone.clear()
})

interface Given {
  readonly bytesLimit?: number
  readonly mark?: string
  readonly files?: FileSystem
  readonly clock?: StepClock
}

/** As a process of that mark opens it. */
function open({
  bytesLimit = 400_000,
  mark = 'a-1-a',
  files = realFileSystem,
  clock,
}: Given = {}): BlobCache {
  const processes = { mark, isGone: (other: string) => gone.has(other) }
  const cache = new BlobCache(
    { files, path: folder, bytesLimit, clock: clock ?? systemClock, processes },
    (line) => logged.push(line),
  )
  opened.push(cache)
  return cache
}

const placed = (): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.blob'))
const incoming = (): string[] => readdirSync(join(folder, 'incoming'))
const bytesPlaced = (): number =>
  placed().reduce((sum, name) => sum + Math.ceil(statSync(join(folder, name)).size / 4096) * 4096, 0)

/** Everything that is on its way is there. */
async function settled(cache: BlobCache): Promise<void> {
  await cache.close()
}

/** Resolves when the cache has put that blob in its place, and is done with it. */
async function kept(oid: number): Promise<void> {
  await expect
    .poll(() => [placed().some((name) => name.includes(`-${oid}-`)), existsSync(join(folder, 'lock'))])
    .toEqual([true, false])
}

test('what was read once is there for the next process, of any size', async () => {
  const sizes = [0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 45_678]
  const first = open()
  for (const [oid, bytes] of sizes.entries()) {
    const pieces = Math.ceil(bytes / pieceBytes)
    expect(await readBlob(first, keyOf(oid), bytes)).toEqual({ isHit: false, asked: pieces })
  }
  await settled(first)
  const second = open({ mark: 'b-2-b' })
  for (const [oid, bytes] of sizes.entries()) {
    expect(await readBlob(second, keyOf(oid), bytes)).toEqual({ isHit: true, asked: 0 })
  }
  const content = sizes.reduce((sum, bytes) => sum + bytes)
  expect(first.counters()).toMatchObject({ hits: 0, misses: 6, bytesWritten: content })
  expect(second.counters()).toMatchObject({ hits: 6, misses: 0, bytesRead: content, damaged: 0 })
  expect(incoming()).toEqual([])
})

test('another revision, another object and another store are other blobs', async () => {
  const cache = open()
  await readBlob(cache, keyOf(1, 1, 'one'), 100)
  await settled(cache)
  const again = open()
  for (const key of [keyOf(1, 2, 'one'), keyOf(2, 1, 'one'), keyOf(257, 1, 'one'), keyOf(1, 1, 'two')]) {
    expect((await readBlob(again, key, 100)).isHit).toBe(false)
  }
  expect((await readBlob(again, keyOf(1, 1, 'one'), 100)).isHit).toBe(true)
})

test('a file under the name of another is not taken for it', async () => {
  const cache = open()
  await readBlob(cache, keyOf(1), 25_000)
  await settled(cache)
  const [name] = placed()
  renameSync(join(folder, name!), join(folder, name!.replace(/-1\.blob$/, '-2.blob')))
  const again = open()
  expect((await readBlob(again, keyOf(1, 2), 25_000)).isHit).toBe(false)
  expect(again.counters().damaged).toBe(1)
})

test('a reader that does not want all of it leaves nothing', async () => {
  const cache = open()
  const { reader, source } = openBlob(cache, keyOf(1), 50_000)
  expect(await reader.read(33_000, 10)).toEqual(contentOf(keyOf(1), 50_000).slice(33_000, 33_010))
  expect(source.asked).toBe(1)
  expect(incoming()).toHaveLength(1)
  await reader.close()
  expect([placed(), incoming(), source.isClosed]).toEqual([[], [], true])
})

test('the pieces may come in any order, and the source is let go with the last of them', async () => {
  const cache = open()
  const { reader, source } = openBlob(cache, keyOf(1), 45_000)
  for (const number of [4, 1, 0, 3]) await reader.read(number * pieceBytes, 1)
  expect(source.isClosed).toBe(false)
  await reader.read(2 * pieceBytes, 1)
  expect(source.isClosed).toBe(true)
  // It still answers, from the copy.
  expect((await reader.read(0, 45_000)).length).toBe(45_000)
  expect(source.asked).toBe(5)
  await reader.close()
  await settled(cache)
  expect((await readBlob(open(), keyOf(1), 45_000)).isHit).toBe(true)
})

test('readers that miss at once share one download, and one of them may go', async () => {
  const cache = open()
  const readers = Array.from({ length: 5 }, () => openBlob(cache, keyOf(1), 95_000))
  const leaving = openBlob(cache, keyOf(1), 95_000, async () => {
    throw new Error('the connection of this one was lost')
  })
  const failed = Promise.resolve(leaving.reader.read(0, 1))
  const others = readers.map(({ reader }) => reader.read(0, 95_000))
  await expect(failed).rejects.toThrow('was lost')
  await leaving.reader.close()
  const expected = contentOf(keyOf(1), 95_000)
  for (const content of await Promise.all(others)) expect(Buffer.compare(content, expected)).toBe(0)
  expect(readers.reduce((sum, { source }) => sum + source.asked, 0)).toBe(10)
  for (const { reader } of readers) await reader.close()
  await settled(cache)
  expect([placed().length, incoming()]).toEqual([1, []])
})

test('the limit holds, and what was used longest ago goes', async () => {
  const clock = new StepClock()
  const cache = open({ clock })
  for (let oid = 0; oid < 60; oid++) {
    await readBlob(cache, keyOf(oid), 20_000)
    // Used again and again, so it stays.
    await readBlob(cache, keyOf(0), 20_000)
    expect(bytesPlaced()).toBeLessThanOrEqual(400_000)
  }
  await settled(cache)
  expect(bytesPlaced()).toBeGreaterThan(300_000)
  expect(cache.counters().evictions).toBeGreaterThan(30)
  const again = open({ clock })
  expect((await readBlob(again, keyOf(0), 20_000)).isHit).toBe(true)
  expect((await readBlob(again, keyOf(59), 20_000)).isHit).toBe(true)
  expect((await readBlob(again, keyOf(1), 20_000)).isHit).toBe(false)
})

test('a blob of more than half of the limit goes through without being kept', async () => {
  const cache = open({ bytesLimit: 100_000 })
  expect(await readBlob(cache, keyOf(1), 60_000)).toEqual({ isHit: false, asked: 6 })
  const copy = cache.incoming(pieceBytes)!
  for await (const chunk of copy.copyOf([contentOf(keyOf(2), 60_000)])) expect(chunk.length).toBe(60_000)
  await copy.place(keyOf(2))
  await settled(cache)
  expect([placed(), incoming()]).toEqual([[], []])
})

test('what is open is read to its end, although it was pushed out', async () => {
  const cache = open({ bytesLimit: 100_000 })
  await readBlob(cache, keyOf(0), 45_000)
  await settled(cache)
  const second = open({ bytesLimit: 100_000 })
  const held = openBlob(second, keyOf(0), 45_000)
  expect(held.isHit).toBe(true)
  for (let oid = 1; oid < 5; oid++) await readBlob(second, keyOf(oid), 40_000)
  await settled(second)
  expect(placed().some((name) => name.includes('-0-'))).toBe(false)
  expect(Buffer.compare(await held.reader.read(0, 45_000), contentOf(keyOf(0), 45_000))).toBe(0)
  expect(held.source.asked).toBe(0)
  await held.reader.close()
})

test('many at once over one folder: nothing wrong is read, and the limit holds all the time', async () => {
  const random = freshRandom()
  const caches = ['a-1-a', 'b-2-b', 'c-3-c'].map((mark) => open({ mark, bytesLimit: 300_000 }))
  let isOver = false
  let most = 0
  const watching = (async () => {
    while (!isOver) {
      most = Math.max(most, bytesPlaced())
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })()
  await Promise.all(
    caches.flatMap((cache, index) =>
      Array.from({ length: 3 }, async (_, client) => {
        const own = random.split(index, client)
        for (let round = 0; round < 40; round++) {
          const oid = own.integer(12)
          await readBlob(cache, keyOf(oid), 5000 + oid * 4000)
        }
      }),
    ),
  )
  for (const cache of caches) await settled(cache)
  isOver = true
  await watching
  expect(most).toBeLessThanOrEqual(300_000)
  const sum = (name: 'hits' | 'evictions' | 'damaged') =>
    caches.reduce((total, cache) => total + cache.counters()[name], 0)
  expect([sum('hits') > 20, sum('evictions') > 5, sum('damaged')]).toEqual([true, true, 0])
  expect([incoming(), existsSync(join(folder, 'lock')), logged]).toEqual([[], false, []])
})

test.each([
  ['a bit of a piece', (path: string) => flip(path, 23_456)],
  ['a bit of a checksum', (path: string) => flip(path, 45_003)],
  ['a bit of the footer', (path: string) => flip(path, -3)],
  ['the end', (path: string) => truncateSync(path, 44_000)],
  ['everything', (path: string) => truncateSync(path, 0)],
  ['nothing, but there is more', (path: string) => appendFileSync(path, 'x')],
])('a file that lost %s is dropped, and the blob read where it is kept', async (_what, damage) => {
  const first = open()
  await readBlob(first, keyOf(1), 45_000)
  await settled(first)
  damage(join(folder, placed()[0]!))
  const second = open()
  const { asked } = await readBlob(second, keyOf(1), 45_000)
  expect(asked).toBeGreaterThan(0)
  expect(second.counters().damaged).toBe(1)
  expect(logged).toHaveLength(1)
  await settled(second)
  // What it was damaged in decides whether it was seen early enough for a new copy.
  await readBlob(open(), keyOf(1), 45_000)
  await settled(opened.at(-1)!)
  expect(await readBlob(open(), keyOf(1), 45_000)).toEqual({ isHit: true, asked: 0 })
})

function flip(path: string, position: number): void {
  const content = readFileSync(path)
  content[position < 0 ? content.length + position : position]! ^= 4
  writeFileSync(path, content)
}

test('what processes that are gone left is removed, what others are filling is not', async () => {
  const going = open({ mark: 'a-1-a' })
  const { reader } = openBlob(going, keyOf(1), 50_000)
  await reader.read(0, 1)
  const ended = openBlob(open({ mark: 'b-2-b' }), keyOf(2), 50_000)
  await ended.reader.read(0, 1)
  writeFileSync(join(folder, 'incoming', 'somebody-elses.txt'), '')
  gone.add('b-2-b')
  open({ mark: 'c-3-c' })
  expect(incoming().sort()).toEqual([expect.stringMatching(/^a-1-a-/), 'somebody-elses.txt'])
  // Nobody can tell of another machine's processes whether they are there. A day without a sign is enough.
  const old = Date.now() / 1000 - 25 * 3600
  for (const name of incoming()) utimesSync(join(folder, 'incoming', name), old, old)
  open({ mark: 'd-4-d' })
  expect(incoming()).toEqual(['somebody-elses.txt'])
  // Those that were only slow read on, and leave nothing.
  expect((await reader.read(0, 50_000)).length).toBe(50_000)
  await reader.close()
  await ended.reader.close()
  await settled(going)
  expect(placed()).toEqual([])
})

test.each([
  ['whose process is gone', 'z-9-z 0123456789abcdef', 0],
  ['of nobody, of long ago', '', 60],
  ['of a process that stands still', 'a-1-a 0123456789abcdef', 60],
])('a lock %s is broken', async (_what, text, ageSeconds) => {
  gone.add('z-9-z')
  const cache = open()
  const lock = join(folder, 'lock')
  writeFileSync(lock, text)
  const touched = Date.now() / 1000 - ageSeconds
  utimesSync(lock, touched, touched)
  await readBlob(cache, keyOf(1), 100)
  await settled(cache)
  expect([placed().length, existsSync(lock), incoming()]).toEqual([1, false, []])
})

test('a sum that was lost or damaged is counted anew', async () => {
  const cache = open({ bytesLimit: 100_000 })
  await readBlob(cache, keyOf(1), 40_000)
  for (const [at, text] of ['', '0 1', 'nonsense'].entries()) {
    await kept(1 + at)
    writeFileSync(join(folder, 'total'), text)
    await readBlob(cache, keyOf(2 + at), 40_000)
  }
  await settled(cache)
  expect(placed().length).toBe(2)
})

test('files of other names are nobody’s business', async () => {
  const cache = open({ bytesLimit: 100_000 })
  await readBlob(cache, keyOf(1), 40_000)
  await settled(cache)
  for (const name of ['mine.blob', '01/mine.blob', '01/notes'])
    writeFileSync(join(folder, name), 'x'.repeat(90_000))
  const again = open({ bytesLimit: 100_000 })
  for (let oid = 2; oid < 6; oid++) await readBlob(again, keyOf(oid), 40_000)
  await settled(again)
  for (const name of ['mine.blob', '01/mine.blob', '01/notes'])
    expect(statSync(join(folder, name)).size).toBe(90_000)
})

test.each(['ENOSPC', 'EROFS'])(
  '%s: reading goes on, the log says so once, and it is tried again later',
  async (code) => {
    let isFailing = false
    const failing = () => {
      if (isFailing) throw Object.assign(new Error(`${code}: simulated`), { code })
    }
    const files: FileSystem = {
      ...realFileSystem,
      open(path, mode) {
        if (mode === 'create' && code === 'EROFS') failing()
        return realFileSystem.open(path, mode)
      },
      write(...given) {
        failing()
        return realFileSystem.write(...given)
      },
    }
    const clock = new StepClock()
    const cache = open({ files, clock })
    await readBlob(cache, keyOf(1), 45_000)
    await kept(1)
    isFailing = true
    for (const oid of [2, 3])
      expect(await readBlob(cache, keyOf(oid), 45_000)).toEqual({ isHit: false, asked: 5 })
    // What is there is of use all the same.
    expect((await readBlob(cache, keyOf(1), 45_000)).isHit).toBe(true)
    expect(logged).toEqual([expect.stringContaining(code)])
    isFailing = false
    clock.ms += 61_000
    await readBlob(cache, keyOf(4), 45_000)
    await settled(cache)
    expect([placed().length, logged.length]).toEqual([2, 1])
  },
)

test('a folder that was removed is made again', async () => {
  const clock = new StepClock()
  const cache = open({ clock })
  rmSync(folder, { recursive: true })
  await readBlob(cache, keyOf(1), 45_000)
  clock.ms += 61_000
  await readBlob(cache, keyOf(2), 45_000)
  await settled(cache)
  expect([placed().length, logged.length]).toEqual([1, 1])
})

test('a folder that cannot be used is an error when it is opened, and so is too small a limit', () => {
  writeFileSync(join(folder, '..', 'file'), '')
  const openAt = (blobCacheFolder: string, blobBytesLimit = 1024 ** 2) =>
    openBlobCache({ blobCacheFolder, blobBytesLimit }, openContext())
  expect(() => openAt(join(folder, '..', 'file'))).toThrow(expect.objectContaining({ code: 'cannot-open' }))
  expect(() => openAt(join(folder, '..', 'file', 'below'))).toThrow(
    expect.objectContaining({ code: 'cannot-open' }),
  )
  expect(() => openAt(folder, 1000)).toThrow(expect.objectContaining({ code: 'cache-too-small' }))
  expect(openAt('')).toBe(undefined)
  // Nobody else may look into it.
  openAt(folder)
  expect(statSync(folder).mode & 0o777).toBe(0o700)
  // What somebody made himself stays as he made it.
  chmodSync(folder, 0o755)
  openAt(folder)
  expect(statSync(folder).mode & 0o777).toBe(0o755)
})

test('a mark names this process as long as it is there', () => {
  expect(processMark()).toMatch(/^[0-9a-f]{8}-\d+-[0-9a-f]{8}$/)
  expect(isGone(processMark())).toBe(false)
  const [host, , started] = processMark().split('-')
  // Beyond what process ids there can be.
  expect(isGone(`${host}-4194999-${started}`)).toBe(true)
  expect(isGone(`${host}-${process.pid}-00000000`)).toBe(true)
  expect(isGone(`00000000-4194999-${started}`)).toBe(false)
  expect(isGone('nonsense')).toBe(false)
})
