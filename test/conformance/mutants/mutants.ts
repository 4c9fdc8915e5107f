/** The mutants, each with the topic that must notice it and what the failure must say. */

import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import type { Revision } from '../../../src/storages/storage.ts'
import { current, type Mutation, mutant } from './mutate.ts'

export interface MutantCase {
  readonly name: string
  readonly mutation: Mutation
  /** Topic that must notice it. */
  readonly topic: string
  /** One failure of that topic must have this in its name, … */
  readonly claim: string
  /** … and this in its message. */
  readonly message: RegExp
  readonly options?: Readonly<Record<string, unknown>>
}

const withHistory = { history: true }

export const mutants: readonly MutantCase[] = [
  {
    name: 'loses an invalidation when several objects changed',
    topic: 'races',
    claim: 'two objects kept equal: one writer, one verifier',
    message: /lost invalidation or stale read|two objects that are kept equal differ/,
    mutation: {
      instance: (instance) => ({
        async pollInvalidations() {
          const changed = await instance.pollInvalidations()
          return changed === 'all' || changed.size < 2 ? changed : new Set([...changed].slice(1))
        },
      }),
    },
  },
  {
    name: 'reports changed objects only when this instance has read them',
    topic: 'invalidations',
    claim: 'a poll reports objects that others created',
    message: /lost invalidation: the reader is not told that object \d+ changed/,
    mutation: {
      instance(instance) {
        const known = new Set<Oid>()
        return {
          async load(oid) {
            const revision = await instance.load(oid)
            known.add(oid)
            return revision
          },
          async pollInvalidations() {
            const changed = await instance.pollInvalidations()
            return changed === 'all' ? changed : new Set([...changed].filter((oid) => known.has(oid)))
          },
        }
      },
    },
  },
  {
    name: 'reports an instance’s own changes to itself',
    topic: 'invalidations',
    claim: 'an instance is not told of its own changes',
    message: /what the committer is told is \{\d+\}, should be \{\}/,
    mutation: {
      instance(instance) {
        const own = new Set<Oid>()
        return {
          begin(metadata) {
            const transaction = instance.begin(metadata)
            return {
              store(oid, serial, data) {
                own.add(oid)
                return transaction.store(oid, serial, data)
              },
              readCurrent: (oid, serial) => transaction.readCurrent(oid, serial),
              vote: () => transaction.vote(),
              abort: () => transaction.abort(),
            }
          },
          async pollInvalidations() {
            const changed = await instance.pollInvalidations()
            return changed === 'all' ? changed : new Set([...changed, ...own])
          },
        }
      },
    },
  },
  {
    name: 'shows half of a transaction before the snapshot moves',
    topic: 'snapshots',
    claim: 'a snapshot never shows half of a transaction',
    message: /the number of different values in one snapshot .* is 2, should be 1/,
    mutation: {
      instance: (instance) => ({
        async load(oid) {
          const revision = await instance.load(oid)
          return oid % 2 === 0 ? ((await current(instance, oid)) ?? revision) : revision
        },
      }),
    },
  },
  {
    name: 'serves a cached revision for ever',
    topic: 'basics',
    claim: 'a later revision replaces an earlier one',
    message: /the object is "first", should be "second"/,
    mutation: {
      instance(instance) {
        const cache = new Map<Oid, Revision>()
        return {
          async load(oid) {
            const revision = cache.get(oid) ?? (await instance.load(oid))
            cache.set(oid, revision)
            return revision
          },
        }
      },
    },
  },
  {
    name: 'calls onTid after the transaction is visible',
    topic: 'two-phase commit',
    claim: 'lastTid does not tell of the transaction before onTid has run',
    message: /lastTid while onTid runs is \d+, should be \d+/,
    mutation: {
      voted: (voted) => ({
        async finish(onTid) {
          const tid = await voted.finish()
          onTid?.(tid)
          return tid
        },
      }),
    },
  },
  {
    name: 'lets a moment pass between visible and onTid',
    topic: 'two-phase commit',
    claim: 'nobody sees the transaction before onTid has run',
    message: /whoever sees the transaction, onTid has run before/,
    mutation: {
      voted: (voted) => ({
        async finish(onTid) {
          const tid = await voted.finish()
          await new Promise((resolve) => setImmediate(resolve))
          onTid?.(tid)
          return tid
        },
      }),
    },
  },
  {
    name: 'overwrites what others committed',
    topic: 'conflicts',
    claim: 'a change of a stale revision is a conflict',
    message: /a stale store must be refused with conflict, but it was carried out/,
    mutation: {
      transaction: (transaction, instance) => ({
        async store(oid, _serial, data) {
          await transaction.store(oid, (await current(instance, oid))?.serial ?? noTid, data)
        },
      }),
    },
  },
  {
    name: 'ignores readCurrent',
    topic: 'read current',
    claim: 'two that each read what the other writes never both win',
    message: /at most one of two crossing transactions commits/,
    mutation: { transaction: () => ({ readCurrent() {} }) },
  },
  {
    name: 'lets lastTid go back',
    topic: 'concurrency',
    claim: 'lastTid never goes back',
    message: /lastTid (\d+ is not before \d+|is not before a commit that has finished)/,
    mutation: {
      storage(storage) {
        let looks = 0
        return {
          get lastTid() {
            return (++looks % 3 === 0 ? storage.lastTid - 1 : storage.lastTid) as Tid
          },
        }
      },
    },
  },
  {
    name: 'returns a tid that no revision has',
    topic: 'basics',
    claim: 'the serial of a revision is the tid that finish returned',
    message: /the serial is \d+, should be \d+/,
    mutation: { voted: (voted) => ({ finish: async (onTid) => ((await voted.finish(onTid)) + 1) as Tid }) },
  },
  {
    name: 'commits on abort',
    topic: 'two-phase commit',
    claim: 'abort after the vote leaves no trace',
    message: /the changed object is "after", should be "before"/,
    mutation: {
      voted: (voted) => ({
        async abort() {
          await voted.finish()
        },
      }),
    },
  },
  {
    name: 'reads the present instead of the snapshot',
    topic: 'snapshots',
    claim: 'an object reads the same while others change it',
    message: /the object after change 0 is "new 0", should be "old"/,
    mutation: {
      instance: (instance) => ({
        async load(oid) {
          await instance.pollInvalidations()
          return await instance.load(oid)
        },
      }),
    },
  },
  {
    name: 'gives the same object ids to everybody',
    topic: 'object ids',
    claim: 'instances that ask at the same time get different ids',
    message: /the number of different ids is \d+, should be 1400/,
    mutation: {
      instance() {
        let next = 1
        return { newOids: (count) => Array.from({ length: count }, () => next++ as Oid) }
      },
    },
  },
  {
    name: 'does not say what it merged',
    topic: 'conflict resolution',
    claim: 'the merged object is in resolvedOids, the others are not',
    message: /resolvedOids is \[\], should be \[\d+\]/,
    mutation: { voted: () => ({ resolvedOids: [] }) },
  },
  {
    name: 'swallows what onTid throws',
    topic: 'two-phase commit',
    claim: 'an exception in onTid is thrown by finish, and the transaction stands',
    message: /finish throws what onTid threw/,
    mutation: {
      voted: (voted) => ({
        finish: (onTid) =>
          voted.finish((tid) => {
            try {
              onTid?.(tid)
            } catch {
              // Swallowing it is the defect that the suite has to notice.
            }
          }),
      }),
    },
  },
  {
    name: 'collects objects that can be reached',
    topic: 'garbage',
    claim: 'objects that cannot be reached from the root go',
    message: /removed objects is 3, should be 1/,
    mutation: {
      storage: (storage) => ({ pack: (options) => storage.pack!({ ...options, references: () => [] }) }),
    },
  },
  {
    name: 'forgets history that it claims',
    topic: 'history',
    claim: 'every one of ten revisions is found',
    message: /the text of revision \d is undefined, should be "\d"/,
    mutation: { capabilities: { history: true } },
  },
  {
    name: 'claims a prefetch that it does not have',
    topic: 'honesty',
    claim: '`prefetch` tells whether there is a prefetch',
    message: /that there is a prefetch is false, should be true/,
    mutation: { capabilities: { prefetch: true } },
  },
  {
    name: 'reuses the memory that it returned',
    topic: 'basics',
    claim: 'returned bytes stay as they are when the object changes',
    message: /the bytes that were returned first is "after.*", should be "before"/,
    mutation: {
      instance(instance) {
        const buffer = new Uint8Array(100_000)
        return {
          async load(oid) {
            const { data, serial } = await instance.load(oid)
            buffer.set(data.subarray(0, buffer.length))
            return { data: buffer.subarray(0, data.length), serial }
          },
        }
      },
    },
  },
  {
    name: 'answers loadMany without gaps',
    topic: 'load many',
    claim: 'has undefined where there is no object',
    message: /the texts is \["a", "b"\], should be \[undefined, "a", undefined, "b"\]/,
    mutation: {
      instance: (instance) => ({
        async loadMany(oids) {
          return (await instance.loadMany(oids)).filter((revision) => revision !== undefined)
        },
      }),
    },
  },
  {
    name: 'shows later commits to an iteration',
    topic: 'iteration',
    claim: 'commits after the call are not seen',
    message: /the tids is/,
    mutation: {
      storage: (storage) => ({
        async *iterate(from, to) {
          yield* storage.iterate!(from, to)
        },
      }),
    },
  },
  {
    name: 'restores with a tid of its own',
    topic: 'restore',
    claim: 'the tid is kept',
    message: /lastTid is \d+, should be 1000000/,
    mutation: {
      storage: (storage) => ({
        restore: (transaction) => storage.restore!({ ...transaction, tid: (transaction.tid + 1) as Tid }),
      }),
    },
  },
  {
    name: 'restores without what a pack had removed before',
    topic: 'restore',
    claim: 'a copy of a packed store undoes nothing from before the pack, nor does a copy of the copy',
    message: /undoing a packed transaction must be refused, but it was carried out/,
    options: withHistory,
    mutation: {
      storage: (storage) => ({
        restore: ({ tid, metadata, records }) => storage.restore!({ tid, metadata, records }),
      }),
    },
  },
  {
    name: 'restores what a pack had removed as if it were of that transaction alone',
    topic: 'restore',
    claim: 'a copy of a packed store does not take its history for whole, also after reopening',
    message: /the copy says at least what its source says/,
    options: withHistory,
    mutation: {
      storage: (storage) => ({
        restore: ({ wholeSince, ...rest }) =>
          storage.restore!(wholeSince === undefined ? rest : { ...rest, wholeSince: rest.tid }),
      }),
    },
  },
  {
    name: 'counts nothing',
    topic: 'counters',
    claim: 'a commit counts its revisions and their bytes',
    message: /commits, stores and storedBytes is \[0, 0, 0\], should be \[1, 3, 6\]/,
    mutation: {
      storage(storage) {
        const first = storage.counters()
        return { counters: () => ({ ...first }) }
      },
    },
  },
  {
    name: 'works on after release',
    topic: 'basics',
    claim: 'a released instance refuses to work, and releasing twice is fine',
    message: /a poll of a released instance must be refused with closed, but it was carried out/,
    mutation: { instance: () => ({ release() {} }) },
  },
  {
    name: 'keeps data through zap',
    topic: 'zap',
    claim: 'everything is gone',
    message: /lastTid is \d+, should be 0/,
    mutation: { storage: () => ({ async zap() {} }) },
  },
  {
    name: 'shows the newest blob to every snapshot',
    topic: 'blob transactions',
    claim: 'a snapshot shows the blob that it has',
    message: /the size of the blob in the old snapshot is 6000, should be 5000/,
    mutation: {
      instance: (instance) => ({
        async openBlob(oid) {
          await instance.pollInvalidations()
          return await instance.openBlob!(oid)
        },
      }),
    },
  },
  {
    name: 'takes a blob without waiting for its chunks',
    topic: 'blobs',
    claim: 'a source is asked for one chunk at a time',
    message: /chunks asked for at once, and whether it ended is \[30, true\], should be \[1, true\]/,
    mutation: {
      transaction: (transaction) => ({
        async storeBlob(oid, serial, data, source) {
          const iterator = (source as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
          const all = await Promise.all(Array.from({ length: 30 }, () => iterator.next()))
          while (!all.at(-1)?.done) all.push(await iterator.next())
          await transaction.storeBlob!(
            oid,
            serial,
            data,
            all.flatMap((result) => (result.done ? [] : [result.value])),
          )
        },
      }),
    },
  },
  {
    name: 'deletes nothing',
    topic: 'deletion',
    claim: 'a deleted object is not found',
    message: /loading it must be refused with object-not-found, but it was carried out/,
    mutation: { transaction: () => ({ delete() {} }) },
  },
  {
    name: 'undoes nothing',
    topic: 'undo',
    claim: 'the newest change is taken back',
    message: /the object is "b", should be "a"/,
    options: withHistory,
    mutation: { transaction: () => ({ undo: async () => [] }) },
  },
  {
    name: 'allows writing when opened for reading',
    topic: 'read-only',
    claim: 'begin is refused',
    message: /begin must be refused with read-only, but it was carried out/,
    mutation: {
      instance: () => ({
        begin: () => ({
          store() {},
          readCurrent() {},
          vote: () => Promise.reject(new Error('no')),
          abort() {},
        }),
      }),
    },
  },
  {
    name: 'throws errors without a code',
    topic: 'conflicts',
    claim: 'a change of a stale revision is a conflict',
    message: /must be refused with conflict, but it failed with: Error: somebody was faster/,
    mutation: {
      transaction: (transaction) => ({
        async vote() {
          try {
            return await transaction.vote()
          } catch {
            throw new Error('somebody was faster')
          }
        },
      }),
    },
  },
]

export const mutantModule = ({ name, mutation }: MutantCase) =>
  mutant(name.toLowerCase().replaceAll(/[^a-z]+/g, '-'), mutation)
