import { describe, expect, test } from 'vitest'
import {
  disturbance,
  isTooDisturbed,
  type JudgedBlock,
  machineSummary,
} from '../../../src/analysis/gate/sentinel.ts'
import { machineText } from '../../../src/report/gate-phrases.ts'
import type { MachineReading } from '../../../src/results/gate-schema.ts'

const quiet: MachineReading = { cpuRulerNs: 30e6, fsyncRulerNs: 0.3e6, cpuPressure: 0.3, ioPressure: 0.02 }

function blocks(count: number, machine: MachineReading = quiet, cells = '0,1'): JudgedBlock[] {
  return Array.from({ length: count }, (_, index) => ({
    cells,
    machine: { ...machine, cpuRulerNs: machine.cpuRulerNs * (1 + 0.01 * (index % 3)) },
  }))
}

const judge = (change: Partial<MachineReading>, before = blocks(6), syncs = false) =>
  disturbance(before, { cells: '0,1', machine: { ...quiet, ...change } }, syncs)

describe('a block is set aside', () => {
  test.each([
    [{ cpuRulerNs: 60e6 }, 'the processor ruler took 2.0 times'],
    [{ cpuPressure: 0.8 }, 'waited for a processor 80 %'],
    [{ cpuPressure: 0.3, stolen: 0 }, undefined],
    [{ cpuRulerNs: 36e6 }, undefined],
  ])('for %o: %s', (change, reason) => {
    if (reason === undefined) expect(judge(change)).toBeUndefined()
    else expect(judge(change)).toContain(reason)
  })

  test('for a slow disk only where cells wait for it', () => {
    expect(judge({ fsyncRulerNs: 3e6 }, blocks(6), true)).toContain('fsync ruler took 10.0 times')
    expect(judge({ fsyncRulerNs: 3e6 })).toBeUndefined()
  })

  test('never before it is known what is usual, for cells such as these', () => {
    expect(judge({ cpuRulerNs: 90e6 }, blocks(5))).toBeUndefined()
    expect(judge({ cpuPressure: 0.9 }, blocks(20, quiet, '0'))).toBeUndefined()
  })

  test('not on a machine that is always as unsteady', () => {
    const unsteady = blocks(12).map((block, index) => ({
      ...block,
      machine: { ...quiet, cpuRulerNs: 30e6 * (index % 2 === 0 ? 1 : 2.5) },
    }))
    expect(judge({ cpuRulerNs: 75e6 }, unsteady)).toBeUndefined()
  })
})

test('three disturbed blocks of twelve are too many, three of twenty and two of three are not', () => {
  const disturbed = { ...blocks(1)[0]!, disturbed: 'why' }
  const some = (bad: number, all: number) => [
    ...blocks(all - bad),
    ...Array.from({ length: bad }, () => disturbed),
  ]
  expect([some(3, 12), some(3, 20), some(2, 3)].map(isTooDisturbed)).toEqual([true, false, false])
})

test('the report says what was seen, what it cost and what could not be read', () => {
  const seen = machineSummary([...blocks(6), { ...blocks(1)[0]!, disturbed: 'a burst' }], ['throttling'])!
  const text = machineText(seen)
  expect(text).toContain('for a processor 30 %, for a disk 2 %')
  expect(text).toContain('1 of 7 blocks set aside for both sides (block 6: a burst)')
  expect(text).toContain('Not to be read here: throttling')
  expect(text).not.toContain('stolen')
  expect(machineSummary([], [])).toBeUndefined()
})
