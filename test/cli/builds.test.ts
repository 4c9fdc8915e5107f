/** Storages of another build: which file is loaded, and what is said where there is none. npm is real, its registry a server of ours. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openBuild } from '../../src/cli/builds.ts'
import { resolveContender } from '../../src/cli/contenders.ts'
import { coded } from '../coded.ts'

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-build-'))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

const manifest = (fields: object) =>
  JSON.stringify({ name: 'stored', version: '1.0.0', type: 'module', ...fields })
const storage = `export default {
  name: 'stored', summary: 'x', options: {}, capabilities: () => ({}), open() {}, contract: 1,
}`
const noFolder = () => Promise.reject(new Error('nothing may be installed'))
const urlOf = (...parts: string[]) => pathToFileURL(join(...parts)).href

test('a path is one of the build, and a point is its main module', async () => {
  const exports = { '.': { types: './x.d.ts', import: './dist/main.js' } }
  const folder = folderOf({
    'package.json': manifest({ exports }),
    'dist/main.js': storage,
    'other.js': storage,
  })
  const build = await openBuild(folder, noFolder)
  expect(await build.storageUrl('./other.js')).toBe(urlOf(folder, 'other.js'))
  expect(await build.storageUrl('.')).toBe(urlOf(folder, 'dist/main.js'))
  expect(build.title).toBe(`${folder} (stored 1.0.0)`)
})

test('a name is asked of the build, and the contender says where it is from', async () => {
  const folder = folderOf({
    'package.json': manifest({ main: 'main.js' }),
    'main.js': `export const storageUrl = (name) => new URL('./' + name + '-of-them.js', import.meta.url).href`,
    'sqlite-of-them.js': storage,
  })
  const contender = await resolveContender(
    { storage: 'sqlite' },
    undefined,
    await openBuild(folder, noFolder),
  )
  const url = urlOf(folder, 'sqlite-of-them.js')
  expect(contender).toMatchObject({ url, source: url, build: `${folder} (stored 1.0.0)` })
})

test.each<[string, Readonly<Record<string, string>>, string, string]>([
  [
    'a folder that was not built',
    { 'package.json': manifest({ main: 'dist/main.js' }) },
    'sqlite',
    'not-built',
  ],
  ['a path that is not in it', { 'package.json': manifest({}) }, './dist/storage.js', 'not-built'],
  [
    'a build whose dependencies are missing',
    { 'index.js': `import 'not-installed-anywhere'` },
    'sqlite',
    'not-built',
  ],
  ['a package without storages', { 'index.js': storage }, 'sqlite', 'unknown-storage'],
])('%s is refused, saying what to do', async (_, files, wanted, code) => {
  const build = await openBuild(folderOf(files), noFolder)
  await expect(build.storageUrl(wanted)).rejects.toMatchObject({ name: 'UsageError', code })
})

test('what is neither a folder nor a package with a version is refused', async () => {
  for (const from of ['./nowhere', 'stored', 'stored@', '@scope@1.0.0', '../x@1.0.0/y']) {
    await expect(openBuild(from, noFolder)).rejects.toMatchObject({ code: 'build-not-found' })
  }
  await expect(openBuild('package.json', noFolder)).rejects.toMatchObject({ code: 'build-not-found' })
})

test('a storage of another contract is refused', async () => {
  const folder = folderOf({
    'package.json': manifest({}),
    'index.js': storage.replace('contract: 1', 'contract: 2'),
  })
  const contender = resolveContender({ storage: '.' }, undefined, await openBuild(folder, noFolder))
  await expect(contender).rejects.toMatchObject({ code: 'other-contract' })
})

let registry: Server

beforeAll(async () => {
  const folder = folderOf({ 'package/package.json': manifest({}), 'package/index.js': storage })
  execFileSync('tar', ['-czf', 'stored.tgz', 'package'], { cwd: folder })
  registry = createServer(({ url }, response) => {
    const here = `http://127.0.0.1:${(registry.address() as AddressInfo).port}`
    const version = { name: 'stored', version: '1.0.0', dist: { tarball: `${here}/stored.tgz` } }
    if (url === '/stored.tgz') response.end(readFileSync(join(folder, 'stored.tgz')))
    else if (url === '/stored')
      response.end(JSON.stringify({ name: 'stored', versions: { '1.0.0': version } }))
    else response.writeHead(url === '/forbidden' ? 403 : 404).end('{}')
  })
  await new Promise<void>((resolve) => {
    registry.listen(0, '127.0.0.1', resolve)
  })
  process.env['npm_config_registry'] = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`
})

afterAll(() => {
  delete process.env['npm_config_registry']
  registry.close()
})

test('a package is installed into a folder of ours', async () => {
  const folder = folderOf({})
  const build = await openBuild('stored@1.0.0', () => Promise.resolve(folder))
  expect(await build.storageUrl('.')).toBe(urlOf(folder, 'node_modules/stored/index.js'))
  expect(build.title).toBe('stored@1.0.0')
})

test('a package that the registry does not give out is not installed, and what npm says of it is said', async () => {
  const build = openBuild('forbidden@1.0.0', () => Promise.resolve(folderOf({})))
  await expect(build).rejects.toThrow(coded('install-failed', /forbidden@1\.0\.0: .*E403/s))
})

test.each(['stored@2.0.0', 'unheard-of@1.0.0'])('%s, which npm does not know, is refused', async (from) => {
  const build = openBuild(from, () => Promise.resolve(folderOf({})))
  await expect(build).rejects.toMatchObject({
    code: 'version-not-found',
    message: expect.stringContaining(from),
  })
})
