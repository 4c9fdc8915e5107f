import { expect, test } from 'vitest'
import type { Concurrency } from '../../src/results/schema.ts'
import {
  makePlan,
  type PlannedContender,
  type PlannedScenario,
  type PlanRequest,
} from '../../src/runner/plan.ts'
import type { ScenarioModule } from '../../src/scenarios/scenario.ts'
import type { Capabilities } from '../../src/storages/storage.ts'

function contender(
  label: string,
  capabilities: Partial<Capabilities>,
  unavailable?: string,
): PlannedContender {
  const all: Capabilities = {
    reach: 'network',
    durability: 'full',
    persistent: true,
    blocking: false,
    history: false,
    conflictResolution: false,
    deletion: false,
    undo: false,
    iteration: false,
    pack: false,
    prefetch: false,
    blobs: false,
    ...capabilities,
  }
  return {
    url: `file:///${label}.js`,
    capabilities: all,
    record: {
      label,
      storage: label,
      module: label,
      options: {},
      durability: 'full',
      capabilities: { ...all },
      facts: {},
    },
    ...(unavailable === undefined ? {} : { unavailable }),
  }
}

function scenario(name: string, requires: ScenarioModule['requires'] = {}): PlannedScenario {
  const module: ScenarioModule = {
    name,
    summary: '',
    description: '',
    requires,
    title: ({ objectsPerTransaction }) => `${name} ${objectsPerTransaction} objects`,
    prepare: () => undefined,
    run: () => {},
  }
  return { url: `file:///${name}.js`, module }
}

const one: Concurrency = { kind: 'async', workers: 1 }

function request(given: Partial<PlanRequest>): PlanRequest {
  return {
    contenders: [contender('a', {})],
    scenarios: [scenario('add')],
    objects: [1],
    concurrency: [one],
    dataset: { recordBytes: 300, compressibility: 0.5 },
    seed: 'seed',
    forks: 6,
    batches: 5,
    ...given,
  }
}

test('every combination is planned, and each block visits each setting once', () => {
  const plan = makePlan(request({ scenarios: [scenario('add'), scenario('update')], objects: [1, 5, 20] }))
  expect(plan.settings.map(({ setting }) => setting.title)).toEqual([
    'add 1 objects',
    'add 5 objects',
    'add 20 objects',
    'update 1 objects',
    'update 5 objects',
    'update 20 objects',
  ])
  expect(plan.blocks).toHaveLength(6)
  for (const block of plan.blocks) expect([...block].sort()).toEqual([0, 1, 2, 3, 4, 5])
})

test('blocks are in random order, the same for the same seed', () => {
  const many = { objects: [1, 2, 3, 4, 5, 6, 7, 8] }
  const plan = makePlan(request(many))
  expect(makePlan(request(many))).toEqual(plan)
  expect(new Set(plan.blocks.map(String)).size).toBeGreaterThan(1)
  expect(makePlan(request({ ...many, seed: 'other' })).blocks).not.toEqual(plan.blocks)
})

test('what cannot exist is skipped with a reason, never planned', () => {
  const plan = makePlan(
    request({
      contenders: [
        contender('memory', { reach: 'isolate' }),
        contender('file', { reach: 'process' }),
        contender('sqlite', { reach: 'host' }),
        contender('postgres', {}, 'no PostgreSQL binaries were found'),
      ],
      concurrency: [one, { kind: 'threads', workers: 2 }, { kind: 'processes', workers: 2 }],
    }),
  )
  expect(plan.settings.map(({ contenders }) => contenders)).toEqual([
    ['memory', 'file', 'sqlite'],
    ['file', 'sqlite'],
    ['sqlite'],
  ])
  expect(
    plan.skips.map(({ contender, concurrency, reason }) => `${contender} ${concurrency.kind}: ${reason}`),
  ).toEqual([
    'postgres async: no PostgreSQL binaries were found',
    'memory threads: memory lives in one event loop; its data cannot be seen from another thread',
    'postgres threads: no PostgreSQL binaries were found',
    'memory processes: memory can be opened by one process at a time',
    'file processes: file can be opened by one process at a time',
    'postgres processes: no PostgreSQL binaries were found',
  ])
})

test('a scenario that needs two workers, or an ability, is skipped where it lacks it', () => {
  const plan = makePlan(
    request({
      scenarios: [scenario('conflict', { workersMin: 2 }), scenario('undo', { capabilities: ['undo'] })],
    }),
  )
  expect(plan.settings.map(({ contenders }) => contenders)).toEqual([[], []])
  for (const block of plan.blocks) expect(block).toEqual([])
  expect(plan.skips.map(({ reason }) => reason)).toEqual([
    'conflict needs at least 2 workers',
    'a has no undo, which undo needs',
  ])
})

test('the hash tells plans apart, and does not depend on where modules lie', () => {
  const plan = makePlan(request({}))
  const moved = makePlan(request({ scenarios: [{ ...scenario('add'), url: 'file:///elsewhere/add.js' }] }))
  expect(moved.hash).toBe(plan.hash)
  expect(makePlan(request({ batches: 6 })).hash).not.toBe(plan.hash)
  expect(makePlan(request({ dataset: { recordBytes: 301, compressibility: 0.5 } })).hash).not.toBe(plan.hash)
})
