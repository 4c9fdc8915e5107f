/**
 * Errors with a stable code.
 *
 * Every error that a user can cause, or that the world can cause, is a `ShootoutError`: a code that never changes, a
 * sentence that names the thing and the next step, and plain data. What a programmer must guarantee is asserted with
 * ordinary errors instead.
 *
 * Class, code and fields of an error do not survive a message between threads or processes. `toPlainError` and
 * `fromPlainError` carry them across, so callers decide by `code` and `transient`, never by class or message.
 */

import type { Oid, Tid } from './ids.ts'

/** Plain data that goes with an error: it must survive `structuredClone` and JSON. */
export type ErrorDetails = Readonly<Record<string, unknown>>

/** What an error may have besides code and message. */
export interface ShootoutErrorOptions {
  readonly cause?: unknown
  readonly details?: ErrorDetails
  /** True where repeating the whole transaction may succeed. */
  readonly transient?: boolean
}

/** An error that a user or the world has caused. Decide by `code` and `transient`. */
export class ShootoutError extends Error {
  /**
   * A storage may come with its own copy of the package: of another version for a comparison, or in its own
   * node_modules. Errors of such a copy are known by the names of their classes, so that `instanceof` means the same.
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (!(value instanceof Error) || !('transient' in value)) return false
    for (let one = Object.getPrototypeOf(value) as Error; one !== null; one = Object.getPrototypeOf(one)) {
      // biome-ignore lint/complexity/noThisInStatic: the class that was asked for, which may be a subclass
      if (one.constructor.name === this.name) return true
    }
    return false
  }

  /** Stable, kebab-case, the same in every release. */
  readonly code: string
  /** Repeating the whole transaction may succeed. Retry loops look at this and at nothing else. */
  readonly transient: boolean
  readonly details: ErrorDetails

  constructor(code: string, message: string, options: ShootoutErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ShootoutError'
    this.code = code
    this.transient = options.transient ?? false
    this.details = options.details ?? {}
  }
}

/** The user asked for something that does not exist or does not make sense. Nothing was done. */
export class UsageError extends ShootoutError {
  constructor(code: string, message: string, options: ShootoutErrorOptions = {}) {
    super(code, message, options)
    this.name = 'UsageError'
  }
}

/** Somebody else committed a newer revision of an object that this transaction stores. */
export class ConflictError extends ShootoutError {
  readonly oid: Oid
  constructor(oid: Oid, current: Tid, base: Tid, options: ShootoutErrorOptions = {}) {
    super(
      'conflict',
      `object ${oid} was changed by transaction ${current} after this transaction read revision ${base}; repeat the transaction`,
      { ...options, transient: true, details: { oid, current, base, ...options.details } },
    )
    this.name = 'ConflictError'
    this.oid = oid
  }
}

/** An object that this transaction only read, and declared with `readCurrent`, is no longer current. */
export class ReadConflictError extends ShootoutError {
  readonly oid: Oid
  constructor(oid: Oid, current: Tid, base: Tid, options: ShootoutErrorOptions = {}) {
    super(
      'read-conflict',
      `object ${oid} was read at revision ${base} but is at ${current} now; repeat the transaction`,
      { ...options, transient: true, details: { oid, current, base, ...options.details } },
    )
    this.name = 'ReadConflictError'
    this.oid = oid
  }
}

/** There is no such object, or none at the asked time (ZODB: POSKeyError). */
export class ObjectNotFoundError extends ShootoutError {
  readonly oid: Oid
  constructor(oid: Oid, options: ShootoutErrorOptions = {}) {
    super('object-not-found', `object ${oid} does not exist in this snapshot`, {
      ...options,
      details: { oid, ...options.details },
    })
    this.name = 'ObjectNotFoundError'
    this.oid = oid
  }
}

/** The two-phase commit was called out of order: store after vote, finish twice, and the like. */
export class StorageTransactionError extends ShootoutError {
  constructor(message: string, options: ShootoutErrorOptions = {}) {
    super('transaction-state', message, options)
    this.name = 'StorageTransactionError'
  }
}

/** The storage, or the view of it, takes no writes. */
export class ReadOnlyError extends ShootoutError {
  constructor(what: string, options: ShootoutErrorOptions = {}) {
    super('read-only', `${what} is read-only`, options)
    this.name = 'ReadOnlyError'
  }
}

/** The storage, instance or connection was closed or released before this call. */
export class ClosedError extends ShootoutError {
  constructor(what: string, options: ShootoutErrorOptions = {}) {
    super('closed', `${what} is closed`, options)
    this.name = 'ClosedError'
  }
}

/** Another committer held the lock for longer than the limit. */
export class CommitLockTimeoutError extends ShootoutError {
  constructor(message: string, options: ShootoutErrorOptions = {}) {
    super('commit-lock-timeout', message, { ...options, transient: true })
    this.name = 'CommitLockTimeoutError'
  }
}

/** The connection to the backend was lost. The transaction may be repeated after reconnecting. */
export class DisconnectedError extends ShootoutError {
  constructor(message: string, options: ShootoutErrorOptions = {}) {
    super('disconnected', message, { ...options, transient: true })
    this.name = 'DisconnectedError'
  }
}

/** Stored bytes are not what was written: checksum, length or structure is wrong. Never served as data. */
export class CorruptDataError extends ShootoutError {
  constructor(message: string, options: ShootoutErrorOptions = {}) {
    super('corrupt-data', message, options)
    this.name = 'CorruptDataError'
  }
}

/** A scenario did not do what its name says, so its time means nothing. */
export class VerificationError extends ShootoutError {
  constructor(message: string, options: ShootoutErrorOptions = {}) {
    super('verification', message, options)
    this.name = 'VerificationError'
  }
}

/** An error as plain data, fit for a message or a results file. */
export interface PlainError {
  readonly name: string
  readonly code: string
  readonly message: string
  readonly transient: boolean
  readonly details: ErrorDetails
  readonly stack?: string
  readonly cause?: PlainError
}

/** Code of errors that are not ours: a bug in a storage, a scenario or a driver. */
export const unexpectedCode = 'unexpected'

/** Any thrown value as plain data: `code` is `unexpected` where it has none. */
export function toPlainError(error: unknown): PlainError {
  if (!(error instanceof Error)) {
    return { name: 'Error', code: unexpectedCode, message: String(error), transient: false, details: {} }
  }
  const own = error instanceof ShootoutError ? error : undefined
  const systemCode = (error as NodeJS.ErrnoException).code
  return {
    name: error.name,
    code: own?.code ?? (typeof systemCode === 'string' ? systemCode : unexpectedCode),
    message: error.message,
    transient: own?.transient ?? false,
    details: own?.details ?? {},
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined ? {} : { cause: toPlainError(error.cause) }),
  }
}

/** Rebuilds an error that came in a message. It has the code, details and stack of the original, not its class. */
export function fromPlainError(plain: PlainError): ShootoutError {
  const error = new ShootoutError(plain.code, plain.message, {
    transient: plain.transient,
    details: plain.details,
    ...(plain.cause === undefined ? {} : { cause: fromPlainError(plain.cause) }),
  })
  error.name = plain.name
  if (plain.stack !== undefined) error.stack = plain.stack
  return error
}

/** True where repeating the whole transaction may succeed. */
export function isTransient(error: unknown): boolean {
  return error instanceof ShootoutError && error.transient
}

/** One line about any thrown value, for a person. */
export function describeError(error: unknown): string {
  const plain = toPlainError(error)
  return plain.code === unexpectedCode
    ? `${plain.name}: ${plain.message}`
    : `${plain.message} (${plain.code})`
}

/**
 * The name closest to `wanted`, for "did you mean …". Undefined when nothing is close.
 * Distance is Levenshtein's; at most a third of the letters may differ.
 */
export function closestName(wanted: string, names: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const name of names) {
    const distance = editDistance(wanted, name)
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const substitution = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(previous[column]! + 1, current[column - 1]! + 1, substitution))
    }
    previous = current
  }
  return previous[b.length]!
}
