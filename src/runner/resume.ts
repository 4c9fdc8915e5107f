/**
 * What an interrupted run has already measured, from its file: those forks are not measured again, and what was
 * calibrated stays as it was, since all forks of a cell must do the same work.
 */

import type { CompletedFork, ForkId, ForkLine, ForksLine, SuiteLine } from '../results/schema.ts'
import type { Calibration } from './calibrate.ts'
import type { Plan, PlannedSetting } from './plan.ts'

export interface Past {
  /** Keys of completed forks. */
  readonly done: ReadonlySet<string>
  /** Keys of cells that failed. */
  readonly failed: ReadonlySet<string>
  readonly calibrations: ReadonlyMap<PlannedSetting, Calibration>
  /** Time per operation of the completed forks, by cell. */
  readonly times: ReadonlyMap<string, number[]>
  /** The number of forks, where it was already decided. */
  readonly decision?: ForksLine
  /** What the run took before, as far as the file tells. */
  readonly spentNs: number
}

export function pastOf(
  plan: Plan,
  suite: SuiteLine,
  forks: readonly ForkLine[],
  decision: ForksLine | undefined,
): Past {
  const completed = forks.filter((fork) => fork.status === 'completed')
  const times = new Map<string, number[]>()
  for (const fork of completed)
    times.set(cellKey(fork), [...(times.get(cellKey(fork)) ?? []), timePerOperation(fork)])
  const calibrations = new Map<PlannedSetting, Calibration>()
  for (const planned of plan.settings) {
    const calibration = calibrationOf(planned, completed)
    if (calibration !== undefined) calibrations.set(planned, calibration)
  }
  const lastStart = Math.max(
    Date.parse(suite.startedAt),
    ...completed.map((fork) => Date.parse(fork.startedAt)),
  )
  return {
    done: new Set(completed.map(forkKey)),
    failed: new Set(forks.filter((fork) => fork.status === 'failed').map(cellKey)),
    calibrations,
    times,
    ...(decision === undefined ? {} : { decision }),
    spentNs: (lastStart - Date.parse(suite.startedAt)) * 1e6,
  }
}

/** All forks of a setting do the same work, so any one that is complete tells what was calibrated. */
function calibrationOf(
  planned: PlannedSetting,
  completed: readonly CompletedFork[],
): Calibration | undefined {
  const known = planned.contenders
    .map((contender) => cellKey({ ...planned.setting, contender }))
    .flatMap((key) => completed.find((fork) => cellKey(fork) === key) ?? [])
  const [first] = known
  if (first === undefined) return undefined
  return {
    operations: first.operationsPerBatch,
    warmups: first.warmups.length,
    operationsPerLap: new Map(known.map((fork) => [fork.contender, fork.operationsPerLap])),
  }
}

/** Equal for all forks of one cell. */
export function cellKey(id: Omit<ForkId, 'fork'>): string {
  return `${id.contender}/${id.scenario}/${id.objects}/${id.concurrency.kind}:${id.concurrency.workers}`
}

/** Unique within a run. */
export function forkKey(id: ForkId): string {
  return `${cellKey(id)}/${id.fork}`
}

/** What one operation took one worker, mean over the fork, ns. */
export function timePerOperation({ batches, operationsPerBatch, concurrency }: CompletedFork): number {
  const totalNs = batches.flatMap((batch) => batch.workersNs).reduce((sum, workerNs) => sum + workerNs, 0)
  return totalNs / (operationsPerBatch * batches.length * concurrency.workers)
}
