/**
 * The object index over the state cache: examples, and random histories against a model that keeps everything.
 * Several isolates are several `StateCache` objects over the same memory.
 */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asOid, asTid, noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { type Change, SnapshotIndex } from '../../../src/storages/cache/snapshot-index.ts'
import type { SnapshotMark, SnapshotView } from '../../../src/storages/cache/snapshot-view.ts'
import { createStateCache, StateCache } from '../../../src/storages/cache/state-cache.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (data: Uint8Array): string => new TextDecoder().decode(data)

/** A store that remembers every revision. */
class ModelStore {
  readonly commits: { readonly tid: Tid; readonly states: ReadonlyMap<Oid, string | null> }[] = []
  lastTid: Tid
  readonly name: string

  constructor(name: string, firstTid: number) {
    this.name = name
    this.lastTid = asTid(firstTid)
  }

  commit(oids: readonly number[], deletes: boolean): Tid {
    const tid = asTid(this.lastTid + 1)
    this.lastTid = tid
    const state = (oid: number) => (deletes ? null : `${this.name}: ${oid} at ${tid}`)
    this.commits.push({ tid, states: new Map(oids.map((oid) => [asOid(oid), state(oid)])) })
    return tid
  }

  shown(oid: Oid, at: Tid): { readonly serial: Tid; readonly text: string | null } | undefined {
    const commit = this.commits.findLast(({ tid, states }) => tid <= at && states.has(oid))
    return commit && { serial: commit.tid, text: commit.states.get(oid)! }
  }

  changes(since: Tid, to: Tid, withOldOnes: boolean): Change[] {
    const all = this.commits
      .filter(({ tid }) => tid > since && tid <= to)
      .flatMap(({ tid, states }) => [...states.keys()].map((oid) => ({ oid, tid })))
    if (withOldOnes) return all
    return [...new Map(all.map((change) => [change.oid, change])).values()]
  }
}

interface Reader {
  readonly index: SnapshotIndex
  readonly view: SnapshotView
  store: ModelStore
  /** A poll whose answer is on its way. */
  pending?: { store: ModelStore; since: Tid | undefined; horizon: Tid; changes: Change[] | 'all' } | undefined
  /** Loads whose answers are on their way. */
  readonly loads: { oid: Oid; serial: Tid; text: string; snapshot: SnapshotMark }[]
}

type Step =
  | {
      readonly do: 'commit'
      readonly isolate: number
      readonly oids: readonly number[]
      readonly deletes: boolean
      /** The index hears which transaction was the one before. */
      readonly told: boolean
    }
  | { readonly do: 'ask'; readonly reader: number; readonly all: boolean; readonly old: boolean }
  | { readonly do: 'answer' | 'arrive' | 'poll'; readonly reader: number }
  | { readonly do: 'find' | 'load'; readonly reader: number; readonly oid: number }
  | { readonly do: 'forget'; readonly isolate: number }
  | { readonly do: 'clear' }
  | { readonly do: 'replace' }

const oid = fc.nat({ max: 7 })
const reader = fc.nat({ max: 3 })
const isolate = fc.nat({ max: 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('commit' as const),
      isolate,
      oids: fc.uniqueArray(oid, { minLength: 1, maxLength: 3 }),
      deletes: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      told: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      reader,
      all: fc.integer({ min: 0, max: 15 }).map((n) => n === 0),
      old: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('answer' as const), reader }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('poll' as const), reader }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('arrive' as const), reader }) },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('find' as const), reader, oid }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('load' as const), reader, oid }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), isolate }) },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'clear' as const }, { do: 'replace' as const }) },
)

function run(steps: readonly Step[], limits: { changedMax: number; behindMax: number }): number {
  const memory = createStateCache({ bytesLimit: 128 * 1024, shardCount: 2 })
  const caches = [new StateCache(memory), new StateCache(memory)]
  const indexes = caches.map((cache) => new SnapshotIndex(cache, limits))
  let store = new ModelStore('store 0', 10)
  let replaced = 0
  let hits = 0
  const readers = Array.from({ length: 4 }, (_, number): Reader => {
    const index = indexes[number % 2]!
    return { index, view: index.newView(), store, loads: [] }
  })

  for (const one of steps) {
    if (one.do === 'commit') {
      const previous = store.lastTid
      const tid = store.commit(one.oids, one.deletes)
      const records = [...store.commits.at(-1)!.states].map(([oid, text]) => ({
        oid,
        data: text === null ? null : bytesOf(text),
      }))
      indexes[one.isolate]!.committed(tid, records, one.told ? previous : undefined)
    } else if (one.do === 'forget') {
      indexes[one.isolate]!.forget()
    } else if (one.do === 'clear') {
      caches[0]!.clear()
    } else if (one.do === 'replace') {
      // The same tids come again, with other contents.
      store = new ModelStore(`store ${++replaced}`, 10)
      caches[1]!.startNewStore()
    } else {
      hits += readerStep(one, readers[one.reader]!, store)
    }
  }
  for (const cache of caches) expect(cache.audit()).toEqual([])
  for (const index of indexes) {
    const polls = readers.filter((one) => one.index === index && one.pending !== undefined).length
    expect(index.depth.ranges).toBeLessThanOrEqual(2 + polls)
  }
  return hits
}

function readerStep(one: Step & { readonly reader: number }, reader: Reader, store: ModelStore): number {
  const { view } = reader
  if (one.do === 'poll') {
    readerStep({ do: 'ask', reader: one.reader, all: false, old: false }, reader, store)
    return readerStep({ do: 'answer', reader: one.reader }, reader, store)
  }
  if (one.do === 'ask') {
    if (reader.pending !== undefined) return 0
    const since = view.beginPoll()
    const horizon = store.lastTid
    const changes =
      one.all || since === undefined || since > horizon ? 'all' : store.changes(since, horizon, one.old)
    reader.pending = { store, since, horizon, changes }
  } else if (one.do === 'answer') {
    const { pending } = reader
    if (pending === undefined) return 0
    const previous = view.horizon
    const reported = view.polled(pending.horizon, pending.since, pending.changes)
    if (previous !== undefined && pending.store !== reader.store) expect(reported).toBe('all')
    else if (previous !== undefined && reported !== 'all') {
      const tids = new Map(reported.map((change) => [change.oid, change.tid]))
      for (const { oid, tid } of pending.store.changes(previous, pending.horizon, false)) {
        expect(tids.has(oid), `object ${oid} changed in ${tid}, and was not reported`).toBe(true)
        if (tids.get(oid) !== noTid) expect(tids.get(oid)).toBeGreaterThanOrEqual(tid)
      }
    }
    reader.store = pending.store
    reader.pending = undefined
    expect(view.horizon).toBe(pending.horizon)
  } else if (one.do === 'arrive') {
    const load = reader.loads.shift()
    if (load !== undefined) view.loaded(load.oid, load.serial, bytesOf(load.text), load.snapshot)
  } else if (view.horizon !== undefined && (one.do === 'find' || one.do === 'load')) {
    const oid = asOid(one.oid)
    const shown = reader.store.shown(oid, view.horizon)
    if (one.do === 'find') {
      const found = view.find(oid)
      if (found === undefined) return 0
      expect({ serial: found.serial, text: textOf(found.data) }).toEqual(shown)
      return 1
    }
    if (shown?.text != null) {
      reader.loads.push({ oid, serial: shown.serial, text: shown.text, snapshot: view.snapshot! })
    }
  }
  return 0
}

describe('random histories', () => {
  test('a view never answers with what its snapshot does not show, and reports all that changed', () => {
    let hits = 0
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 50, maxLength: 300, size: 'max' }),
        fc.constantFrom(
          { changedMax: 1000, behindMax: 1000 },
          { changedMax: 4, behindMax: 1000 },
          { changedMax: 1000, behindMax: 3 },
          { changedMax: 2, behindMax: 2 },
        ),
        (steps, limits) => {
          hits += run(steps, limits)
        },
      ),
      { numRuns: 400, seed: Number(process.env['SHOOTOUT_TEST_SEED'] ?? 20030418) },
    )
    // The claim would be empty if the cache never answered.
    expect(hits).toBeGreaterThan(3000)
  })
})

describe('sharing', () => {
  const setUp = (options = {}) => {
    const memory = createStateCache({ bytesLimit: 1024 ** 2 })
    const indexes = [new StateCache(memory), new StateCache(memory)].map(
      (cache) => new SnapshotIndex(cache, options),
    )
    return { first: indexes[0]!, second: indexes[1]! }
  }
  const poll = (view: SnapshotView, horizon: number, changes: readonly (readonly [number, number])[]) => {
    const since = view.beginPoll()
    const list = changes.map(([oid, tid]) => ({ oid: asOid(oid), tid: asTid(tid) }))
    return view.polled(asTid(horizon), since, since === undefined ? 'all' : list)
  }

  test('what one thread loaded, another finds without asking, though it polled later', () => {
    const { first, second } = setUp()
    const [a, b] = [first.newView(), second.newView()]
    poll(a, 100, [])
    a.loaded(asOid(1), asTid(50), bytesOf('one'), a.snapshot!)
    a.loaded(asOid(2), asTid(60), bytesOf('two'), a.snapshot!)
    expect(b.beginPoll()).toBe(100)
    poll(b, 120, [[2, 110]])
    expect(textOf(b.find(asOid(1))!.data)).toBe('one')
    expect(b.find(asOid(2))).toBeUndefined()
  })

  test('a view that is behind still finds the revision before the change', () => {
    const { first } = setUp()
    const [behind, ahead] = [first.newView(), first.newView()]
    poll(behind, 100, [])
    behind.loaded(asOid(1), asTid(50), bytesOf('old'), behind.snapshot!)
    poll(ahead, 120, [[1, 120]])
    first.committed(asTid(120), [{ oid: asOid(1), data: bytesOf('new') }])
    expect(textOf(behind.find(asOid(1))!.data)).toBe('old')
    expect(textOf(ahead.find(asOid(1))!.data)).toBe('new')
    expect(poll(behind, 120, [])).toEqual([{ oid: 1, tid: 120 }])
    expect(textOf(behind.find(asOid(1))!.data)).toBe('new')
  })

  test('a snapshot between two that others polled gets its own place', () => {
    const { first } = setUp()
    const [a, b, c] = [first.newView(), first.newView(), first.newView()]
    for (const view of [a, b, c]) poll(view, 100, [])
    const since = b.beginPoll()
    poll(a, 120, [
      [1, 110],
      [2, 120],
      [3, 120],
    ])
    first.committed(asTid(105), [{ oid: asOid(3), data: bytesOf('three at 105') }])
    expect(b.polled(asTid(110), since, [change(1, 110), change(3, 105)])).toHaveLength(2)
    expect(b.isAttached).toBe(true)
    expect(textOf(b.find(asOid(3))!.data)).toBe('three at 105')
    expect(new Set(poll(b, 120, []) as Change[])).toEqual(new Set([change(2, 120), change(3, 120)]))
    expect(poll(c, 120, [])).toHaveLength(3)
  })

  test('a commit that is known to be next need not be asked for', () => {
    const { first } = setUp()
    const [mine, other] = [first.newView(), first.newView()]
    poll(mine, 100, [])
    poll(other, 100, [])
    other.loaded(asOid(1), asTid(50), bytesOf('old'), other.snapshot!)
    first.committed(asTid(110), [{ oid: asOid(1), data: bytesOf('new') }], asTid(100))
    expect(mine.beginPoll()).toBe(110)
    expect(textOf(other.find(asOid(1))!.data)).toBe('old')
    expect(poll(mine, 110, [])).toEqual([change(1, 110)])
    expect(textOf(mine.find(asOid(1))!.data)).toBe('new')
    // Something in between is not known: then the backend must be asked.
    first.committed(asTid(130), [{ oid: asOid(1), data: bytesOf('newest') }], asTid(120))
    expect(other.beginPoll()).toBe(110)
  })

  test('what a poll finds goes on from where it asked, though commits were heard of before its answer came', () => {
    const { first } = setUp()
    const [a, b] = [first.newView(), first.newView()]
    const commit = (oid: number, tid: number, previous: number) =>
      first.committed(asTid(tid), [{ oid: asOid(oid), data: bytesOf('new') }], asTid(previous))
    poll(a, 100, [])
    poll(b, 100, [])
    commit(1, 110, 100)
    const since = a.beginPoll()
    expect(since).toBe(110)
    commit(2, 120, 110)
    commit(3, 130, 120)
    const changes = [{ oid: asOid(2), tid: asTid(120) }]
    expect(a.polled(asTid(120), since, changes)).toEqual([
      { oid: asOid(1), tid: asTid(110) },
      { oid: asOid(2), tid: asTid(120) },
    ])
    expect(poll(a, 130, [])).toEqual([{ oid: asOid(3), tid: asTid(130) }])
    expect(poll(b, 130, [])).toHaveLength(3)
    expect(first.depth).toEqual({ ranges: 0, entries: 0 })
  })

  test('a store that went back to an earlier time is not trusted to be the same', () => {
    const { first, second } = setUp()
    const [a, b] = [first.newView(), second.newView()]
    poll(a, 100, [])
    a.loaded(asOid(1), asTid(90), bytesOf('lost'), a.snapshot!)
    // A backup was put in place, and something else was committed.
    expect(b.beginPoll()).toBe(100)
    expect(poll(b, 80, [])).toBe('all')
    expect(b.beginPoll()).toBeUndefined()
    expect(poll(b, 200, [])).toBe('all')
    expect(b.find(asOid(1))).toBeUndefined()
    expect(poll(a, 200, [])).toBe('all')
    expect(a.find(asOid(1))).toBeUndefined()
  })

  test('never keeps more ranges than views, however many polls there are', () => {
    const { first } = setUp()
    const [idle, busy, other] = [first.newView(), first.newView(), first.newView()]
    poll(idle, 1, [])
    for (let tid = 2; tid < 500; tid++) {
      poll(tid % 3 === 0 ? other : busy, tid, [[tid % 50, tid]])
      expect(first.depth.ranges).toBeLessThanOrEqual(2)
      expect(first.depth.entries).toBeLessThanOrEqual(100)
    }
    expect(poll(idle, 500, [])).toHaveLength(50)
    idle.release()
    busy.release()
    expect(first.depth.ranges).toBeLessThanOrEqual(1)
  })

  test('a view that is too far behind is detached, asks for its own changes, and drops nothing else', () => {
    const { first } = setUp({ behindMax: 10 })
    const [behind, busy] = [first.newView(), first.newView()]
    poll(behind, 100, [])
    behind.loaded(asOid(1), asTid(50), bytesOf('one'), behind.snapshot!)
    poll(
      busy,
      200,
      Array.from({ length: 11 }, (_, n) => [n + 10, 200] as const),
    )
    expect(behind.isAttached).toBe(false)
    expect(textOf(behind.find(asOid(1))!.data)).toBe('one')
    expect(behind.beginPoll()).toBe(100)
    expect(poll(behind, 201, [[5, 201]])).toEqual([change(5, 201)])
    expect(behind.isAttached).toBe(true)
  })
})

const change = (oid: number, tid: number): Change => ({ oid: asOid(oid), tid: asTid(tid) })
