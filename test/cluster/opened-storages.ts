/** Storages that tests open on a cluster: they are closed after each test, and the cluster after all of them. */

import { afterAll, afterEach } from 'vitest'
import { Client } from '../../src/conformance/client.ts'
import type { Storage } from '../../src/storages/storage.ts'

export class OpenedStorages {
  readonly #storages: Storage[] = []

  /** Once in a test file: registers what happens after its tests. */
  constructor(cluster: { stop(): Promise<void> }) {
    afterAll(() => cluster.stop())
    afterEach(async () => {
      for (const storage of this.#storages.splice(0)) await storage.close()
    })
  }

  add(storage: Storage): void {
    this.#storages.push(storage)
  }
}

export async function clientOf(storage: Storage): Promise<Client> {
  return new Client(storage, await storage.newInstance())
}
