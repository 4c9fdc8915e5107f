/** What the disk cache knows of its entries, when there are many: the table by which they are found grows. */

import { expect, test } from 'vitest'
import { noTid, type Oid, type Tid } from '../../../src/core/ids.ts'
import { DiskEntries } from '../../../src/storages/cache/disk/entries.ts'
import { policyNamed } from '../../../src/storages/cache/policies/index.ts'

test('a hundred thousand entries are found, and what is removed is not, whenever the table grew', () => {
  const count = 100_000
  const entries = new DiskEntries(100 * count, count, policyNamed('s3-fifo'))
  // Not one after the other, and with gaps that are made meanwhile.
  const oidAt = (index: number) => (((index * 7919) % count) * 3) as Oid
  for (let index = 0; index < count; index++) {
    entries.add(oidAt(index), (noTid + 1) as Tid, 10, false, () => {})
    if (index % 3 === 2) entries.remove(entries.find(oidAt(index - 1)))
  }
  expect(entries.audit()).toEqual([])
  const isKept = (index: number) => index % 3 !== 1 || index + 1 >= count
  for (let index = 0; index < count; index++) expect(entries.find(oidAt(index)) !== 0).toBe(isKept(index))
})
