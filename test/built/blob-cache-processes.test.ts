/** Processes that share a blob cache, one of which is killed again and again. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openBlobCache } from '../../src/storages/cache/blobs/open.ts'
import { openContext } from '../../src/storages/open.ts'
import type { BlobCacheCounters } from '../../src/storages/storage.ts'
import { freshRandom } from '../fresh-random.ts'
import { dist } from './processes.ts'

const worker = fileURLToPath(new URL('./blob-cache-worker.js', import.meta.url))
const blobBytesLimit = 4 * 1024 ** 2
const objects = 60
const rounds = 4

class Process {
  said = ''
  complaints = ''
  readonly begun: Promise<void>
  readonly ended: Promise<number | null>
  readonly #child: ChildProcess

  constructor(job: Readonly<Record<string, unknown>>) {
    this.#child = spawn(process.execPath, [worker, JSON.stringify(job)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.complaints += chunk.toString()
    })
    this.ended = new Promise((resolve) => this.#child.once('close', resolve))
    this.begun = new Promise((resolve, reject) => {
      this.#child.stdout!.on('data', (chunk: Buffer) => {
        this.said += chunk.toString()
        resolve()
      })
      void this.ended.then(() => reject(new Error(`a process ended by itself: ${this.complaints}`)))
    })
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    this.#child.kill(signal)
    return await this.ended
  }
}

/** What is in its place, in blocks. A file may go while it is looked at. */
function bytesPlaced(folder: string): number {
  let bytes = 0
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.blob')) continue
    const found = statSync(join(folder, name), { throwIfNoEntry: false })
    bytes += Math.ceil((found?.size ?? 0) / 4096) * 4096
  }
  return bytes
}

test('nothing wrong is read, the limit holds, and what the killed left is removed', async () => {
  const random = freshRandom()
  const folder = mkdtempSync(join(tmpdir(), 'shootout-blob-processes-'))
  const blobCacheFolder = join(folder, 'blobs')
  const job = {
    dist: dist.href,
    path: join(folder, 'store.sqlite'),
    blobCacheFolder,
    blobBytesLimit,
    objects,
  }
  const start = () => new Process({ ...job, seed: 1 + random.integer(1_000_000) })
  const steady = [start()]
  const all = [...steady]
  let isOver = false
  let most = 0
  try {
    await steady[0]!.begun
    steady.push(start())
    all.push(steady[1]!)
    await steady[1]!.begun
    const watching = (async () => {
      while (!isOver) {
        most = Math.max(most, bytesPlaced(blobCacheFolder))
        await wait(3)
      }
    })()
    for (let round = 0; round < rounds; round++) {
      const victim = start()
      all.push(victim)
      await victim.begun
      await wait(100 + random.integer(300))
      await victim.end('SIGKILL')
    }
    for (const one of steady) expect(await one.end('SIGTERM'), one.complaints).toBe(0)
    isOver = true
    await watching
    expect(all.map(({ complaints }) => complaints).join('')).toBe('')
    expect(most).toBeLessThanOrEqual(blobBytesLimit)
    const counters = steady.map(
      ({ said }) => JSON.parse(said.trim().split('\n').at(-1)!) as BlobCacheCounters,
    )
    const sum = (name: keyof BlobCacheCounters) => counters.reduce((total, one) => total + one[name], 0)
    expect(sum('hits')).toBeGreaterThan(20)
    expect(sum('evictions')).toBeGreaterThan(0)
    expect(sum('damaged')).toBe(0)
    await openBlobCache({ blobCacheFolder, blobBytesLimit }, openContext())!.close()
    expect(readdirSync(join(blobCacheFolder, 'incoming'))).toEqual([])
  } finally {
    isOver = true
    for (const one of all) await one.end('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})
