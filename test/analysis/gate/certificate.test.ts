import { describe, expect, test } from 'vitest'
import { type CountedTrial, certify, type Trial } from '../../../src/analysis/gate/certificate.ts'
import { defaultPolicy } from '../../../src/analysis/gate/policy.ts'
import type { Verdict } from '../../../src/analysis/gate/suite.ts'
import { renderBadge, renderCertificate } from '../../../src/report/certificate.ts'
import { sampleSuite } from '../../report/sample.ts'

const { environment } = sampleSuite('certificate', {})
const facts = { startedAt: '2026-01-01T00:00:00Z', seed: 's', environment, policy: defaultPolicy }

function trials(extra: number, ...verdicts: readonly Verdict[]): Trial[] {
  return verdicts.map((verdict) => ({
    storage: 'memory',
    scenario: 'update',
    extra,
    verdict,
    ground: 'time',
    ratio: 1 + extra,
    interval: { low: 0.99 + extra, high: 1.01 + extra },
    pairs: 12,
    elapsedNs: 1,
  }))
}

const wrong: CountedTrial = {
  storage: 'memory',
  scenario: 'update',
  extra: 'operations',
  changes: [],
  isRight: false,
}

describe('a certificate says', () => {
  const good = [...trials(0, 'pass', 'pass', 'pass'), ...trials(0.05, 'fail', 'fail')]

  test('proven for no false alarm and everything found, with what so few gates can prove', () => {
    const { verdict, falseAlarms, power } = certify(facts, good, [])
    expect(verdict).toBe('proven')
    expect(falseAlarms).toMatchObject({ gates: 3, failed: 0 })
    expect(falseAlarms.rateMax).toBeCloseTo(1 - 0.05 ** (1 / 3), 9)
    expect(power).toHaveLength(1)
    expect(power[0]!.powerMin).toBeCloseTo(0.05 ** (1 / 2), 9)
  })

  test('broken for more false alarms than promised, or work counted wrong', () => {
    expect(certify(facts, [...good, ...trials(0, 'fail')], []).verdict).toBe('broken')
    expect(certify(facts, good, [wrong]).verdict).toBe('broken')
  })

  test('missed for passing more slowdowns than promised, unless they are too small to matter', () => {
    expect(certify(facts, [...good, ...trials(0.1, 'pass', 'pass')], []).verdict).toBe('missed')
    expect(certify(facts, [...good, ...trials(0.02, 'pass', 'pass')], []).verdict).toBe('proven')
  })

  test('one miss among two proves nothing, one among twenty is within the promise', () => {
    expect(certify(facts, [...good, ...trials(0.1, 'pass', 'fail')], []).verdict).toBe('undecided')
    const nineteen = Array.from({ length: 19 }, (): Verdict => 'fail')
    expect(certify(facts, [...good, ...trials(0.1, 'pass', ...nineteen)], []).verdict).toBe('proven')
  })

  test('undecided where gates could not tell, or were never tried', () => {
    expect(certify(facts, [...good, ...trials(0, 'inconclusive')], []).verdict).toBe('undecided')
    expect(certify(facts, trials(0, 'pass'), []).verdict).toBe('undecided')
    expect(certify(facts, [], []).verdict).toBe('undecided')
  })
})

test('text and badge tell the same verdict, and only a proven one boasts', () => {
  const proven = certify(facts, [...trials(0, 'pass'), ...trials(0.05, 'fail')], [])
  expect(renderCertificate(proven, { width: 100, color: false })).toContain('PROVEN')
  expect(renderBadge(proven)).toContain('0/1 false, finds 5%')
  const broken = certify(facts, trials(0, 'fail'), [])
  expect(renderCertificate(broken, { width: 100, color: false })).toContain('1 of 1 gates of equal sides')
  expect(renderBadge(broken)).toContain('gate selftest: broken')
})
