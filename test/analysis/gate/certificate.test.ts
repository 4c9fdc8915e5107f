import { describe, expect, test } from 'vitest'
import {
  type Certificate,
  type ConductTrial,
  type CountedTrial,
  certify,
  type Found,
  type Trial,
} from '../../../src/analysis/gate/certificate.ts'
import { defaultPolicy } from '../../../src/analysis/gate/policy.ts'
import type { Verdict } from '../../../src/analysis/gate/suite.ts'
import { renderBadge, renderCertificate } from '../../../src/report/certificate.ts'
import { sampleSuite } from '../../report/sample.ts'

const { environment } = sampleSuite('certificate', {})
const facts = {
  startedAt: '2026-01-01T00:00:00Z',
  elapsedNs: 60e9,
  seed: 's33d',
  again: 'shootout selftest --seed s33d',
  environment,
  policy: defaultPolicy,
}

function of(storage: string, extra: number, isDisturbed: boolean, verdicts: readonly Verdict[]): Trial[] {
  return verdicts.map((verdict) => ({
    storage,
    scenario: 'update',
    extra,
    expected: 0.9 * extra,
    isDisturbed,
    verdict,
    ground: 'time',
    ratio: 1 + extra,
    interval: { low: 0.99 + extra, high: 1.01 + extra },
    metric: 'wall',
    values: [-0.02, 0.01, 0.03].map((value) => value + Math.log1p(extra)),
    elapsedNs: 9e9,
  }))
}
const trials = (extra: number, ...verdicts: readonly Verdict[]) => of('memory', extra, false, verdicts)
const disturbed = (extra: number, ...verdicts: readonly Verdict[]) => of('memory', extra, true, verdicts)

function certificate(found: readonly Trial[], more: Partial<Found> = {}): Certificate {
  const subject = {
    storage: 'memory',
    scenario: 'update',
    objects: 20,
    operations: 100,
    waitsForDisk: false,
    worth: 0.9,
  }
  return certify(facts, {
    subjects: [subject],
    trials: found,
    counted: [],
    conduct: [],
    untried: [],
    ...more,
  })
}

const wrong: CountedTrial = {
  storage: 'memory',
  scenario: 'update',
  extra: 'operations',
  expected: 'more',
  changes: [],
  isRight: false,
}
const passed: ConductTrial = {
  kind: 'vacuity',
  name: 'nothing',
  expected: 'exit code 4',
  observed: 'exit code 0',
  isRight: false,
}

describe('a certificate says', () => {
  const good = [...trials(0, 'pass', 'pass', 'pass'), ...trials(0.05, 'fail', 'fail')]

  test('kept for no false alarm and everything found, with what so few gates can prove', () => {
    const { verdict, falseAlarms, power } = certificate(good)
    expect(verdict).toBe('kept')
    expect(falseAlarms).toMatchObject({ gates: 3, failed: 0 })
    expect(falseAlarms.rateMax).toBeCloseTo(1 - 0.05 ** (1 / 3), 9)
    expect(power).toHaveLength(1)
    expect(power[0]!.powerMin).toBeCloseTo(0.05 ** (1 / 2), 9)
  })

  test('broken for more false alarms than promised, work counted wrong, or a pass of nothing', () => {
    expect(certificate([...good, ...trials(0, 'fail')]).verdict).toBe('broken')
    expect(certificate(good, { counted: [wrong] }).verdict).toBe('broken')
    expect(certificate(good, { conduct: [passed] }).verdict).toBe('broken')
    expect(certificate([...good, ...disturbed(0, 'fail')]).verdict).toBe('broken')
  })

  test('missed for passing more slowdowns than promised, unless they are too small to matter', () => {
    expect(certificate([...good, ...trials(0.1, 'pass', 'pass')]).verdict).toBe('missed')
    expect(certificate([...good, ...trials(0.02, 'pass', 'pass')]).verdict).toBe('kept')
  })

  test('one miss among two proves nothing, one among twenty is within the promise', () => {
    expect(certificate([...good, ...trials(0.1, 'pass', 'fail')]).verdict).toBe('undecided')
    const nineteen = Array.from({ length: 19 }, (): Verdict => 'fail')
    expect(certificate([...good, ...trials(0.1, 'pass', ...nineteen)]).verdict).toBe('kept')
  })

  test('undecided where gates could not tell, or were never tried', () => {
    expect(certificate([...good, ...trials(0, 'inconclusive')]).verdict).toBe('undecided')
    expect(certificate(trials(0, 'pass')).verdict).toBe('undecided')
    expect(certificate([]).verdict).toBe('undecided')
    const other = of('sqlite', 0, false, ['pass'])
    expect(certificate([...good, ...other]).verdict).toBe('undecided')
  })

  test('of disturbed gates that they may fail to tell, and not that they may be wrong', () => {
    const careful = [
      ...good,
      ...disturbed(0, 'inconclusive', 'pass'),
      ...disturbed(0.2, 'inconclusive', 'fail'),
    ]
    expect(certificate(careful).verdict).toBe('kept')
    expect(certificate([...good, ...disturbed(0.2, 'fail', 'pass')]).verdict).toBe('undecided')
  })

  test('how quiet and quick it was, from the undisturbed gates', () => {
    const [memory] = certificate([...good, ...disturbed(0, 'pass')]).conditions
    // The median of 0.01, 0.02 and 0.03, thrice.
    expect(memory).toMatchObject({ equalPairs: 9, pairsPerGate: 3, gateNs: 9e9, pairNs: 3e9, metric: 'wall' })
    expect(memory!.sigma).toBeCloseTo(1.4826 * 0.02, 9)
  })
})

test('text and badge tell the same verdict, and only a kept promise is boasted of', () => {
  const text = (one: Certificate) => renderCertificate(one, { width: 100, color: false })
  const kept = certificate([...trials(0, 'pass'), ...trials(0.05, 'fail')])
  expect(text(kept)).toContain('KEPT, in 2 gates')
  expect(renderBadge(kept)).toContain('0/1 false, finds 5%')
  const broken = certificate(trials(0, 'fail'), { conduct: [passed] })
  expect(text(broken)).toContain('1 of 1 gates failed')
  expect(text(broken)).toContain('WRONG: nothing: expected exit code 4; was exit code 0')
  expect(renderBadge(broken)).toContain('gate selftest: broken')
})

test('a sceptic finds machine, versions, seed, the command and what was expected', () => {
  const found = [...trials(0, 'pass'), ...trials(0.05, 'fail', 'inconclusive')]
  const text = renderCertificate(certificate(found, { counted: [wrong] }), { width: 400, color: false })
  for (const part of [
    environment.cpuModel,
    `Node.js ${environment.node}`,
    'seed s33d',
    'again: shootout selftest --seed s33d',
    'worth +4.5 % of time: measured +5.0 % (+5.0 % to +5.0 %); found by 1 of 2 gates, 1 could not tell',
    'expected more; counted every counter equal',
  ]) {
    expect(text).toContain(part)
  }
})
