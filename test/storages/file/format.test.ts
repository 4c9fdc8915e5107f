/** Golden vectors of the format: files written by any release must stay readable, so these bytes never change. */

import { expect, test } from 'vitest'
import type { Oid, Tid } from '../../../src/core/ids.ts'
import { Random } from '../../../src/core/random.ts'
import { BlobFile, writeBlob } from '../../../src/storages/file/blob-file.ts'
import {
  checksumSeed,
  decodeFileHeader,
  encodeFileHeader,
  encodeMetadata,
  payloadBytes,
  readTransactionHeader,
  recordBlob,
  recordLength,
  transactionHeaderBytes,
} from '../../../src/storages/file/format.ts'
import { StagedTransaction } from '../../../src/storages/file/staged-transaction.ts'
import { zeroCounters } from '../../../src/storages/storage.ts'
import { SimulatedFileSystem } from '../../simulation/simulated-file-system.ts'
import { bytes } from './support.ts'

const fileId = Uint8Array.from({ length: 16 }, (_, at) => at)
const createdUs = 1_700_000_000_000_000

test('the file header', () => {
  const lastTid = (createdUs - 1) as Tid
  const header = { version: 1 as const, fileId, createdUs, nextOid: 258, lastTid, wholeSince: lastTid }
  const encoded = encodeFileHeader(header)
  expect(encoded.toString('hex')).toMatchInlineSnapshot(
    `"53484f4f544c4f470000000100000000000102030405060708090a0b0c0d0e0f00060a24181e4000000000000000010200060a24181e3fff00000000124f1b1c"`,
  )
  expect(decodeFileHeader(encoded)).toEqual(header)
  const withBlobs = { ...header, version: 2 as const }
  expect(encodeFileHeader(withBlobs).toString('hex')).toMatchInlineSnapshot(
    `"53484f4f544c4f470000000200000000000102030405060708090a0b0c0d0e0f00060a24181e4000000000000000010200060a24181e3fff00000000124f1b1c"`,
  )
  expect(decodeFileHeader(encodeFileHeader(withBlobs))).toEqual(withBlobs)
  const ofCopy = { ...header, wholeSince: (createdUs + 2 ** 40) as Tid }
  expect(encodeFileHeader(ofCopy).toString('hex')).toMatchInlineSnapshot(
    `"53484f4f544c4f470000000100060b24000102030405060708090a0b0c0d0e0f00060a24181e4000000000000000010200060a24181e3fff181e400095e209cc"`,
  )
  expect(decodeFileHeader(encodeFileHeader(ofCopy))).toEqual(ofCopy)
})

test('a record with a blob', () => {
  const metadata = encodeMetadata({ user: '', description: '', extension: new Uint8Array(0) })
  const blob = { id: '0123456789abcdef', bytes: 5_000_000_000, checksum: 0xfedc_ba98 }
  const staged = new StagedTransaction(metadata, [{ oid: 7 as Oid, data: bytes('one'), blob }])
  const encoded = staged.complete(64, createdUs as Tid, 64, checksumSeed(fileId), { position: () => 0 })
  expect(encoded.toString('hex').match(/.{1,64}/g)).toMatchInlineSnapshot(`
    [
      "54584e012d23e9780000000000000040000000000000007b00060a24181e4000",
      "00000000000000400000000100000000000000003bd1cd828000000300000000",
      "0000000700060a24181e400000000000000000006f6e650123456789abcdef00",
      "0000012a05f200fedcba980409fcfc454e4401000000000000007b",
    ]
  `)
  const length = recordLength(encoded, transactionHeaderBytes)
  expect(payloadBytes(length)).toBe(3)
  expect(recordBlob(encoded, transactionHeaderBytes, length)).toEqual(blob)
})

test('the file of a blob', async () => {
  const files = new SimulatedFileSystem(new Random('blob file'))
  files.makeFolder('/disk/data.log.blobs')
  const content = Uint8Array.from({ length: 65_540 }, (_, at) => at * 7)
  const source = [content.subarray(0, 10), content.subarray(10)]
  const blob = await writeBlob(files, zeroCounters(), '/disk/data.log', 26 as Oid, source, true)
  const name = `/disk/data.log.blobs/1a-${blob.id}`
  const file = files.snapshot().get(name)!
  expect(file.length).toBe(65_540 + 8)
  expect(Buffer.compare(file.subarray(0, 65_540), content)).toBe(0)
  expect(Buffer.from(file.subarray(65_540)).toString('hex')).toMatchInlineSnapshot(`"7e711a13d75500fc"`)
  // The name is random, and part of the checksum in the record.
  files.put('/disk/data.log.blobs/1a-0123456789abcdef', file)
  const known = { id: '0123456789abcdef', bytes: 65_540, checksum: 0 }
  const read = () => new BlobFile(files, zeroCounters(), '/disk/data.log', 26 as Oid, known)
  expect(read).toThrow('its checksums are not those that the log names')
})

test('a transaction with a changed, a new and a deleted object', () => {
  const metadata = encodeMetadata({ user: 'é', description: 'why', extension: new Uint8Array([1, 2]) })
  const staged = new StagedTransaction(metadata, [
    { oid: 1 as Oid, data: bytes('one') },
    { oid: (2 ** 40) as Oid, data: new Uint8Array(0) },
    { oid: 3 as Oid, data: null },
  ])
  const positions = new Map([
    [1, 64],
    [3, 5_000_000_000],
  ])
  const index = { position: (oid: Oid) => positions.get(oid) ?? 0 }
  const encoded = staged.complete(6_000_000_000, createdUs as Tid, 5_999_999_999, checksumSeed(fileId), index)
  expect(encoded.toString('hex').match(/.{1,64}/g)).toMatchInlineSnapshot(`
    [
      "54584e0199fbd9f40000000165a0bc0000000000000000ae00060a24181e4000",
      "0000000165a0bbff000000030002000300020000c3a97768790102749868a600",
      "000003000000000000000100060a24181e400000000000000000406f6e657c7c",
      "4f4c00000000000001000000000000060a24181e4000000000000000000095ef",
      "df20ffffffff000000000000000300060a24181e4000000000012a05f2007114",
      "1f2b454e440100000000000000ae",
    ]
  `)
  expect(readTransactionHeader(encoded, 0)).toEqual({
    position: 6_000_000_000,
    length: encoded.length,
    tid: createdUs,
    durableEnd: 5_999_999_999,
    recordCount: 3,
    userBytes: 2,
    descriptionBytes: 3,
    extensionBytes: 2,
    flags: 0,
  })
})
