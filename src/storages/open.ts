/**
 * Opens a storage where one isolate is all there is: command line, conformance suite, applications. The runner, which
 * opens one store in many threads, calls `share` and `open` itself.
 */

import { systemClock } from '../core/clock.ts'
import type { OptionsOf, OptionsSpec } from '../core/options.ts'
import type { OpenContext, Storage, StorageModule } from './storage.ts'

/** A context with the system's clock that reports oddities nowhere; give what should differ. */
export function openContext(given: Partial<OpenContext> = {}): OpenContext {
  return { clock: systemClock, log: () => {}, ...given }
}

/**
 * Opens a store by its module and typed options. Closing the returned storage also ends what `share` made.
 * @throws whatever the storage raises on opening
 */
export async function openStorage<S extends OptionsSpec, Shared>(
  module: StorageModule<S, Shared>,
  options: OptionsOf<S>,
  given: Partial<OpenContext> = {},
): Promise<Storage> {
  const context = openContext(given)
  const shared = await module.share?.(options, context)
  let storage: Storage
  try {
    storage = await module.open(options, context, shared?.state)
  } catch (error) {
    await shared?.close()
    throw error
  }
  if (shared === undefined) return storage
  const closeStorage = storage.close.bind(storage)
  let closing: Promise<void> | undefined
  storage.close = () => {
    closing ??= (async () => {
      try {
        await closeStorage()
      } finally {
        await shared.close()
      }
    })()
    return closing
  }
  return storage
}
