/** The state cache under real threads that race for the same few objects in too little room. */

import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import type * as StateCacheModule from '../../src/storages/cache/state-cache.ts'
import { dist } from './processes.ts'

const cacheUrl = new URL('storages/cache/state-cache.js', dist).href
const worker = fileURLToPath(new URL('./cache-worker.js', import.meta.url))
const threads = 4
const seed = Number(process.env['SHOOTOUT_TEST_SEED'] ?? 17)

interface Outcome {
  readonly problems: readonly string[]
  readonly statistics: { readonly hits: number; readonly adds: number; readonly evictions: number }
}

test.each(['s3-fifo', 'slru', 'arc'])(
  'no read is torn while %s evicts under four threads',
  async (policy) => {
    const { createStateCache, StateCache } = (await import(cacheUrl)) as typeof StateCacheModule
    // One shard for all: the lock is fought for as hard as it can be.
    const memory = createStateCache({ bytesLimit: 128 * 1024, shardCount: 1, policy })
    const gate = new Int32Array(new SharedArrayBuffer(8))
    gate[1] = threads
    const outcomes = await Promise.all(
      Array.from({ length: threads }, (_, index) => {
        const workerData = { cacheUrl, memory, gate, seed: seed + index, operations: 100_000, objects: 400 }
        return new Promise<Outcome>((resolve, reject) => {
          const thread = new Worker(worker, { workerData })
          thread.once('message', resolve)
          thread.once('error', reject)
        })
      }),
    )
    for (const { problems } of outcomes) expect(problems, `seed ${seed}`).toEqual([])
    const sum = (count: (outcome: Outcome) => number) =>
      outcomes.reduce((total, one) => total + count(one), 0)
    expect(sum((one) => one.statistics.hits)).toBeGreaterThan(10_000)
    expect(sum((one) => one.statistics.evictions)).toBeGreaterThan(1_000)
    const cache = new StateCache(memory)
    expect(cache.audit()).toEqual([])
    expect(cache.givenUpShards).toBe(0)
  },
)
