/**
 * Processor time of processes that are not ours, from Linux's /proc: database servers that were started for a run.
 * Elsewhere, and for processes that have gone, there is none to be had.
 */

import { readdirSync, readFileSync } from 'node:fs'

/** Processor time, ns. */
export interface CpuTime {
  readonly user: number
  readonly system: number
}

/** /proc counts in hundredths of a second, whatever the kernel's own tick is. */
const tickNs = 1e7

/**
 * Time used so far by these processes and all below them, those that have already ended and been waited for included.
 * Undefined when one of the roots cannot be read.
 */
export function cpuTimeOfTrees(roots: readonly number[]): CpuTime | undefined {
  let user = 0
  let system = 0
  const pending = [...roots]
  for (let at = 0; at < pending.length; at++) {
    const pid = pending[at]!
    const ticks = ticksOf(pid)
    // A process below a root may end at any time; a root may not.
    if (ticks === undefined && at < roots.length) return undefined
    if (ticks === undefined) continue
    user += ticks.user * tickNs
    system += ticks.system * tickNs
    pending.push(...childrenOf(pid))
  }
  return { user, system }
}

/** Fields 14 to 17 of proc_pid_stat(5): own user and system time, then that of children waited for. */
function ticksOf(pid: number): CpuTime | undefined {
  const text = read(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // The second field is the program's name in parentheses, and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number)
  return { user: user! + childrenUser!, system: system! + childrenSystem! }
}

function childrenOf(pid: number): readonly number[] {
  let threads: readonly string[]
  try {
    threads = readdirSync(`/proc/${pid}/task`)
  } catch {
    // It ended just now: it has no children any more.
    return []
  }
  return threads.flatMap((thread) =>
    (read(`/proc/${pid}/task/${thread}/children`) ?? '').split(' ').filter(Boolean).map(Number),
  )
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Not Linux, or the process has ended.
    return undefined
  }
}
