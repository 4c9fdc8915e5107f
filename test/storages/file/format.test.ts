/** Golden vectors of the format: files written by any release must stay readable, so these bytes never change. */

import { expect, test } from 'vitest'
import type { Oid, Tid } from '../../../src/core/ids.ts'
import {
  checksumSeed,
  decodeFileHeader,
  encodeFileHeader,
  encodeMetadata,
  readTransactionHeader,
} from '../../../src/storages/file/format.ts'
import { StagedTransaction } from '../../../src/storages/file/staged-transaction.ts'
import { bytes } from './support.ts'

const fileId = Uint8Array.from({ length: 16 }, (_, at) => at)
const createdUs = 1_700_000_000_000_000

test('the file header', () => {
  const header = { fileId, createdUs, nextOid: 258, lastTid: (createdUs - 1) as Tid }
  const encoded = encodeFileHeader(header)
  expect(encoded.toString('hex')).toMatchInlineSnapshot(
    `"53484f4f544c4f470000000100000000000102030405060708090a0b0c0d0e0f00060a24181e4000000000000000010200060a24181e3fff00000000124f1b1c"`,
  )
  expect(decodeFileHeader(encoded)).toEqual(header)
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
