/**
 * Makes a broken storage of the memory storage: the same, except that one method of one of its parts is replaced.
 * Each mutant breaks one promise of the storage contract, as somebody might by mistake.
 */

import { maxTid, type Oid } from '../../../src/core/ids.ts'
import memory from '../../../src/storages/memory.ts'
import { openStorage } from '../../../src/storages/open.ts'
import {
  type Capabilities,
  defineStorage,
  type Revision,
  type Storage,
  type StorageInstance,
  type Transaction,
  type VotedTransaction,
} from '../../../src/storages/storage.ts'

/** Replacements for some members of each part. What is left out works as it should. */
export interface Mutation {
  storage?(storage: Storage): Partial<Storage>
  instance?(instance: StorageInstance, storage: Storage): Partial<StorageInstance>
  transaction?(transaction: Transaction, instance: StorageInstance): Partial<Transaction>
  voted?(voted: VotedTransaction): Partial<VotedTransaction>
  readonly capabilities?: Partial<Capabilities>
}

/** `target` with some members replaced. */
function replace<T extends object>(target: T, members: object): T {
  return new Proxy(target, {
    get(_, name) {
      const from = Object.hasOwn(members, name) ? members : target
      const value: unknown = Reflect.get(from, name, from)
      return typeof value === 'function' ? value.bind(from) : value
    },
    has: (_, name) => name in members || name in target,
  })
}

export function mutant(name: string, mutation: Mutation) {
  return defineStorage({
    name,
    summary: 'broken on purpose',
    options: memory.options,
    capabilities: (options) => ({ ...memory.capabilities(options), ...mutation.capabilities }),
    async open(options, context) {
      const storage = await openStorage(memory, options, context)
      return replace(storage, {
        async newInstance() {
          const instance = await storage.newInstance()
          return replace(instance, {
            begin(...given: Parameters<StorageInstance['begin']>) {
              const transaction = instance.begin(...given)
              return replace(transaction, {
                async vote() {
                  const voted = await transaction.vote()
                  return replace(voted, mutation.voted?.(voted) ?? {})
                },
                ...mutation.transaction?.(transaction, instance),
              })
            },
            ...mutation.instance?.(instance, storage),
          })
        },
        ...mutation.storage?.(storage),
      })
    },
  })
}

/** The current revision, whatever the snapshot shows. */
export async function current(instance: StorageInstance, oid: Oid): Promise<Revision | undefined> {
  try {
    return await instance.loadBefore(oid, maxTid)
  } catch {
    return undefined
  }
}
