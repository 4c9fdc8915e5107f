/**
 * Private servers for tests of the client-server databases. A missing server skips the tests, unless SHOOTOUT_REQUIRE
 * (a list: `postgres,mysql`) says that it must be there.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OptionsOf, OptionsSpec } from '../../../src/core/options.ts'
import { parseOptions } from '../../../src/core/options.ts'
import type { Provision, StorageModule } from '../../../src/storages/storage.ts'

export interface TestServer<S extends OptionsSpec> {
  readonly provision: Provision<S>
  options(given?: Readonly<Record<string, unknown>>): OptionsOf<S>
  stop(): Promise<void>
}

/** Undefined when the server is not there and need not be. @throws when it is required */
export async function startTestServer<S extends OptionsSpec>(
  module: StorageModule<S>,
  given: Readonly<Record<string, unknown>> = {},
): Promise<TestServer<S> | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-test-'))
  const provision = await module.provision!(parseOptions(module.name, module.options, given), {
    folder,
    log: () => {},
  })
  if (!provision.available) {
    rmSync(folder, { recursive: true, force: true })
    if ((process.env['SHOOTOUT_REQUIRE'] ?? '').split(',').includes(module.name)) {
      throw new Error(`SHOOTOUT_REQUIRE asks for ${module.name}, but: ${provision.reason}`)
    }
    console.log(`${module.name} is skipped: ${provision.reason}`)
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
