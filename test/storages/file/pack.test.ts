/** What the conformance suite cannot know of packing a log. */

import { expect, test } from 'vitest'
import { coded } from '../../coded.ts'
import { commit, current, oid, openFile, temporaryLog, text } from './support.ts'

/** Texts look like `3,7`: the objects that they refer to. */
const references = (data: Uint8Array) =>
  text(data)
    .split(',')
    .filter((one) => one !== '')
    .map((one) => oid(Number(one)))

test('a pack that goes less far than the one before does not make the history whole again', async () => {
  const storage = await openFile(temporaryLog(), { durability: 'os' })
  const writer = storage.newInstance()
  const first = await commit(writer, { 0: '', 1: 'left over', 2: 'replaced' })
  const later = await commit(writer, { 2: '' })
  await commit(writer, { 0: '2' })
  await writer.afterCompletion()
  expect(await storage.pack({ before: later })).toMatchObject({ removedRevisions: 1 })
  expect(await storage.pack({ before: first, references: () => [] })).toMatchObject({ removedObjects: 1 })
  expect(storage.wholeSince()).toBe(later)
})

test('a pack in which commits bring garbage back to life again and again gives up, and changes nothing', async () => {
  const storage = await openFile(temporaryLog(), { durability: 'os' })
  const writer = storage.newInstance()
  const garbage = Array.from({ length: 200 }, (_, index) => index + 1)
  await commit(writer, { 0: '1000', 1000: '', ...Object.fromEntries(garbage.map((id) => [id, ''])) })
  await writer.afterCompletion()
  const before = storage.lastTid
  const revived: number[] = []
  let reviving: Promise<unknown> | undefined
  const revive = async () => {
    revived.push(garbage[revived.length]!)
    await commit(writer, { 1000: revived.join(',') })
    await writer.afterCompletion()
    reviving = undefined
  }
  const packing = storage.pack({
    before,
    references(data) {
      // It is asked while the pack finds out what goes, and again about what is committed meanwhile.
      reviving ??= revive()
      return references(data)
    },
  })
  await expect(packing).rejects.toThrow(coded('pack-disturbed', 'pack again later'))
  await reviving
  expect(revived.length).toBeGreaterThanOrEqual(5)
  const { removedObjects } = await storage.pack({ before: storage.lastTid, references })
  expect(removedObjects).toBe(garbage.length - revived.length)
  expect(await current(storage, 1000)).toBe(revived.join(','))
  for (const id of revived) expect(await current(storage, id)).toBe('')
})
