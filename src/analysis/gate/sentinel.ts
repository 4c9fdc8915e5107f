/**
 * Was a block disturbed from outside? Decided from the sentinel's readings alone, never from what was measured, so that
 * nothing is removed for being slow: a block is set aside for both sides or for none.
 */

import type { MachineReading } from '../../results/gate-schema.ts'
import { spreadAround } from '../stats/power.ts'
import { median } from '../stats/quantiles.ts'

/** A block that was judged. */
export interface JudgedBlock {
  /** Which cells it visited: blocks with other cells burden the machine otherwise. */
  readonly cells: string
  readonly machine: MachineReading
  /** Why it does not count. */
  readonly disturbed?: string
}

/** What the machine was like, for the report. */
export interface MachineSummary {
  readonly blocks: number
  readonly setAside: readonly { readonly block: number; readonly reason: string }[]
  /** Medians over all blocks. */
  readonly typical: MachineReading
  /** Robust relative spread of the rulers over blocks. */
  readonly rulerSpread: { readonly cpu: number; readonly fsync: number }
  /** What could not be read. */
  readonly missing: readonly string[]
  readonly isTooDisturbed: boolean
}

/** So many blocks tell what is usual. */
const blocksMin = 6
const sigmas = 3
/** The most that may be set aside; a machine on which more is disturbed has no quiet to compare with. */
const shareMax = 0.2
/** And it takes this many, so that one burst in a short gate does not end it. */
const setAsideMin = 3

interface Instrument {
  readonly name: keyof MachineReading
  /** The least spread that is assumed: ratios for rulers, shares of time for the others. */
  readonly sigmaMin: number
  readonly isRuler?: boolean
  says(value: number, usual: number): string
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`
const times = (what: string) => (value: number, usual: number) =>
  `${what} took ${(value / usual).toFixed(1)} times its usual time`
const grew = (what: string) => (value: number, usual: number) =>
  `${what} ${percent(value)} of the time, usually ${percent(usual)}`

const instruments: readonly Instrument[] = [
  { name: 'cpuRulerNs', sigmaMin: 0.12, isRuler: true, says: times('the processor ruler') },
  { name: 'fsyncRulerNs', sigmaMin: 0.35, isRuler: true, says: times('the fsync ruler') },
  { name: 'cpuPressure', sigmaMin: 0.06, says: grew('somebody waited for a processor') },
  { name: 'ioPressure', sigmaMin: 0.06, says: grew('somebody waited for a disk') },
  { name: 'memoryPressure', sigmaMin: 0.03, says: grew('somebody waited for memory') },
  { name: 'stolen', sigmaMin: 0.02, says: grew('the hypervisor took processors away') },
  { name: 'throttled', sigmaMin: 0.02, says: grew('the control group was throttled') },
]

/**
 * @param before blocks so far; what has been judged is never judged again
 * @param syncs some cell waits for the disk; elsewhere a slow disk disturbs nobody
 * @returns why the block does not count, or undefined
 */
export function disturbance(
  before: readonly JudgedBlock[],
  { cells, machine }: Pick<JudgedBlock, 'cells' | 'machine'>,
  syncs: boolean,
): string | undefined {
  for (const { name, sigmaMin, isRuler, says } of instruments) {
    if (!syncs && (name === 'fsyncRulerNs' || name === 'ioPressure')) continue
    const value = machine[name]
    // The rulers work while no fork is alive, so all blocks tell what is usual.
    const history = before
      .filter((block) => isRuler === true || block.cells === cells)
      .flatMap((block) => block.machine[name] ?? [])
    if (value === undefined || history.length < blocksMin) continue
    const scale = (one: number) => (isRuler === true ? Math.log(one) : one)
    const usual = median(history)
    const sigma = Math.max(sigmaMin, spreadAround(history.map(scale), scale(usual)))
    if (scale(value) - scale(usual) > sigmas * sigma) return says(value, usual)
  }
  return undefined
}

export function isTooDisturbed(blocks: readonly JudgedBlock[]): boolean {
  const setAside = blocks.filter(({ disturbed }) => disturbed !== undefined).length
  return setAside >= setAsideMin && setAside > shareMax * blocks.length
}

/** Undefined before the first block. */
export function machineSummary(
  blocks: readonly JudgedBlock[],
  missing: readonly string[],
): MachineSummary | undefined {
  if (blocks.length === 0) return undefined
  const values = (name: keyof MachineReading) => blocks.flatMap(({ machine }) => machine[name] ?? [])
  const spread = (name: 'cpuRulerNs' | 'fsyncRulerNs') => {
    const logs = values(name).map(Math.log)
    return spreadAround(logs, median(logs))
  }
  return {
    blocks: blocks.length,
    setAside: blocks.flatMap(({ disturbed }, block) =>
      disturbed === undefined ? [] : [{ block, reason: disturbed }],
    ),
    typical: Object.fromEntries(
      instruments.flatMap(({ name }) => (values(name).length === 0 ? [] : [[name, median(values(name))]])),
    ) as unknown as MachineReading,
    rulerSpread: { cpu: spread('cpuRulerNs'), fsync: spread('fsyncRulerNs') },
    missing,
    isTooDisturbed: isTooDisturbed(blocks),
  }
}
