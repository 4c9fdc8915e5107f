/**
 * What a behaviour works with: one fresh store, storages opened on it, clients of those, and seeded randomness.
 * Everything made through it is ended after the behaviour, whatever happened: clients first (which aborts their
 * transactions), then storages, then what their threads share, then the store.
 */

import type { OptionsOf, OptionsSpec } from '../core/options.ts'
import type { Random } from '../core/random.ts'
import { openContext } from '../storages/open.ts'
import type {
  Capabilities,
  OpenContext,
  ProvisionedStore,
  SharedState,
  Storage,
  StorageInstance,
  StorageModule,
} from '../storages/storage.ts'
import { Calls } from './calls.ts'
import { Client } from './client.ts'
import type { StoreSource } from './stores.ts'

export class Workshop {
  readonly module: StorageModule
  readonly options: OptionsOf<OptionsSpec>
  readonly capabilities: Capabilities
  readonly random: Random
  readonly calls: Calls
  readonly #source: StoreSource
  readonly #instances: StorageInstance[] = []
  readonly #storages: Storage[] = []
  readonly #others: Workshop[] = []
  #store: ProvisionedStore<OptionsSpec> | undefined
  #shared: SharedState<unknown> | undefined
  #main: Storage | undefined

  constructor(
    module: StorageModule,
    options: OptionsOf<OptionsSpec>,
    source: StoreSource,
    random: Random,
    calls = new Calls(),
  ) {
    this.module = module
    this.options = options
    this.capabilities = module.capabilities(options)
    this.random = random
    this.calls = calls
    this.#source = source
  }

  /** The storage that clients are opened on when none is named. Opened at the first call. */
  async storage(): Promise<Storage> {
    this.#main ??= await this.open()
    return this.#main
  }

  /** Opens the store (again). Of reach `isolate`, a store can be open once at a time. */
  async open(given: Partial<OpenContext> = {}): Promise<Storage> {
    const { calls, module } = this
    this.#store ??= await calls.note('newStore', () => this.#source.newStore())
    const { options } = this.#store
    const context = openContext(given)
    this.#shared ??= await calls.note('share', () => module.share?.(options, context))
    const opened = await calls.note('open', () => module.open(options, context, this.#shared?.state))
    const storage = calls.watch('storage', opened)
    this.#storages.push(storage)
    return storage
  }

  /** Opens the store, and makes clients use this storage when none is named. */
  async openWith(given: Partial<OpenContext>): Promise<Storage> {
    this.#main = await this.open(given)
    return this.#main
  }

  async client(storage?: Storage): Promise<Client> {
    const opened = storage ?? (await this.storage())
    return new Client(opened, await this.instance(opened))
  }

  async clients(count: number, storage?: Storage): Promise<readonly Client[]> {
    const clients: Client[] = []
    while (clients.length < count) clients.push(await this.client(storage))
    return clients
  }

  async instance(storage: Storage): Promise<StorageInstance> {
    const instance = await storage.newInstance()
    this.#instances.push(instance)
    return instance
  }

  /** Closes everything that is open on the store and opens it anew. */
  async reopen(given: Partial<OpenContext> = {}): Promise<Storage> {
    await this.closeAll()
    return await this.openWith(given)
  }

  /** A workshop with another store. */
  another(): Workshop {
    const random = this.random.split('another')
    const other = new Workshop(this.module, this.options, this.#source, random, this.calls)
    this.#others.push(other)
    return other
  }

  /** Closes what is open; the store stays. */
  async closeAll(): Promise<void> {
    for (const instance of this.#instances.splice(0)) await instance.release()
    for (const storage of this.#storages.splice(0)) await storage.close()
    this.#main = undefined
    await this.calls.note('share.close', () => this.#shared?.close())
    this.#shared = undefined
  }

  async dispose(): Promise<void> {
    for (const other of this.#others) await other.dispose()
    await this.closeAll()
    await this.calls.note('store.dispose', () => this.#store?.dispose())
  }
}
