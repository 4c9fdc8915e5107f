/** Byte-for-byte comparison of transactions, states and blobs. Each function says how two differ, in words, or undefined. */

import type { Oid } from '../../core/ids.ts'
import type { ObjectRecord, RecordedBlob, TransactionRecord } from '../storage.ts'

/** @param withBlobs compare blobs too */
export async function compareTransactions(
  wanted: TransactionRecord,
  found: TransactionRecord,
  withBlobs: boolean,
): Promise<string | undefined> {
  if (wanted.tid !== found.tid) return `transaction ${wanted.tid} is missing (next is ${found.tid})`
  const { user, description, extension } = wanted.metadata
  const isSameMetadata =
    user === found.metadata.user &&
    description === found.metadata.description &&
    equalBytes(extension, found.metadata.extension)
  if (!isSameMetadata) return `the metadata of transaction ${wanted.tid} differ`
  if (wanted.records.length !== found.records.length) {
    return `transaction ${wanted.tid} has ${found.records.length} records instead of ${wanted.records.length}`
  }
  const records = new Map(found.records.map((record) => [record.oid, record]))
  for (const record of wanted.records) {
    const other = records.get(record.oid)
    const difference = other === undefined ? 'is missing' : await compareRecords(record, other, withBlobs)
    if (difference !== undefined) return `object ${record.oid} of transaction ${wanted.tid} ${difference}`
  }
  return undefined
}

async function compareRecords(
  wanted: ObjectRecord,
  found: ObjectRecord,
  withBlobs: boolean,
): Promise<string | undefined> {
  const state = compareStates(wanted.data, found.data)
  if (state !== undefined || !withBlobs) return state
  return compareBlobs(wanted.blob, found.blob)
}

export function compareStates(wanted: Uint8Array | null, found: Uint8Array | null): string | undefined {
  if (wanted === null || found === null) {
    return wanted === found ? undefined : wanted === null ? 'should be deleted' : 'is deleted'
  }
  if (wanted.length !== found.length) return `has ${found.length} bytes instead of ${wanted.length}`
  return equalBytes(wanted, found) ? undefined : 'has other bytes'
}

export async function compareBlobs(
  wanted: RecordedBlob | undefined,
  found: RecordedBlob | undefined,
): Promise<string | undefined> {
  if (wanted === undefined || found === undefined) {
    return wanted === found ? undefined : wanted === undefined ? 'has a blob too many' : 'lacks its blob'
  }
  if (wanted.bytes !== found.bytes) return `has a blob of ${found.bytes} bytes instead of ${wanted.bytes}`
  return (await equalStreams(wanted.chunks(), found.chunks())) ? undefined : 'has another blob'
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Chunks may be cut anywhere. */
async function equalStreams(a: AsyncIterable<Uint8Array>, b: AsyncIterable<Uint8Array>): Promise<boolean> {
  const others = b[Symbol.asyncIterator]()
  let rest: Uint8Array = new Uint8Array(0)
  try {
    for await (let chunk of a) {
      while (chunk.length > 0) {
        if (rest.length === 0) {
          const next = await others.next()
          if (next.done === true) return false
          rest = next.value
          continue
        }
        const length = Math.min(chunk.length, rest.length)
        if (!equalBytes(chunk.subarray(0, length), rest.subarray(0, length))) return false
        chunk = chunk.subarray(length)
        rest = rest.subarray(length)
      }
    }
    while (rest.length === 0) {
      const next = await others.next()
      if (next.done === true) return true
      rest = next.value
    }
    return false
  } finally {
    await others.return?.()
  }
}

/** For messages. */
export function ofObject(oid: Oid, difference: string): string {
  return `object ${oid} ${difference}`
}
