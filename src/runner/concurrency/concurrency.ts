/**
 * The contract of a concurrency kind: what the coordinator orders, and who carries it out.
 *
 * Each fork has fresh child processes of its own, whatever the kind, so that no heap, no compiled code and no open
 * file outlives it and the coordinator's work never disturbs a timing:
 *
 *   async      one process, one isolate with all seats
 *   threads    one process, one worker thread (isolate) per seat
 *   processes  one process (isolate) per seat
 *
 * Inside a process a *host* turns the one link to the coordinator into isolates (`async.ts`, `threads.ts`).
 */

import type { Assignment, IsolateBatch, IsolateReport, Step } from '../assignment.ts'
import type { Link } from '../worker.ts'

/** The workers of one fork, as the coordinator sees them. */
export interface Workforce {
  /** Resolves when every isolate has opened its storage. */
  start(): Promise<void>
  /**
   * Orders one step and waits until every isolate has done it. Only one step at a time.
   * @throws ShootoutError what a worker threw, or `worker-died`, `worker-hung`
   */
  step(step: Step): Promise<readonly StepResult[]>
  /** Ends the workers: politely after the report, at once before. Never throws, may be called at any time. */
  stop(): Promise<void>
}

/** What an isolate answered. */
export interface StepResult {
  readonly batch?: IsolateBatch
  readonly report?: IsolateReport
}

/** Runs the isolates of one process. Resolves when all of them have closed. */
export type Host = (
  assignment: Assignment,
  seats: readonly number[],
  shared: unknown,
  link: Link,
) => Promise<void>

/** How many isolates answer each step. */
export function isolateCount(assignment: Assignment): number {
  return assignment.kind === 'async' ? 1 : assignment.parameters.workers
}
