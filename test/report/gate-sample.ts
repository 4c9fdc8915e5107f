/** A gate's report with one cell of every kind, for the tests of its outputs. */

import { evidenceOf } from '../../src/analysis/gate/cell.ts'
import { defaultPolicy } from '../../src/analysis/gate/policy.ts'
import { type GateReport, overallVerdict, type ReportedCell } from '../../src/analysis/gate/report-model.ts'

function cell(scenario: string, more: Partial<ReportedCell>): ReportedCell {
  return {
    setting: {
      scenario,
      title: `${scenario} 1 object`,
      objects: 1,
      concurrency: { kind: 'async', workers: 1 },
    },
    verdict: 'pass',
    ground: 'time',
    metric: { metric: 'wall', sigma: 0.02, sigmaMin: 0.01 },
    evidence: undefined,
    guards: [],
    isFaster: false,
    pairsNeeded: 12,
    pairs: 12,
    ...more,
  }
}

function evidence(slowdown: number) {
  const values = Array.from({ length: 12 }, (_, index) => slowdown + 0.001 * (index - 5.5))
  return evidenceOf(values, defaultPolicy)
}

export const cells = {
  pass: cell('cold-read', { evidence: evidence(0.001) }),
  fail: cell('add', { verdict: 'fail', evidence: evidence(0.08) }),
  counters: cell('update', {
    verdict: 'fail',
    ground: 'counters',
    pairs: 0,
    metric: undefined,
    counters: {
      changes: [{ name: 'syncs', baseline: 1, candidate: 2, effect: 'more', gates: true }],
      inexact: [],
      equal: 4,
    },
  }),
  guard: cell('mixed', {
    verdict: 'fail',
    ground: 'guard',
    evidence: evidence(0),
    guards: [{ guard: { name: 'p99', limit: 0.25 }, ratio: 1.6, p: 0.0001 }],
  }),
  noise: cell('tpc', { verdict: 'inconclusive', ground: 'noise', pairsNeeded: 900, pairs: 0 }),
  budget: cell('store', { verdict: 'inconclusive', ground: 'budget', pairs: 3, evidence: evidence(0.02) }),
  failed: cell('connect', {
    verdict: 'failed',
    ground: 'failure',
    pairs: 0,
    metric: undefined,
    failure: {
      type: 'failure',
      scenario: 'connect',
      objects: 1,
      concurrency: { kind: 'async', workers: 1 },
      side: 'candidate',
      step: 'prepare',
      error: {
        name: 'Error',
        code: 'unexpected',
        message: 'no <table> "a|b" & 50%\nfor you\u0007',
        transient: false,
        details: {},
      },
    },
  }),
} satisfies Record<string, ReportedCell>

export function gateReport(included: readonly ReportedCell[], more: Partial<GateReport> = {}): GateReport {
  return {
    format: 1,
    baseline: 'sqlite',
    candidate: 'sqlite?cacheBytesLimit=1mb',
    verdict: overallVerdict(included),
    cells: included,
    skips: [],
    policy: defaultPolicy,
    seed: 's',
    again: 'shootout gate --seed s',
    journal: 'results/gate.jsonl',
    elapsedNs: 12e9,
    interrupted: false,
    ...more,
  }
}
