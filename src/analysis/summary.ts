/**
 * Which storage is faster, by how much, how sure: per scenario, over all its settings. Contenders are ranked only
 * with their equals in durability, and only over settings in which all of them were measured, so that nobody gains by
 * a setting it did not take part in.
 *
 * The ratio over several settings is their geometric mean. It is taken fork number by fork number (a fork number is
 * a block: one pass over all cells), so its interval is again one over independent values.
 */

import type { ContenderRecord } from '../results/schema.ts'
import type {
  Cell,
  Group,
  MeasuredCell,
  Place,
  Ranking,
  ScenarioSummary,
  Summary,
  Tier,
  UnmeasuredStatus,
  Unranked,
} from './model.ts'
import { judge, pairedRatios } from './ratio.ts'
import { geometricMean } from './stats/quantiles.ts'

export function summarise(groups: readonly Group[], contenders: readonly ContenderRecord[]): Summary {
  const tiers = tiersOf(contenders)
  const scenarios = [...new Set(groups.map(({ setting }) => setting.scenario))]
  const cells = groups.flatMap((group) => group.cells)
  const count = (status: Cell['status']) => cells.filter((cell) => cell.status === status).length
  return {
    tiers,
    scenarios: scenarios.map((scenario) => summariseScenario(scenario, groups, tiers)),
    counts: {
      measured: count('measured'),
      failed: count('failed'),
      skipped: count('skipped'),
      missing: count('missing'),
    },
  }
}

function tiersOf(contenders: readonly ContenderRecord[]): Tier[] {
  return [...new Set(contenders.map(({ durability }) => durability))].map((durability) => ({
    durability,
    contenders: contenders.filter((one) => one.durability === durability).map(({ label }) => label),
  }))
}

function summariseScenario(
  scenario: string,
  groups: readonly Group[],
  tiers: readonly Tier[],
): ScenarioSummary {
  const own = groups.filter(({ setting }) => setting.scenario === scenario)
  const ranked = tiers.filter((tier) => tier.contenders.length > 1).map((tier) => rank(tier, own))
  return {
    scenario,
    rankings: ranked.filter((one) => 'places' in one),
    unranked: ranked.filter((one) => 'present' in one),
  }
}

function rank(tier: Tier, groups: readonly Group[]): Ranking | Unranked {
  const { durability } = tier
  const present = tier.contenders.filter((label) =>
    groups.some((group) => cellOf(group, label) !== undefined),
  )
  const absent = tier.contenders.filter((label) => !present.includes(label))
  const common = groups.filter((group) => present.every((label) => cellOf(group, label) !== undefined))
  if (present.length < 2 || common.length === 0) {
    const why = absent.map((contender) => ({ contender, status: worstOf(contender, groups) }))
    return { durability, present, absent: why }
  }

  // Any contender serves to put them in order; the ratios shown are then to the fastest.
  const order = present
    .map((label) => ({
      label,
      ratio: geometricMean(common.map((group) => medianRatio(group, label, present[0]!))),
    }))
    .sort((a, b) => a.ratio - b.ratio)
    .map(({ label }) => label)
  return {
    durability,
    settings: common.length,
    settingsOfScenario: groups.length,
    places: order.map((label) => place(label, order[0]!, common)),
    absent,
  }
}

/** Of a contender without any result. */
function worstOf(contender: string, groups: readonly Group[]): UnmeasuredStatus {
  const found = groups.flatMap(({ cells }) => cells.filter((cell) => cell.contender === contender))
  const order = ['failed', 'missing', 'skipped'] as const
  return order.find((status) => found.some((cell) => cell.status === status))!
}

function place(contender: string, first: string, groups: readonly Group[]): Place {
  if (contender === first) return { contender, slowerIn: 0, fasterIn: 0, ratioMin: 1, ratioMax: 1 }
  const perGroup = groups.map((group) =>
    pairedRatios(cellOf(group, contender)!.forks, cellOf(group, first)!.forks),
  )
  const judged = perGroup.flatMap((ratios) => (ratios.size > 0 ? judge([...ratios.values()]) : []))
  const medians = groups.map((group) => medianRatio(group, contender, first))
  const blocks = [...perGroup[0]!.keys()].filter((fork) => perGroup.every((ratios) => ratios.has(fork)))
  const means = blocks.map((fork) => geometricMean(perGroup.map((ratios) => ratios.get(fork)!)))
  return {
    contender,
    ...(means.length === 0 ? {} : { ratio: judge(means) }),
    slowerIn: judged.filter(({ verdict }) => verdict === 'slower').length,
    fasterIn: judged.filter(({ verdict }) => verdict === 'faster').length,
    ratioMin: Math.min(...medians),
    ratioMax: Math.max(...medians),
  }
}

function medianRatio(group: Group, own: string, other: string): number {
  return cellOf(group, own)!.timePerOperationNs.median / cellOf(group, other)!.timePerOperationNs.median
}

function cellOf(group: Group, label: string): MeasuredCell | undefined {
  const cell = group.cells.find(({ contender }) => contender === label)
  return cell?.status === 'measured' ? cell : undefined
}
