/**
 * Keeps the cache of a process in a file: fills it before the store is opened, writes it down every so often and in the
 * end. One for each process, in the thread that called `share`; it sees the store through a session of its own, and
 * the file through `CacheFile`, which says why such a file is never stale.
 *
 * The file belongs to one life of one store at one place. Emptying the store begins another life. What cannot be told
 * from that is a store that was put back from a backup: so what the file holds of the newest transactions is compared
 * with the store before it is used, since those are what a backup lacks.
 */

import { describeError } from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { CacheFile, CacheFileLoad } from '../cache/cache-file.ts'
import { SnapshotIndex } from '../cache/snapshot-index.ts'
import type { StateCache } from '../cache/state-cache.ts'
import type { OpenContext } from '../storage.ts'
import type { Poll, SqlAdapter } from './adapter.ts'
import { cacheFileAt, type OpenCacheFile } from './cache-file-at.ts'

/** A crash loses at most this much of what was learnt. */
const savePeriodMs = 60_000

/** Entries of the newest transactions that are compared with the store. */
const comparedMax = 100

export class CacheKeeper {
  readonly #cache: StateCache
  readonly #context: OpenContext
  readonly #adapter: SqlAdapter
  readonly #openFile: OpenCacheFile
  readonly #index: SnapshotIndex
  readonly #view: ReturnType<SnapshotIndex['newView']>
  #file: CacheFile
  #life: number
  #timer: NodeJS.Timeout | undefined
  #saving: Promise<void> | undefined
  #closing: Promise<void> | undefined

  /** @throws ShootoutError `foreign-file`, `driver-missing`, and what opening the store throws */
  static async start(
    path: string,
    cache: StateCache,
    context: OpenContext,
    openAdapter: () => Promise<SqlAdapter>,
  ): Promise<CacheKeeper> {
    const openFile = await cacheFileAt(path, (line) => context.log(line))
    const adapter = await openAdapter()
    try {
      const { life } = await adapter.state()
      const keeper = new CacheKeeper(cache, context, adapter, openFile, life)
      await keeper.#fill()
      keeper.#saveEvery(savePeriodMs)
      return keeper
    } catch (error) {
      await adapter.close()
      throw error
    }
  }

  private constructor(
    cache: StateCache,
    context: OpenContext,
    adapter: SqlAdapter,
    openFile: OpenCacheFile,
    life: number,
  ) {
    this.#cache = cache
    this.#context = context
    this.#adapter = adapter
    this.#openFile = openFile
    this.#life = life
    this.#file = this.#fileOf(life)
    this.#index = new SnapshotIndex(cache)
    this.#view = this.#index.newView()
  }

  #saveEvery(periodMs: number): void {
    this.#timer = setInterval(() => void this.save(), periodMs)
    this.#timer.unref()
  }

  /** A copy of a store has its life too, so the place counts as well. */
  #fileOf(life: number): CacheFile {
    return this.#openFile(`${this.#adapter.title}, life ${life}`)
  }

  async #fill(): Promise<void> {
    const loaded = await this.#file.load(this.#cache)
    if (loaded.entries === 0 || (await this.#isTrue(loaded))) return
    this.#context.log(`${this.#adapter.title}: the persistent cache knows another past and is begun anew`)
    this.#file.clear()
    this.#cache.startNewStore()
  }

  /** What the file says of the newest transactions is what the store says, unless the objects changed since. */
  async #isTrue({ horizon }: CacheFileLoad): Promise<boolean> {
    const newest = this.#newest()
    const reader = await this.#adapter.openReader()
    try {
      const poll = await reader.poll(undefined)
      if (poll.life !== this.#life || poll.seen < horizon!) return false
      const rows = await reader.loadMany([...newest.keys()])
      const serials = new Map(rows.map(({ oid, serial }) => [oid, serial]))
      return [...newest].every(([oid, tid]) => {
        const serial = serials.get(oid)
        return serial === tid || (serial !== undefined && serial > horizon!)
      })
    } finally {
      await reader.close()
    }
  }

  #newest(): ReadonlyMap<Oid, Tid> {
    let newest: { readonly oid: Oid; readonly tid: Tid }[] = []
    for (const keys of this.#cache.keys()) {
      newest = [...newest, ...keys].sort((a, b) => b.tid - a.tid).slice(0, comparedMax)
    }
    return new Map(newest.map(({ oid, tid }) => [oid, tid]))
  }

  /** Writes down what the newest snapshot shows and the cache has. A failure is reported; the next save tries again. */
  save(): Promise<void> {
    this.#saving ??= this.#save()
      .catch((error: unknown) => {
        this.#context.log(
          `${this.#adapter.title}: the persistent cache could not be written (${describeError(error)})`,
        )
      })
      .finally(() => {
        this.#saving = undefined
      })
    return this.#saving
  }

  async #save(): Promise<void> {
    const since = this.#view.beginPoll()
    const poll = await this.#poll(since)
    if (poll.life !== this.#life) {
      // Somebody emptied the store. Tids of before may come again with other contents.
      this.#life = poll.life
      this.#cache.startNewStore()
      await this.#file.close()
      this.#file = this.#fileOf(poll.life)
    }
    this.#view.polled(poll.seen, since, poll.changed)
    await this.#file.save(this.#index)
  }

  async #poll(since: Tid | undefined): Promise<Poll> {
    const reader = await this.#adapter.openReader()
    try {
      return await reader.poll(since)
    } finally {
      await reader.close()
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#saving
    await this.save()
    await this.#file.close()
    await this.#adapter.close()
  }
}
