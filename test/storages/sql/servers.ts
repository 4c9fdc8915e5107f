/**
 * Private servers for tests of the client-server databases. A missing server skips the tests, unless SHOOTOUT_REQUIRE
 * (a list: `postgres,mysql`) says that it must be there.
 */

import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import type { OptionsOf, OptionsSpec } from '../../../src/core/options.ts'
import { parseOptions } from '../../../src/core/options.ts'
import type { Provision, StorageModule } from '../../../src/storages/storage.ts'
import { configurations } from './configurations.ts'

/** The log and the data of a server, with room for a second one beside it. */
const memoryBytesMin = 4 * 1024 ** 3

/**
 * In memory where there is room. What a server does on a disk is its own affair, and making a store of MariaDB takes two
 * hundred flushes.
 */
function serverFolder(): string {
  const memory = '/dev/shm'
  let parent = tmpdir()
  try {
    const { bavail, bsize } = statfsSync(memory)
    if (bavail * bsize >= memoryBytesMin) parent = memory
  } catch {
    // There is none: not Linux.
  }
  return mkdtempSync(join(parent, 'shootout-test-'))
}

export interface TestServer<S extends OptionsSpec> {
  readonly provision: Provision<S>
  options(given?: Readonly<Record<string, unknown>>): OptionsOf<S>
  stop(): Promise<void>
}

/** The reason of a skip. @throws when the server is required */
export function missingServer(name: string, reason: string): string {
  if ((process.env['SHOOTOUT_REQUIRE'] ?? '').split(',').includes(name)) {
    throw new Error(`SHOOTOUT_REQUIRE asks for ${name}, but: ${reason}`)
  }
  return `${name} is skipped: ${reason}`
}

/** Undefined when the server is not there and need not be. @throws when it is required */
export async function startTestServer<S extends OptionsSpec>(
  module: StorageModule<S>,
  given: Readonly<Record<string, unknown>> = {},
): Promise<TestServer<S> | undefined> {
  // SQLite has no server: what is on the disk is ours.
  const folder = module.name === 'sqlite' ? mkdtempSync(join(tmpdir(), 'shootout-test-')) : serverFolder()
  const provision = await module.provision!(parseOptions(module.name, module.options, given), {
    folder,
    log: () => {},
  })
  if (!provision.available) {
    rmSync(folder, { recursive: true, force: true })
    console.log(missingServer(module.name, provision.reason))
    return undefined
  }
  return {
    provision,
    options: (more = {}) => parseOptions(module.name, module.options, { ...given, ...more }),
    async stop() {
      await provision.dispose()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The conformance suite over a database, in every configuration, on one server. */
export async function checkServerStorage(module: StorageModule): Promise<void> {
  const given = { durability: 'os', lockTimeout: '5s' }
  const server = await startTestServer(module, given)
  if (server === undefined) {
    // So that it is counted as skipped. Where SHOOTOUT_REQUIRE names the database, as in CI, starting it has failed.
    test.skip(`there is no server for ${module.name}`, () => {})
    return
  }
  afterAll(() => server.stop())
  let suites = 0
  describe.each(configurations)(`${module.name} with %o`, async (configuration) => {
    const options = { ...given, ...configuration }
    const suite = ++suites
    const create = async (name: string) => {
      const { options: place, ...store } = await server.provision.newStore(`${name}_${suite}`)
      const { url, schema, database } = place as Readonly<Record<string, unknown>>
      const named = { url, ...(schema === undefined ? { database } : { schema }) }
      return { ...store, options: parseOptions(module.name, module.options, { ...options, ...named }) }
    }
    await checkStorage({ module, options, create }, { test, after: afterAll, skip: test.skip })
  })
}
