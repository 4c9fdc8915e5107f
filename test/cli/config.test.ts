import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { gridOf, loadConfig, type RunConfig } from '../../src/cli/config.ts'
import { type ConfigFile, defineConfig } from '../../src/cli/config-file.ts'
import { parseContender, resolveContender, resolveContenders } from '../../src/cli/contenders.ts'
import { shareOf } from '../../src/cli/flag-values.ts'
import { describeConfig } from '../../src/cli/print-config.ts'

function configFile(name: string, text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'config-')), name)
  writeFileSync(path, text)
  return path
}

test('a contender is a name, a path, with label and options where wanted', () => {
  expect(parseContender('file')).toEqual({ storage: 'file' })
  expect(parseContender('./my-storage.js')).toEqual({ storage: './my-storage.js' })
  expect(parseContender('fast=file?durability=os&folder=/x')).toEqual({
    label: 'fast',
    storage: 'file',
    options: { durability: 'os', folder: '/x' },
  })
  expect(parseContender('pg=postgres?url=postgresql://root@127.0.0.1/test?a=b')).toEqual({
    label: 'pg',
    storage: 'postgres',
    options: { url: 'postgresql://root@127.0.0.1/test?a=b' },
  })
  expect(() => parseContender('label=')).toThrow('names no storage')
})

test('an unknown storage is answered with a suggestion', async () => {
  await expect(resolveContender({ storage: 'sqlit' })).rejects.toThrow('Did you mean "sqlite"?')
  await expect(resolveContender({ storage: './nowhere.js' })).rejects.toMatchObject({
    code: 'module-not-found',
  })
})

test('a module that is no storage is refused, saying what is missing', async () => {
  const path = configFile('not-a-storage.mjs', 'export default { name: "x" }')
  await expect(resolveContender({ storage: path })).rejects.toMatchObject({ code: 'module-broken' })
  const broken = configFile('broken.mjs', 'export default (')
  await expect(resolveContender({ storage: broken })).rejects.toMatchObject({ code: 'module-broken' })
})

test('two contenders need two labels', async () => {
  await expect(resolveContenders([{ storage: 'memory' }, { storage: 'memory' }])).rejects.toMatchObject({
    code: 'duplicate-label',
  })
})

test('the command line wins over the file, the file over the defaults, and each value knows its origin', async () => {
  const path = configFile(
    'c.json',
    '{ "objects": [5], "forks": 9, "storages": ["file", { "storage": "sqlite" }] }',
  )
  const loaded = await loadConfig({ objects: '1,20' }, path)
  expect(loaded.config.objects).toEqual([1, 20])
  expect(loaded.config.forks).toBe(9)
  expect(loaded.config.storages).toEqual([{ storage: 'file' }, { storage: 'sqlite' }])
  expect(loaded.origins).toMatchObject({ objects: '--objects', forks: path, batches: 'default' })
})

test('settings are printed as they are written on the command line, with their origins', async () => {
  const path = configFile(
    'c.json',
    `{ "storages": ["file", { "label": "fast", "storage": "file", "options": { "durability": "os" } }], "budget": 90 }`,
  )
  const flags = { objects: '1,20', concurrency: 'async:1,threads:4', recordBytes: '200:70,2kb:25' }
  const printed = describeConfig(await loadConfig(flags, path))
  expect(printed.split('\n')).toEqual(
    expect.arrayContaining([
      `storages         file,fast=file?durability=os  (${path})`,
      'objects          1,20  (--objects)',
      'concurrency      async:1,threads:4  (--concurrency)',
      `budget           90s  (${path})`,
      'recordBytes      200:70,2kb:25  (--record-bytes)',
      'timeout          1m  (default)',
      'forks            –  (default)',
    ]),
  )
})

test('a config file may set whatever the types of one allow', async () => {
  const file: Required<ConfigFile> = {
    storages: ['memory', { label: 'fast', storage: 'file', options: { durability: 'os' } }],
    scenarios: ['add'],
    objects: [1],
    concurrency: ['async:1', { kind: 'threads', workers: 2 }],
    forks: 6,
    budget: '1m',
    precision: 0.02,
    batches: 3,
    recordBytes: { mix: [{ bytes: 200, weight: 1 }] },
    compressibility: 0,
    seed: 'fixed',
    reference: 'fast',
    folder: '/tmp',
    timeout: 10,
    out: 'x.jsonl',
    html: 'x.html',
    gateLimits: { cold: { tau: '3%', delta: 0.08 } },
  }
  const path = configFile('all.json', JSON.stringify(file))
  const { config, origins } = await loadConfig({}, path)
  expect(new Set(Object.values(origins))).toEqual(new Set([path]))
  expect(config).toMatchObject({ budget: 60e9, timeout: 10e9, forks: 6, recordBytes: file.recordBytes })
  expect(config.gateLimits).toEqual({ 'cold-read': { tau: 0.03, delta: 0.08 } })
  expect(defineConfig(file)).toBe(file)
  // A setting that has no type there would not compile.
  const typed: keyof RunConfig extends keyof ConfigFile ? true : false = true
  expect(typed).toBe(true)
})

test('a JavaScript config file is loaded by its default export', async () => {
  const path = configFile(
    'c.mjs',
    'export default { concurrency: ["async:3", { kind: "threads", workers: 2 }] }',
  )
  expect((await loadConfig({}, path)).config.concurrency).toEqual([
    { kind: 'async', workers: 3 },
    { kind: 'threads', workers: 2 },
  ])
})

const badFlags: readonly (readonly [flags: Record<string, string>, message: string])[] = [
  [{ concurrency: 'thread:2' }, '--concurrency: "thread:2" is not KIND:WORKERS'],
  [{ concurrency: 'threads' }, '--concurrency: "threads" is not KIND:WORKERS, such as threads:4'],
  [{ objects: '0' }, '--objects: "0" is not an integer from 1'],
  [{ objects: '1,,2' }, '--objects: "1,,2" is not a list'],
  [{ budget: '4 parsecs' }, '--budget: "4 parsecs" is not a duration'],
  [{ recordBytes: '12' }, '--record-bytes: record size 12 B: records have from 64 bytes to 256mb'],
  [{ recordBytes: '4kb-100' }, 'the lower bound is above the upper one'],
  [{ recordBytes: '100-200-300' }, 'a range has two bounds'],
  [{ recordBytes: '100:x' }, '"100:x" is not SIZE:WEIGHT'],
  [{ recordBytes: '100:1,64' }, '"64" is not SIZE:WEIGHT'],
  [{ recordBytes: '64-1gb' }, 'records have from 64 bytes to 256mb'],
  [{ compressibility: '2' }, '--compressibility: "2" is not a share from 0 to 1'],
]

test.each([
  [{ add: { tua: '1%' } }, 'gateLimits of add: "tua" is not tau or delta'],
  [{ add: { tau: '1 %x' } }, 'gateLimits of add, tau: "1 %x" is not a share'],
  [{ add: '5%' }, 'gateLimits of add: "5%" is not an object'],
  [['5%'], 'is not an object'],
])('limits of the gate %j are refused', async (gateLimits, message) => {
  await expect(loadConfig({ gateLimits }, undefined)).rejects.toThrow(message)
})

test.each(badFlags)('%j is refused, naming the flag', async (flags, message) => {
  await expect(loadConfig(flags, undefined)).rejects.toThrow(message)
})

test('a config file that is not there, not readable or has unknown settings is refused by name', async () => {
  await expect(loadConfig({}, '/nowhere/c.json')).rejects.toMatchObject({ code: 'config-not-found' })
  await expect(loadConfig({}, configFile('c.json', '{'))).rejects.toMatchObject({ code: 'config-broken' })
  await expect(loadConfig({}, tmpdir())).rejects.toThrow('cannot be read (it is a folder)')
  await expect(loadConfig({}, configFile('c.json', '{ "object": [1] }'))).rejects.toThrow(
    'did you mean "objects"?',
  )
})

test('a grid that nobody chose shrinks for a crowd of contenders; one that somebody chose stays', async () => {
  const bare = await loadConfig({}, undefined)
  expect(gridOf(bare, 3)).toEqual({ objects: bare.config.objects, concurrency: bare.config.concurrency })
  const crowded = gridOf(bare, 6)
  expect(crowded.objects).toEqual([5])
  expect(crowded.concurrency.map(({ kind }) => kind)).toEqual(['async', 'threads', 'processes'])
  const chosen = await loadConfig({ objects: '1,20' }, undefined)
  expect(gridOf(chosen, 6).objects).toEqual([1, 20])
})

test('a wrong value in a file is found by the name of its setting', async () => {
  const path = configFile('wrong.json', '{ "recordBytes": "x" }')
  await expect(loadConfig({}, path)).rejects.toThrow(`${path}: recordBytes: "x" is not a size`)
})

test.each([
  ['5%', 0.05],
  ['0.05', 0.05],
  ['200%', 2],
])('a share of %s is %d', (text, share) => {
  expect(shareOf('--delta', text)).toBeCloseTo(share)
})

test('a bare 5 is not taken for five hundred percent', () => {
  expect(() => shareOf('--delta', '5')).toThrow('--delta: "5" is not a share; write it 5% or 0.05')
})
