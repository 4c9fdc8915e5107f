/**
 * What the dialects' drivers have in common. Each dialect has one file, `driver.ts`, that imports the vendor's package,
 * lazily and through `importDriver`, so that a package that is absent hurts only who asks for that database.
 */

import type { EventEmitter } from 'node:events'
import { CommitLockTimeoutError, DisconnectedError, ShootoutError } from '../../core/errors.ts'
import type { MutableCounters } from '../storage.ts'
import { cancelledError } from './adapter.ts'

/** A package that a dialect stands on. */
export interface DriverPackage {
  readonly name: string
  /** What a person types to get it. */
  readonly install: string
}

/** @throws ShootoutError `driver-missing` when the package is not installed or cannot be loaded */
export async function importDriver<T>(driver: DriverPackage, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause)
    throw new ShootoutError(
      'driver-missing',
      `the package ${driver.name} cannot be loaded (${reason}); install it with: ${driver.install}`,
      { cause, details: { package: driver.name } },
    )
  }
}

// --- What servers say -----------------------------------------------------------------------------------------------

/** What can go wrong with a statement, whatever the server calls it. */
export type Fault =
  | 'lost'
  | 'interrupted'
  | 'lock-timeout'
  | 'deadlock'
  | 'serialization-failure'
  | 'disk-full'
  | 'too-large'
  | 'cannot-write'
  | 'server-is-replica'
  | 'node-not-ready'

/** How a server and its driver speak of errors. */
export interface ErrorDialect {
  /** Code of what has none of the common ones. */
  readonly name: string
  /** What its own code is called in the details of an error. */
  readonly codeName: string
  /** By the code of a connection that could not be made: what to do about it. */
  readonly connectAdvice: Readonly<Record<string, string>>
  /** Codes of connections that may be possible a moment later. */
  readonly transientCodes: ReadonlySet<string>
  faultOf(code: string, message: string): Fault | undefined
}

/** By the code of Node. */
const connectAdvice: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start the server, or check host and port',
  ENOENT: 'start the server, or check the path of its socket',
  ENOTFOUND: 'check the host name',
}

/** Of the system, or of the stream: the connection has gone. */
export const lostCodes: readonly string[] = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT']

/** For whoever would write to a server that only follows another one. */
export const replicaAdvice =
  'the server is a replica and takes no writes: name the primary with url and this one with replicaUrl, or open the store for reading only'

export function connectError(dialect: ErrorDialect, cause: unknown, title: string): ShootoutError {
  const code = codeOf(cause)
  const advice = dialect.connectAdvice[code] ?? connectAdvice[code] ?? 'check the url'
  return new ShootoutError('cannot-connect', `${title}: cannot connect (${messageOf(cause)}); ${advice}`, {
    cause,
    details: { [dialect.codeName]: code },
    transient: dialect.transientCodes.has(code),
  })
}

export function statementError(dialect: ErrorDialect, cause: unknown, title: string): Error {
  const code = codeOf(cause)
  const message = `${title}: ${messageOf(cause)}`
  const again = `${message}; repeat the transaction`
  const options = { cause, details: { [dialect.codeName]: code } }
  const fault = dialect.faultOf(code, messageOf(cause))
  switch (fault) {
    case 'lost':
      return new DisconnectedError(again, options)
    case 'lock-timeout':
      return new CommitLockTimeoutError(again, options)
    case 'interrupted':
    case 'deadlock':
    case 'serialization-failure':
      return new ShootoutError(fault, again, { ...options, transient: true })
    case 'disk-full':
      return new ShootoutError(fault, `${message}; make room and repeat`, options)
    case 'too-large':
      return new ShootoutError(fault, `${message}; raise max_allowed_packet of the server`, options)
    case 'cannot-write':
      return new ShootoutError(fault, `${message}; grant the right to the user`, options)
    case 'server-is-replica':
      return new ShootoutError(fault, `${message}; ${replicaAdvice}`, options)
    case 'node-not-ready': {
      const advice = 'repeat the transaction when the node is back in its cluster, or use another one'
      return new ShootoutError(fault, `${message}; ${advice}`, { ...options, transient: true })
    }
    case undefined:
      return new ShootoutError(dialect.name, code === '' ? message : `${message} (${code})`, options)
  }
}

/** The server has ended a statement before it was done, for a reason of its own. */
export function isInterruption(error: unknown): boolean {
  return error instanceof ShootoutError && error.code === 'interrupted'
}

/** Where a driver has no name for an error of its server, the server's number. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const { code, errno } = error as { readonly code?: unknown; readonly errno?: unknown }
  if (typeof code === 'string') return code
  return typeof errno === 'number' ? String(errno) : ''
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  // Node says nothing itself when every address of a host refused.
  return message === '' ? codeOf(error) : message
}

// --- Connections ----------------------------------------------------------------------------------------------------

export interface ConnectionSettings {
  /** For messages; never contains a password. */
  readonly title: string
  readonly counters: MutableCounters
}

/** What is known of a connection to a server: whether it is lost, and how much it has carried. */
export class ConnectionState {
  readonly #settings: ConnectionSettings
  readonly #errors: ErrorDialect
  #isBroken = false
  #bytesRead = 0
  #bytesWritten = 0

  /** @param client says `error` or `end` when it is lost, also while it is idle; unheard, that would end the process */
  constructor(client: EventEmitter, settings: ConnectionSettings, errors: ErrorDialect) {
    this.#settings = settings
    this.#errors = errors
    client.on('error', () => this.condemn())
    client.on('end', () => this.condemn())
  }

  /** The connection is lost; only closing it is of use. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** It will not be used again. */
  condemn(): void {
    this.#isBroken = true
  }

  /** What to throw for an error of the driver. */
  coded(error: unknown): Error {
    const coded = statementError(this.#errors, error, this.#settings.title)
    if (coded instanceof DisconnectedError) this.condemn()
    // A vote that is to give up: its session was condemned before the signal was sent.
    if (isInterruption(coded) && this.#isBroken) return cancelledError()
    return coded
  }

  /** Counts what has been carried since it was last asked to. */
  countBytes({
    bytesRead,
    bytesWritten,
  }: {
    readonly bytesRead: number
    readonly bytesWritten: number
  }): void {
    const { counters } = this.#settings
    counters.bytesRead += bytesRead - this.#bytesRead
    counters.bytesWritten += bytesWritten - this.#bytesWritten
    this.#bytesRead = bytesRead
    this.#bytesWritten = bytesWritten
  }
}
