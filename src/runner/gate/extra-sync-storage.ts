/**
 * Any storage, with one flush to disk more per commit: a regression of known size, for the selftest. It flushes a file
 * of its own and counts that, as a storage would that had become careless.
 */

import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { option } from '../../core/options.ts'
import { loadStorageModule } from '../../storages/registry.ts'
import {
  type Awaitable,
  defineStorage,
  type Storage,
  type StorageInstance,
  type StorageModule,
} from '../../storages/storage.ts'

/** As an assignment carries them; nobody writes them by hand. */
export interface ExtraSyncOptions {
  /** URL of the storage that does the work. */
  readonly base: string
  readonly baseOptions: Readonly<Record<string, unknown>>
  /** Existing folder for the file that is flushed. */
  readonly folder: string
}

const text = option.string({ default: '', summary: 'set by the selftest' })

export default defineStorage({
  name: 'extra-sync',
  summary: 'another storage with one more flush to disk per commit, for the selftest',
  options: { base: text, baseOptions: text, folder: text },
  capabilities() {
    // The assignment carries those of the storage below.
    throw new Error('extra-sync has no capabilities of its own')
  },
  async share(options, context) {
    const { base, baseOptions } = given(options)
    const shared = await (await loadStorageModule(base)).share?.(baseOptions, context)
    return shared ?? { state: undefined, close: () => {} }
  },
  async open(options, context, shared: unknown) {
    const { base, baseOptions, folder } = given(options)
    const module: StorageModule = await loadStorageModule(base)
    return withExtraSync(await module.open(baseOptions, context, shared), folder)
  },
})

function given(options: unknown): ExtraSyncOptions {
  return options as ExtraSyncOptions
}

function withExtraSync(storage: Storage, folder: string): Storage {
  const file = openSync(join(folder, `extra-sync-${process.pid}`), 'a')
  const record = Buffer.alloc(64, 'x')
  let syncs = 0
  const counters = storage.counters.bind(storage)
  const newInstance = storage.newInstance.bind(storage)
  const close = storage.close.bind(storage)
  storage.counters = () => {
    const own = counters()
    return { ...own, syncs: own.syncs + syncs }
  }
  const slowDown = (instance: StorageInstance): StorageInstance => {
    const begin = instance.begin.bind(instance)
    instance.begin = (metadata) => {
      const transaction = begin(metadata)
      const vote = transaction.vote.bind(transaction)
      transaction.vote = () => {
        writeSync(file, record)
        fdatasyncSync(file)
        syncs++
        return vote()
      }
      return transaction
    }
    return instance
  }
  storage.newInstance = (): Awaitable<StorageInstance> => {
    const instance = newInstance()
    return instance instanceof Promise ? instance.then(slowDown) : slowDown(instance)
  }
  let isOpen = true
  storage.close = async () => {
    await close()
    if (isOpen) closeSync(file)
    isOpen = false
  }
  return storage
}
