/**
 * The file storage on a disk that fails (the fault model stands in simulated-file-system.ts).
 *
 * The promise that is checked after every failure: each transaction whose `finish` returned is there whole, every
 * other is there whole or not at all, what is loaded is what the newest of them wrote, and opening once more changes
 * nothing.
 */

import { describe, expect, test } from 'vitest'
import { describeError } from '../../src/core/errors.ts'
import type { Oid, Tid } from '../../src/core/ids.ts'
import { Random } from '../../src/core/random.ts'
import { type OpenedLog, openSimulated } from '../storages/file/support.ts'
import { SimulatedFileSystem } from './simulated-file-system.ts'

const path = '/disk/data.log'
const objects = 12

const open = (files: SimulatedFileSystem, checkpointBytes = 1 << 30): Promise<OpenedLog> =>
  openSimulated(files, path, { checkpointBytes })

/** What a history of commits tried, and what it was told. */
class Ledger {
  /** Content of every transaction that was tried, by the number it carries in its description. */
  readonly tried = new Map<string, ReadonlyMap<Oid, Uint8Array | null>>()
  readonly confirmed = new Map<string, Tid>()
}

/** Commits `count` transactions on one instance; numbers say whose they are. */
async function commits(
  opened: OpenedLog,
  ledger: Ledger,
  random: Random,
  label: string,
  count: number,
  ownOids: readonly Oid[],
): Promise<void> {
  const instance = opened.storage.newInstance()
  for (let number = 0; number < count; number++) {
    const name = `${label}-${number}`
    instance.pollInvalidations()
    const transaction = instance.begin({ user: label, description: name, extension: new Uint8Array(0) })
    const changes = new Map<Oid, Uint8Array | null>()
    for (const oid of random.shuffled(ownOids).slice(0, 1 + random.integer(3))) {
      const [revision] = instance.loadMany([oid])
      const serial = revision?.serial ?? (0 as Tid)
      if (revision !== undefined && random.float() < 0.1) {
        transaction.delete(oid, serial)
        changes.set(oid, null)
        continue
      }
      const data = new Uint8Array(random.integer(1500)).fill(random.integer(256))
      transaction.store(oid, serial, data)
      changes.set(oid, data)
    }
    ledger.tried.set(name, changes)
    try {
      const voted = await transaction.vote()
      ledger.confirmed.set(name, await voted.finish())
    } finally {
      transaction.abort()
    }
  }
}

/** Three committers at once, each with objects of its own, so that they share syncs. */
async function workload(files: SimulatedFileSystem, ledger: Ledger, seed: string): Promise<void> {
  const random = new Random(seed)
  const opened = await open(files, 4000)
  const oids = Array.from({ length: objects }, (_, at) => at as Oid)
  const outcomes = await Promise.allSettled(
    [0, 1, 2].map((part) =>
      commits(opened, ledger, random.split(part), `${part}`, 10, oids.slice(part * 4, part * 4 + 4)),
    ),
  )
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  await opened.close()
}

/** Opens what is left and checks the promise. Returns every file, so that a second opening can be compared. */
async function verify(files: SimulatedFileSystem, ledger: Ledger): Promise<Map<string, Uint8Array>> {
  const opened = await open(files)
  const found = new Set<string>()
  const newest = new Map<Oid, Uint8Array | null>()
  let last = 0
  for await (const { tid, metadata, records } of opened.storage.iterate()) {
    const { description } = metadata
    expect(tid).toBeGreaterThan(last)
    last = tid
    expect(shown(records.map(({ oid, data }) => [oid, data]))).toEqual(shown(ledger.tried.get(description)))
    const confirmed = ledger.confirmed.get(description)
    if (confirmed !== undefined) expect(tid).toBe(confirmed)
    found.add(description)
    for (const { oid, data } of records) newest.set(oid, data)
  }
  for (const name of ledger.confirmed.keys()) expect(found, 'confirmed transactions').toContain(name)
  expect(opened.storage.lastTid).toBe(last)
  const instance = opened.storage.newInstance()
  instance.pollInvalidations()
  for (let oid = 0; oid < objects; oid++) {
    const [revision] = instance.loadMany([oid as Oid])
    expect(shown([['', revision?.data ?? null]])).toEqual(shown([['', newest.get(oid as Oid) ?? null]]))
  }
  await opened.close()
  return files.snapshot()
}

/** Contents by name as one text: a hundred times faster to compare than arrays. */
function shown(contents: Iterable<readonly [unknown, Uint8Array | null]> = []): string {
  const lines = [...contents].map(
    ([name, data]) => `${name}: ${data === null ? '-' : Buffer.from(data).toString('base64')}`,
  )
  return lines.sort().join('\n')
}

async function checkAfterFailure(files: SimulatedFileSystem, ledger: Ledger, random: Random): Promise<void> {
  const first = await verify(files, ledger)
  expect(shown(await verify(files.afterKill(random), ledger))).toEqual(shown(first))
  // And it goes on working.
  const opened = await open(files)
  await commits(opened, ledger, random, `after-${ledger.tried.size}`, 2, [100 as Oid])
  await opened.close()
}

describe('after losing power', () => {
  for (const seed of ['a', 'b', 'c']) {
    test(`at any operation of commit and checkpoint, nothing confirmed is lost (seed ${seed})`, async () => {
      const whole = new SimulatedFileSystem(new Random(`${seed}/disk`))
      await workload(whole, new Ledger(), seed)
      const total = whole.operations
      expect(total).toBeGreaterThan(30)
      for (let stopAt = 1; stopAt <= total; stopAt++) {
        const files = new SimulatedFileSystem(new Random(`${seed}/disk`), { stopAt })
        const ledger = new Ledger()
        await workload(files, ledger, seed).catch(() => {})
        expect(files.stopped || stopAt > files.operations).toBe(true)
        for (let outcome = 0; outcome < 4; outcome++) {
          const label = `${seed}/${stopAt}/${outcome}`
          const random = new Random(label)
          const copy: Ledger = { tried: new Map(ledger.tried), confirmed: new Map(ledger.confirmed) }
          try {
            await checkAfterFailure(files.afterPowerLoss(random), copy, random)
          } catch (error) {
            throw new Error(`stopped at operation ${stopAt}, outcome ${label}: ${describeError(error)}`, {
              cause: error,
            })
          }
        }
      }
    }, 120_000)
  }
})
