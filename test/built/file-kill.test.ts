/** A committing process is killed at any moment, again and again; whatever it was told is committed is there. */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Random } from '../../src/core/random.ts'
import type { FileStorage } from '../../src/storages/file/storage.ts'
import { current, oid, openFile, text } from '../storages/file/support.ts'
import { dist } from './processes.ts'

const worker = fileURLToPath(new URL('./file-worker.js', import.meta.url))

const rounds = Number(process.env['SHOOTOUT_KILL_ROUNDS'] ?? (process.env['CI'] === undefined ? 25 : 200))
const tasks = 3

/** Runs the process until it has confirmed a few commits and a random time has passed. Returns what it said. */
async function runAndKill(path: string, threads: number, random: Random): Promise<string> {
  const job = { dist: dist.href, path, threads, tasks, task: 'confirm' }
  const child = spawn(process.execPath, [worker, JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString()
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      resolve()
    })
    child.once('exit', () => reject(new Error(`the process ended by itself: ${complaints}`)))
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await wait(random.integer(40))
  child.kill('SIGKILL')
  await ended
  expect(complaints).toBe('')
  return said
}

/** Every blob that an object has says what the object says. Returns how many there are. */
async function checkBlobs(storage: FileStorage, oids: readonly number[]): Promise<number> {
  const instance = storage.newInstance()
  instance.pollInvalidations()
  let count = 0
  for (const id of oids) {
    const reader = instance.openBlob(oid(id))
    if (reader === undefined) continue
    expect(text(await reader.read(0, reader.bytes))).toBe(text(instance.load(oid(id)).data))
    count++
  }
  instance.release()
  return count
}

test(`nothing that was confirmed is lost in ${rounds} rounds of kill -9`, async () => {
  const seed = 'kill'
  const folder = mkdtempSync(join(tmpdir(), 'shootout-file-kill-'))
  const path = join(folder, 'data.log')
  const confirmed = new Map<number, number>()
  let blobs = 0
  try {
    // On a busy machine a few rounds may pass before the first blob is confirmed.
    for (let round = 0; round < rounds || (blobs === 0 && round < 10 * rounds); round++) {
      const random = new Random(`${seed}/${round}`)
      const said = await runAndKill(path, round % 4 === 3 ? 2 : 0, random)
      for (const line of said.split('\n').slice(0, -1)) {
        const [oid, value] = line.split(' ').map(Number)
        confirmed.set(oid!, value!)
      }
      const storage = await openFile(path)
      blobs += await checkBlobs(storage, [...confirmed.keys()])
      for (const [oid, value] of confirmed) {
        const found = Number((await current(storage, oid))?.trimEnd())
        // The last one may have been committed without the process living to say so.
        expect([value, value + 1], `object ${oid}, seed ${seed}/${round}`).toContain(found)
        confirmed.set(oid, found)
      }
      await storage.close()
    }
    expect(Math.max(...confirmed.values())).toBeGreaterThan(rounds)
    expect(blobs).toBeGreaterThan(0)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 900_000)
