/** PostgreSQL from an npm package. The package is a fake one, whose programs are those of the system. */

import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { loadDriver } from '../../../src/storages/sql/postgres/driver.ts'
import { findPackaged, packageName } from '../../../src/storages/sql/postgres/packaged.ts'
import { findBinaries, startServer } from '../../../src/storages/sql/postgres/servers.ts'
import { zeroCounters } from '../../../src/storages/storage.ts'

let project: string | undefined

afterEach(() => {
  if (project !== undefined) rmSync(project, { recursive: true, force: true })
})

function fakePackage(bin: string): string {
  project = mkdtempSync(join(tmpdir(), 'shootout-project-'))
  // Where the server's own user gets nowhere, as in a home folder.
  chmodSync(project, 0o700)
  const native = join(project, 'node_modules', packageName, 'native')
  mkdirSync(join(native, 'bin'), { recursive: true })
  mkdirSync(join(native, 'lib'))
  for (const name of ['postgres', 'initdb', 'pg_ctl']) symlinkSync(join(bin, name), join(native, 'bin', name))
  writeFileSync(join(native, 'lib/libicu.so.60.2'), 'a library')
  const links = [{ source: 'native/lib/libicu.so.60.2', target: 'native/lib/libicu.so.60' }]
  writeFileSync(join(native, 'pg-symlinks.json'), JSON.stringify(links))
  return project
}

test('nothing is found where the package is not installed', () => {
  expect(findPackaged(['/'])).toBeUndefined()
})

test('a server is started from a package whose install script never ran', async () => {
  const system = findBinaries()
  if (system === undefined) {
    const isRequired = (process.env['SHOOTOUT_REQUIRE'] ?? '').split(',').includes('postgres')
    expect(isRequired, 'SHOOTOUT_REQUIRE asks for postgres').toBe(false)
    return
  }
  // The first on the path may be a wrapper; the package links to real programs.
  const folder = fakePackage(system)
  const deep = join(folder, 'a/b')
  mkdirSync(deep, { recursive: true })
  const binaries = findPackaged([deep])
  expect(binaries).toBe(join(folder, 'node_modules', packageName, 'native/bin'))

  const stores = mkdtempSync(join(tmpdir(), 'shootout-test-'))
  const driver = await loadDriver()
  const rows: unknown[] = []
  const server = await startServer(binaries!, {
    folder: stores,
    durability: 'os',
    log: () => {},
    async probe(url) {
      const session = await driver.connect(url, { title: 'test', counters: zeroCounters(), parameters: {} })
      rows.push(...(await session.rows({ text: 'SELECT 42::text' })))
      await session.close()
    },
  })
  const socketFolder = new URL(server.url.replace('@/', '@socket/')).searchParams.get('host')!
  try {
    expect(rows).toEqual([['42']])
    expect(existsSync(join(socketFolder, 'native/lib/libicu.so.60'))).toBe(true)
  } finally {
    await server.stop()
  }
  expect(existsSync(socketFolder)).toBe(false)
  rmSync(stores, { recursive: true })
})
