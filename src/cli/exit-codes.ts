import { type ShootoutError, UsageError } from '../core/errors.ts'

/** What the process says when it ends. Documented in README; scripts and CI rely on it. */
export const exitCodes = {
  pass: 0,
  /** `gate`: a regression is proven. `check`: a behaviour is wrong. */
  regression: 1,
  /** Usage or configuration: to be mended before anything can be done. */
  usage: 2,
  inconclusive: 3,
  /** What was asked for could not be done: cells are missing or failed, a server is gone, a disk is full. */
  incomplete: 4,
  /** The baseline is missing or cannot be compared with. */
  baseline: 5,
  /** A defect of ours (EX_SOFTWARE). */
  internal: 70,
  interrupted: 130,
} as const

const ofCode: Readonly<Record<string, number>> = {
  'nothing-to-measure': exitCodes.incomplete,
  interrupted: exitCodes.interrupted,
}

/** What a storage finds wrong with what it was told to use: to be mended by whoever has told it, as a wrong option is. */
const configurationCodes: ReadonlySet<string> = new Set([
  'bad-schema-name',
  'blobs-not-kept',
  'cannot-open',
  'cannot-write',
  'client-certificate-missing',
  'client-certificate-unknown',
  'copy-cannot-walk',
  'copy-not-a-prefix',
  'copy-not-kept',
  'driver-missing',
  'folder-not-found',
  'folder-not-writable',
  'foreign-database',
  'foreign-file',
  'log-not-accessible',
  'log-not-found',
  'log-version',
  'module-broken',
  'not-a-log',
  'other-contract',
  'protocol-version',
  'schema-history',
  'schema-version',
  'server-certificate-name',
  'server-certificate-unknown',
  'server-too-old',
  'trace-file',
  'wrong-token',
])

/** A script may mend its command after `usage`, and try again, or elsewhere, after `incomplete`. */
export function exitCodeOfError(error: ShootoutError): number {
  // The name stays with an error that came from another process.
  const isUsage =
    error instanceof UsageError || error.name === 'UsageError' || configurationCodes.has(error.code)
  return ofCode[error.code] ?? (isUsage ? exitCodes.usage : exitCodes.incomplete)
}
