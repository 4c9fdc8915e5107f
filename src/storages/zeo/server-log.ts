/**
 * What a server tells whoever operates it: entries of a name and plain facts, written as JSON lines. A program reads
 * them; so names of events and facts are stable.
 */

import type { Writable } from 'node:stream'

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

/** What happened. The comments name the facts beside `peer`, which is who the other end is, where there is one. */
export type LogEvent =
  /** Info: `address`, `storage`. */
  | 'listening'
  /** Info: `client`, the first part of its random name; `readOnly`. */
  | 'connected'
  /** Info; warn where the server ended it. `code` and `cause`, `client`, `seconds`, `bytesRead`, `bytesWritten`. */
  | 'disconnected'
  /** Warn: `code`, `reason`. It never became a client. */
  | 'refused'
  /** Info: `file`, `renewed`, `validTo`. Error: `code`, `reason`; it has expired, or what it was replaced by is of no use. */
  | 'certificate'
  /** Warn: `request`, `ms`, `view`. */
  | 'slow'
  /** Error: `reason`. A request failed in a way that is not the client's doing. */
  | 'error'
  /** Info: `clients`. */
  | 'closing'
  /** Warn: `reason`. What the served storage says. */
  | 'storage'

export type LogFacts = Readonly<Record<string, string | number | boolean | undefined>>

export interface LogEntry {
  readonly level: LogLevel
  readonly event: LogEvent
  readonly facts: LogFacts
}

export type ServerLog = (entry: LogEntry) => void

/** Writes entries of `level` and above, each a line, with the time in front. */
export function jsonLines(to: Writable, level: LogLevel): ServerLog {
  const lowest = logLevels.indexOf(level)
  return (entry) => {
    if (logLevels.indexOf(entry.level) < lowest) return
    const { event, facts } = entry
    to.write(`${JSON.stringify({ time: new Date().toISOString(), level: entry.level, event, ...facts })}\n`)
  }
}

/** For a person, who wants to hear of oddities only. */
export function asMessages(log: (message: string) => void): ServerLog {
  return ({ level, event, facts }) => {
    if (level !== 'warn' && level !== 'error') return
    const { peer, reason, cause, ...others } = facts
    const rest = Object.entries(others).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name} ${value}`],
    )
    const said = [reason ?? cause, ...rest].filter((part) => part !== undefined).join(', ')
    log(`${peer === undefined ? '' : `${peer}: `}${event}: ${said}`)
  }
}
