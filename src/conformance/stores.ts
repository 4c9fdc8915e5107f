/**
 * Fresh stores for the suite, one for each behaviour.
 *
 * They come from the storage's own `provision`, or from whoever runs the suite, or, for a storage that keeps nothing,
 * from opening it again. A store that somebody already has is never touched: a persistent storage without one of the
 * first two cannot be checked.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError } from '../core/errors.ts'
import type { OptionsOf, OptionsSpec } from '../core/options.ts'
import type { Awaitable, ProvisionedStore, StorageModule, Unavailable } from '../storages/storage.ts'

/** Makes a store of its own for each name. */
export type CreateStore = (name: string) => Awaitable<ProvisionedStore<OptionsSpec>>

export interface StoreSource {
  readonly available: true
  newStore(): Promise<ProvisionedStore<OptionsSpec>>
  dispose(): Promise<void>
}

/**
 * @throws UsageError `cannot-make-stores`
 */
export async function storeSource(
  module: StorageModule,
  options: OptionsOf<OptionsSpec>,
  create: CreateStore | undefined,
  log: (message: string) => void,
): Promise<StoreSource | Unavailable> {
  let count = 0
  const nextName = () => `check_${++count}`
  if (create !== undefined) {
    return { available: true, newStore: async () => await create(nextName()), dispose: async () => {} }
  }
  if (module.provision === undefined) {
    if (module.capabilities(options).persistent) {
      throw new UsageError(
        'cannot-make-stores',
        `storage ${module.name} keeps its data but has no \`provision\` to make stores of its own; ` +
          'the suite writes and deletes, so it does not use a store that may be yours. Add `provision`, or hand in `create`',
        { details: { storage: module.name } },
      )
    }
    return { available: true, newStore: async () => ({ options, dispose() {} }), dispose: async () => {} }
  }
  const folder = await mkdtemp(join(tmpdir(), 'shootout-check-'))
  const removeFolder = () => rm(folder, { recursive: true, force: true })
  try {
    const provision = await module.provision(options, { folder, log })
    if (!provision.available) {
      await removeFolder()
      return provision
    }
    return {
      available: true,
      newStore: async () => await provision.newStore(nextName()),
      dispose: async () => {
        await provision.dispose()
        await removeFolder()
      },
    }
  } catch (error) {
    await removeFolder()
    throw error
  }
}
