/**
 * `shootout gate --resume`: what a journal says has been measured. Pairs count if their block was judged and not set
 * aside; the last block of a killed gate has no judgement, so its pairs are measured again. Looks are taken at fixed
 * numbers of pairs, whose levels add up, so it makes no difference to the promise when the pairs were measured. For the
 * same reason a gate whose budget was too short may go on.
 */

import type { JudgedBlock } from '../analysis/gate/sentinel.ts'
import { UsageError } from '../core/errors.ts'
import { readGateJournal } from '../results/gate-journal.ts'
import type { GateHeader, GateLine, PairLine, Stage } from '../results/gate-schema.ts'
import { settingKey } from '../results/reader.ts'
import type { GateOrder } from '../runner/gate/calibration.ts'
import type { GatePast, PastCell } from './gate-session.ts'

export interface InterruptedGate {
  readonly header: GateHeader
  readonly past: GatePast
}

/**
 * @throws UsageError `resume-complete` where the gate came to its end, and what the reader throws
 */
export function readInterruptedGate(path: string): InterruptedGate {
  const [header, ...lines] = readGateJournal(path) as readonly [GateHeader, ...GateLine[]]
  const end = lines.findLast((line) => line.type === 'end')
  const verdicts = new Map(
    lines.flatMap((line) => (line.type === 'verdict' ? [[settingKey(line), line.reason] as const] : [])),
  )
  if (end?.outcome === 'completed' && ![...verdicts.values()].includes('budget')) {
    throw new UsageError(
      'resume-complete',
      `${path} is complete (exit code ${end.exitCode}); there is nothing to resume`,
    )
  }
  return { header, past: pastOf(header, lines) }
}

export function pastOf({ settings }: GateHeader, lines: readonly GateLine[]): GatePast {
  const keys = settings.map(settingKey)
  const cells = settings.map(() => ({ pairs: [] as PairLine[], begun: { pilot: 0, screen: 0, confirm: 0 } }))
  const facts = settings.map(
    (): { -readonly [Key in 'counters' | 'order' | 'failure']?: PastCell[Key] } => ({}),
  )
  const blocks: JudgedBlock[] = []
  let unjudged: PairLine[] = []
  for (const line of lines) {
    if (line.type === 'block') {
      const indexes = [...new Set(unjudged.map((pair) => keys.indexOf(settingKey(pair))))].sort(
        (a, b) => a - b,
      )
      blocks.push({
        cells: indexes.join(),
        machine: line.machine,
        ...(line.disturbed === undefined ? {} : { disturbed: line.disturbed }),
      })
      if (line.disturbed === undefined) {
        for (const pair of unjudged) cells[keys.indexOf(settingKey(pair))]!.pairs.push(pair)
      }
      unjudged = []
      continue
    }
    if (!('scenario' in line)) continue
    const index = keys.indexOf(settingKey(line))
    if (index < 0) continue
    if (line.type === 'counters') facts[index]!.counters = line
    else if (line.type === 'order') facts[index]!.order = orderOf(line)
    else if (line.type === 'failure') facts[index]!.failure = line
    else if (line.type === 'pair') {
      unjudged.push(line)
      const { begun } = cells[index]!
      const stage: Stage = line.stage
      begun[stage] = Math.max(begun[stage], line.pair + 1)
    }
  }
  return { cells: cells.map((cell, index) => ({ ...cell, ...facts[index] })), blocks }
}

function orderOf({ operations, operationsPerLap, primer, warmups }: GateOrder): GateOrder {
  return { operations, operationsPerLap, primer, warmups }
}

/**
 * The rest must be measured like the beginning.
 * @throws UsageError `resume-mismatch`
 */
export function checkSameGate(path: string, before: GateHeader, now: GateHeader): void {
  const [facts, present] = [identityOf(before), identityOf(now)]
  const others = Object.keys(facts).filter(
    (name) => JSON.stringify(facts[name]) !== JSON.stringify(present[name]),
  )
  if (others.length === 0) return
  throw new UsageError(
    'resume-mismatch',
    `${path} was begun with other ${others.join(', ')}; give the same options on the same machine, or begin anew`,
  )
}

function identityOf(header: GateHeader): Readonly<Record<string, unknown>> {
  const { baseline, candidate, settings, dataset, rounds, policy, environment } = header
  const { shootout, gitCommit, node, platform, cpuModel, cpus, fileSystem } = environment
  const side = ({ module, options, durability }: GateHeader['baseline']) => ({ module, options, durability })
  return {
    baseline: side(baseline),
    candidate: side(candidate),
    cells: settings.map(settingKey),
    data: dataset.hash,
    rounds,
    limits: policy,
    version: shootout,
    commit: gitCommit,
    'Node.js': node,
    machine: { platform, cpuModel, cpus, fileSystem },
  }
}
