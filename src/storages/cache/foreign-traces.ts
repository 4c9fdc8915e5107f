/**
 * Traces of other people's caches, as they are published: so that a policy can be compared on what the literature uses.
 *
 * - `lirs`: text, one block number per line; lines with `*` are markers.
 * - `arc`: text, four numbers per line: first block, number of blocks, ignored, record number. A line is that many
 *   requests.
 * - `oracle`: records of 24 bytes, little-endian: u32 seconds, u64 id, u32 size, i64 next access (ignored).
 * - `keys`: big-endian 32-bit keys.
 */

import { UsageError } from '../../core/errors.ts'
import { type Trace, TraceBuilder } from './trace.ts'

export type ForeignTraceFormat = 'lirs' | 'arc' | 'oracle' | 'keys'

export const foreignTraceFormats: readonly ForeignTraceFormat[] = ['lirs', 'arc', 'oracle', 'keys']

const oracleRecordBytes = 24

/**
 * @param content decompressed
 * @throws UsageError `bad-trace` that names the line or position
 */
export function readForeignTrace(content: Uint8Array, format: ForeignTraceFormat): Trace {
  const builder = new TraceBuilder()
  if (format === 'lirs') readLirs(content, builder)
  else if (format === 'arc') readArc(content, builder)
  else readBinary(content, format, builder)
  return builder.build()
}

function readLirs(content: Uint8Array, builder: TraceBuilder): void {
  linesOf(content).forEach((line, index) => {
    if (line === '' || line.startsWith('*')) return
    if (!/^\d+$/.test(line)) throw badTrace(`line ${index + 1} is not a block number: ${line.slice(0, 40)}`)
    builder.add('load', Number(line), 0, 1)
  })
}

function readArc(content: Uint8Array, builder: TraceBuilder): void {
  linesOf(content).forEach((line, index) => {
    if (line === '') return
    const [first, count] = line.split(' ').map(Number)
    if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count)) {
      throw badTrace(`line ${index + 1} does not begin with two numbers: ${line.slice(0, 40)}`)
    }
    for (let block = first!; block < first! + count!; block++) builder.add('load', block, 0, 1)
  })
}

function readBinary(content: Uint8Array, format: 'oracle' | 'keys', builder: TraceBuilder): void {
  const recordBytes = format === 'oracle' ? oracleRecordBytes : 4
  if (content.length % recordBytes !== 0) {
    throw badTrace(`its ${content.length} bytes are not whole records of ${recordBytes}`)
  }
  const view = new DataView(content.buffer, content.byteOffset, content.length)
  for (let at = 0; at < content.length; at += recordBytes) {
    if (format === 'keys') {
      builder.add('load', view.getInt32(at), 0, 1)
      continue
    }
    const id = view.getBigUint64(at + 4, true)
    if (id > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw badTrace(`the id at byte ${at + 4} is beyond the safe integers`)
    }
    builder.add('load', Number(id), 0, view.getUint32(at + 12, true))
  }
}

function linesOf(content: Uint8Array): string[] {
  return new TextDecoder().decode(content).split(/\r?\n/)
}

function badTrace(problem: string): UsageError {
  return new UsageError('bad-trace', `the trace cannot be read: ${problem}`)
}
