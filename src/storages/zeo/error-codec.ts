/**
 * Errors on the wire: flags, code, name, message, details as JSON. Known codes come back as their class, so that
 * `instanceof` means the same on both sides; any other keeps its code and message. Stacks stay at home.
 */

import {
  ClosedError,
  CommitLockTimeoutError,
  ConflictError,
  CorruptDataError,
  DisconnectedError,
  fromPlainError,
  ObjectNotFoundError,
  type PlainError,
  ReadConflictError,
  ReadOnlyError,
  type ShootoutError,
  StorageTransactionError,
  toPlainError,
} from '../../core/errors.ts'
import type { Oid, Tid } from '../../core/ids.ts'
import type { BodyReader, BodyWriter } from './body.ts'
import { ProtocolError } from './protocol-error.ts'

const isTransientFlag = 1
/** Longer texts are cut: an error must not be a way to send large things. */
const textLengthMax = 16 * 1024

export function writeError(fields: BodyWriter, error: unknown): Uint8Array {
  const plain = toPlainError(error)
  const cause = plain.cause === undefined ? '' : ` (${plain.cause.message})`
  let details = JSON.stringify(plain.details)
  if (details.length > textLengthMax) details = '{}'
  return fields
    .u8(plain.transient ? isTransientFlag : 0)
    .text(plain.code)
    .text(plain.name)
    .text(`${plain.message}${cause}`.slice(0, textLengthMax))
    .text(details)
    .take()
}

/** @throws ProtocolError */
export function readError(body: BodyReader): ShootoutError {
  const transient = (body.u8() & isTransientFlag) !== 0
  const code = body.text()
  const name = body.text()
  const message = body.text()
  const details = parseDetails(body.text())
  return rebuild({ code, name, message, transient, details })
}

function parseDetails(json: string): PlainError['details'] {
  try {
    const parsed: unknown = JSON.parse(json)
    if (typeof parsed === 'object' && parsed !== null) return parsed as PlainError['details']
  } catch {
    // Falls through: not JSON is as wrong as not an object.
  }
  throw new ProtocolError('the details of an error are not an object')
}

function rebuild(plain: PlainError): ShootoutError {
  const { code, message, details } = plain
  const { oid, current, base } = details as { oid: Oid; current: Tid; base: Tid }
  const options = { details }
  switch (code) {
    case 'conflict':
      return new ConflictError(oid, current, base, options)
    case 'read-conflict':
      return new ReadConflictError(oid, current, base, options)
    case 'object-not-found':
      return new ObjectNotFoundError(oid, options)
    case 'transaction-state':
      return new StorageTransactionError(message, options)
    case 'commit-lock-timeout':
      return new CommitLockTimeoutError(message, options)
    case 'disconnected':
      return new DisconnectedError(message, options)
    case 'corrupt-data':
      return new CorruptDataError(message, options)
    case 'read-only':
      return reworded(new ReadOnlyError('', options), message)
    case 'closed':
      return reworded(new ClosedError('', options), message)
    default:
      return fromPlainError(plain)
  }
}

function reworded(error: ShootoutError, message: string): ShootoutError {
  error.message = message
  return error
}
