/** Which process something belongs to, and whether that process is still there. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { systemErrorCode } from './file-system.ts'

export interface ProcessIdentity {
  readonly pid: number
  readonly host: string
  /** Which boot, and when in it the process began: a process id alone is soon used again, above all in containers. */
  readonly started: string
}

export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, host: hostname(), started: startOf(process.pid) ?? 'unknown' }
}

/** Unknown counts as alive, and so does every process of another machine. */
export function isAlive({ pid, host, started }: ProcessIdentity): boolean {
  return host !== hostname() || isAliveHere(pid, (now) => started === 'unknown' || started === now)
}

/** @param isSame whether this is the boot and start time of the process that is meant */
function isAliveHere(pid: number, isSame: (started: string) => boolean): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return systemErrorCode(error) !== 'ESRCH'
  }
  const started = startOf(pid)
  return started === undefined || isSame(started)
}

/** Boot and start time of a process; undefined where the system does not tell. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    // The second field is the command in parentheses, and may hold anything; start time is the 22nd.
    return `${boot}/${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error
    return undefined
  }
}

// --- As part of a file name -----------------------------------------------------------------------------------------

const unknownStart = 'unknown0'
let ownMark: string | undefined

/** This process, as letters, digits and hyphens. */
export function processMark(): string {
  ownMark ??= markOf(thisProcess())
  return ownMark
}

/** The process that wrote this mark is gone for certain: false of a process of another machine. */
export function isGone(mark: string): boolean {
  const [host, pid, started] = mark.split('-')
  if (host !== shortHash(hostname()) || started === undefined) return false
  return !isAliveHere(Number(pid), (now) => started === unknownStart || started === shortHash(now))
}

function markOf({ host, pid, started }: ProcessIdentity): string {
  return `${shortHash(host)}-${pid}-${started === 'unknown' ? unknownStart : shortHash(started)}`
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}
