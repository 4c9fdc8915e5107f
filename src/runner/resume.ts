/**
 * What a results file says of the run that is to be completed or repeated: forks that are there are not measured
 * again, and what was calibrated stays as it was, since all forks of a cell must do the same work.
 */

import { type Results, settingKey } from '../results/reader.ts'
import type { CompletedFork, ForkId, ForksLine } from '../results/schema.ts'
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

/** For completing the run of this file. */
export function pastOf(plan: Plan, results: Results): Past {
  const { suite, forks, decision } = results
  const completed = forks.filter((fork) => fork.status === 'completed')
  const times = new Map<string, number[]>()
  for (const fork of completed)
    times.set(cellKey(fork), [...(times.get(cellKey(fork)) ?? []), timePerOperation(fork)])
  const lastStart = Math.max(
    Date.parse(suite.startedAt),
    ...completed.map((fork) => Date.parse(fork.startedAt)),
  )
  return {
    done: new Set(completed.map(forkKey)),
    failed: new Set(forks.filter((fork) => fork.status === 'failed').map(cellKey)),
    calibrations: calibrationsOf(plan, results),
    times,
    ...(decision === undefined ? {} : { decision }),
    spentNs: (lastStart - Date.parse(suite.startedAt)) * 1e6,
  }
}

/** For repeating it: the same work in as many forks, nothing measured yet. */
export function replayOf(plan: Plan, results: Results): Past {
  const { decision } = results
  return {
    done: new Set(),
    failed: new Set(),
    calibrations: calibrationsOf(plan, results),
    times: new Map(),
    ...(decision === undefined ? {} : { decision }),
    spentNs: 0,
  }
}

function calibrationsOf(plan: Plan, { calibrations }: Results): Map<PlannedSetting, Calibration> {
  const settings = new Map(plan.settings.map((planned) => [settingKey(planned.setting), planned]))
  return new Map(
    calibrations.map(({ operations, warmups, contenders, ...setting }) => [
      settings.get(settingKey(setting))!,
      {
        operations,
        warmups,
        operationsPerLap: new Map(contenders.map((one) => [one.contender, one.operationsPerLap])),
      },
    ]),
  )
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
