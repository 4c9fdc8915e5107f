/** The persistent cache of a SQL store: whatever happens to the store or the file meanwhile, nothing stale is read. */

import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Oid, Tid } from '../../../src/core/ids.ts'
import { openContext } from '../../../src/storages/open.ts'
import { loadDriver } from '../../../src/storages/sql/sqlite/driver.ts'
import sqlite from '../../../src/storages/sql/sqlite/index.ts'
import {
  emptyMetadata,
  type ObjectRecord,
  type Storage,
  zeroCounters,
} from '../../../src/storages/storage.ts'
import { asModule, optionsFor, polled, put, read, TestProcess } from './cache-model.ts'
import { toBytes } from './race-model.ts'

let folder: string
let path: string
let cacheFile: string
const processes: TestProcess[] = []
const [a, b, c] = [1, 2, 3] as [Oid, Oid, Oid]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-persistent-cache-'))
  path = join(folder, 'store.sqlite')
  cacheFile = join(folder, 'cache.db')
})

afterEach(async () => {
  for (const one of processes.splice(0)) await one.close()
  rmSync(folder, { recursive: true, force: true })
})

async function start(given: Readonly<Record<string, unknown>> = {}): Promise<TestProcess> {
  const module = asModule(sqlite)
  const options = optionsFor(module, { path, cacheFile, durability: 'os', ...given })
  const started = await TestProcess.start(module, options)
  processes.push(started)
  return started
}

/** What a new snapshot shows, and how many loads reached the backend. */
async function show(
  storage: Storage,
  oids: readonly Oid[],
): Promise<{ readonly texts: readonly (string | undefined)[]; readonly asked: number }> {
  const reader = await polled(storage)
  const before = storage.counters().backendLoads
  const texts = await read(reader, oids)
  const asked = storage.counters().backendLoads - before
  await reader.release()
  return { texts, asked }
}

async function close(process: TestProcess): Promise<void> {
  processes.splice(processes.indexOf(process), 1)
  await process.close()
}

/** A process that commits these states and ends. */
async function commit(
  states: readonly (readonly [Oid, string | null])[],
  given: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const process = await start(given)
  await put(process.storage, new Map(states))
  await close(process)
}

const unnoticed = { cacheFile: '' }

test('an older cache file is as true as a newer one', async () => {
  await commit([
    [a, 'a1'],
    [b, 'b1'],
  ])
  copyFileSync(cacheFile, `${cacheFile}-older`)
  await commit([[a, 'a2']])
  await commit([[c, 'c1']], unnoticed)
  copyFileSync(`${cacheFile}-older`, cacheFile)
  expect(await show((await start()).storage, [a, b, c])).toEqual({ texts: ['a2', 'b1', 'c1'], asked: 2 })
})

test('a store that was emptied meanwhile has another identity', async () => {
  await commit([
    [a, 'old a'],
    [b, 'old b'],
  ])
  const other = await start(unnoticed)
  await other.storage.zap()
  await put(other.storage, new Map([[a, 'new a']]))
  const { storage } = await start()
  expect(storage.cache!.entries).toBe(0)
  expect((await show(storage, [a, b])).texts).toEqual(['new a', undefined])
})

test('transactions that come again under the same tids after a zap, with other contents, are seen', async () => {
  const history = true
  const restore = (storage: Storage, text: string): Promise<void> | void => {
    const records: ObjectRecord[] = [{ oid: a, data: toBytes(text) }]
    return storage.restore!({ tid: 1000 as Tid, metadata: emptyMetadata, records })
  }
  const first = await start({ history })
  await restore(first.storage, 'first')
  expect((await show(first.storage, [a])).texts).toEqual(['first'])
  const waiting = await polled(first.storage)
  expect(await read(waiting, [a])).toEqual(['first'])
  await waiting.afterCompletion()
  const other = await start({ history, ...unnoticed })
  await other.storage.zap()
  await restore(other.storage, 'second')
  expect(await waiting.pollInvalidations()).toBe('all')
  expect(await read(waiting, [a])).toEqual(['second'])
  expect((await show(first.storage, [a])).texts).toEqual(['second'])
  await waiting.release()
  await close(first)
  const next = await start({ history })
  expect((await show(next.storage, [a])).texts).toEqual(['second'])
})

test('a store that was put back from a backup is noticed, also when it has moved on since', async () => {
  await commit([
    [a, 'a1'],
    [b, 'b1'],
  ])
  copyFileSync(path, `${path}-backup`)
  await commit([[a, 'lost']])
  copyFileSync(`${path}-backup`, path)
  for (const ending of ['-wal', '-shm']) rmSync(path + ending, { force: true })
  await commit([[c, 'c1']], unnoticed)
  expect((await show((await start()).storage, [a, b, c])).texts).toEqual(['a1', 'b1', 'c1'])
})

test('another store under the same path of a cache is another store', async () => {
  await commit([[a, 'one']])
  const other = { path: join(folder, 'other.sqlite') }
  copyFileSync(path, other.path)
  await commit([[a, 'two']], { ...other, ...unnoticed })
  expect(await show((await start(other)).storage, [a])).toEqual({ texts: ['two'], asked: 1 })
})

test('processes that use one file at once do not hurt each other', async () => {
  const [one, two] = [await start(), await start()]
  await put(one.storage, new Map([[a, 'a1']]))
  await put(two.storage, new Map([[b, 'b1']]))
  expect((await show(one.storage, [a, b])).texts).toEqual(['a1', 'b1'])
  await Promise.all([close(one), close(two)])
  const last = await start()
  expect((await show(last.storage, [a, b])).texts).toEqual(['a1', 'b1'])
})

test('a damaged file costs time, not truth', async () => {
  const states = Array.from({ length: 200 }, (_, index) => [(10 + index) as Oid, `object ${index}`] as const)
  await commit(states)
  const whole = readFileSync(cacheFile)
  for (let position = 4096; position < whole.length; position += 1009) whole[position]! ^= 0xff
  writeFileSync(cacheFile, whole)
  const { storage } = await start()
  const { texts } = await show(
    storage,
    states.map(([oid]) => oid),
  )
  expect(texts).toEqual(states.map(([, text]) => text))
})

test.each(['a text', 'the store itself'])(
  'a file that is something else is left as it was: %s',
  async (what) => {
    await commit([[a, 'a1']], unnoticed)
    if (what === 'a text') writeFileSync(cacheFile, 'notes\n'.repeat(100))
    const named = what === 'a text' ? cacheFile : path
    const before = readFileSync(named)
    await expect(start({ cacheFile: named })).rejects.toMatchObject({ code: 'foreign-file' })
    expect(readFileSync(named).equals(before)).toBe(true)
  },
)

test('a file for a cache that is switched off is a usage error', async () => {
  await expect(start({ cacheBytesLimit: 0 })).rejects.toMatchObject({ code: 'bad-options' })
})

test('a cache file that somebody else is making for long is not used, and the store is', async () => {
  const { connect } = await loadDriver()
  const other = connect(cacheFile, { readOnly: false, counters: zeroCounters() })
  other.execute(`PRAGMA application_id = ${0x53484f43}`)
  other.execute('BEGIN IMMEDIATE')
  const messages: string[] = []
  const module = asModule(sqlite)
  const options = optionsFor(module, { path, cacheFile })
  const context = openContext({ log: (message) => messages.push(message) })
  const shared = await module.share!(options, context)
  expect(messages).toEqual([expect.stringContaining('the persistent cache is busy and is not used')])
  const storage = await module.open(options, context, shared.state)
  await put(storage, new Map([[a, 'a']]))
  expect((await show(storage, [a])).texts).toEqual(['a'])
  await storage.close()
  await shared.close()
  other.close()
})
