/**
 * The first half of packing: which revisions stay. Reads the log once from the beginning, then follows references from
 * the root. Changes nothing.
 */

import { type Oid, rootOid, type Tid } from '../../core/ids.ts'
import { damage } from './file-errors.ts'
import { fileHeaderBytes } from './format.ts'
import type { Log } from './log.ts'
import { NearbyRecords } from './nearby-records.ts'
import { markDeleted, markNewer, markReached, PackMarks } from './pack-marks.ts'
import type { LogScanner } from './scan.ts'

export type References = (data: Uint8Array) => Iterable<Oid>

/** Lets others run for a moment, and throws when packing is to stop. */
export type Yield = (fraction: number) => Promise<void>

export interface PackPlan {
  /** Revisions that were replaced by this transaction, or before it, go. */
  readonly cutoff: Tid
  /** Where the log ended when the plan was made. Everything behind it stays. */
  readonly end: number
  readonly marks: PackMarks
  readonly collects: boolean
  /** How many revisions go. */
  readonly removes: number
}

/**
 * Bytes of the log between two turns of the event loop, and records on the way along references: less than 0.1 ms of
 * work, because a commit needs a few turns. Not a matter of time, so that a run can be repeated exactly.
 */
export const bytesPerTurn = 1 << 15
const loadsPerTurn = 60

export async function planPack(
  log: Log,
  scanner: LogScanner,
  cutoff: Tid,
  end: number,
  references: References | undefined,
  pause: Yield,
): Promise<PackPlan> {
  const marks = new PackMarks()
  const frontier: Oid[] = []
  let oldRevisions = 0
  const reach = (oid: Oid) => {
    if (marks.set(oid, markReached)) frontier.push(oid)
  }
  let turnEnd = fileHeaderBytes + bytesPerTurn
  for (let position = fileHeaderBytes; position < end; ) {
    const read = scanner.read(position, end, (record) => {
      if (record.serial <= cutoff) {
        marks.setPosition(record.oid, record.position, record.isDeletion)
        oldRevisions++
        return
      }
      marks.set(record.oid, markNewer)
      if (references === undefined) return
      reach(record.oid)
      const data = record.data()
      if (data !== null) for (const oid of references(data)) reach(oid)
    })
    if ('reason' in read) throw damage(log.path, `the transaction at position ${position}`, read.reason)
    position = read.end
    if (position > turnEnd) {
      turnEnd = position + bytesPerTurn
      await pause((position / end) * 0.4)
    }
  }
  if (references !== undefined) {
    reach(rootOid)
    await follow(log, marks, frontier, references, pause)
  }
  const collects = references !== undefined
  const kept = marks.count((oid) => objectStays({ marks, collects }, oid))
  return { cutoff, end, marks, collects, removes: oldRevisions - kept }
}

/** Marks everything that can be reached from the objects of `frontier`, level by level, each in the order of the log. */
async function follow(
  log: Log,
  marks: PackMarks,
  frontier: Oid[],
  references: References,
  pause: Yield,
): Promise<void> {
  let loads = 0
  const records = new NearbyRecords(log.files, log.file, log.path)
  while (frontier.length > 0) {
    const level = frontier.splice(0).sort((a, b) => marks.position(a) - marks.position(b))
    for (const oid of level) {
      const position = marks.position(oid)
      // Not there at the pack time: newer, deleted since, or never there. Newer records have been looked at.
      if (position === 0) continue
      const data = records.data(position, oid)
      if (data === null) continue
      for (const target of references(data)) if (marks.set(target, markReached)) frontier.push(target)
      if (++loads % loadsPerTurn === 0) await pause(0.4)
    }
  }
  log.counters.bytesRead += records.bytesRead
}

/** True if a revision that is in the log before the end of the plan stays. */
export function stays(
  plan: PackPlan,
  record: { readonly oid: Oid; readonly serial: Tid; readonly position: number },
): boolean {
  if (record.serial > plan.cutoff) return true
  return plan.marks.position(record.oid) === record.position && objectStays(plan, record.oid)
}

/** True if the revision of an object that was current at the pack time stays. */
function objectStays({ marks, collects }: Pick<PackPlan, 'marks' | 'collects'>, oid: Oid): boolean {
  return !marks.has(oid, markDeleted) && (!collects || marks.has(oid, markReached))
}
