/** The file storage on a disk that is full, writes short, or does not confirm: the commit fails, the storage goes on. */

import { describe, expect, test } from 'vitest'
import { Random } from '../../src/core/random.ts'
import { commit, current, openSimulated } from '../storages/file/support.ts'
import { SimulatedFileSystem } from './simulated-file-system.ts'

const path = '/disk/data.log'

describe('on a disk that fails', () => {
  test('short writes are completed', async () => {
    const files = new SimulatedFileSystem(new Random('short'), { shortWrites: 0.7 })
    const opened = await openSimulated(files, path)
    const instance = opened.storage.newInstance()
    for (let round = 0; round < 20; round++) await commit(instance, { 1: `${round}`.repeat(50), 2: 'x' })
    await opened.close()
    const again = await openSimulated(files, path)
    expect(again.messages).toEqual([])
    expect(await current(again.storage, 1)).toBe('19'.repeat(50))
  })

  test('a full disk fails the commit, leaves nothing of it, and the next one works', async () => {
    const files = new SimulatedFileSystem(new Random('full'))
    const { storage, close } = await openSimulated(files, path)
    const instance = storage.newInstance()
    const before = await commit(instance, { 1: 'small' })
    const size = files.snapshot().get(path)!.length
    files.faults = { bytesFree: 500 }
    await expect(commit(instance, { 1: 'x'.repeat(1000) })).rejects.toMatchObject({ code: 'disk-full' })
    expect(files.snapshot().get(path)!.length).toBe(size)
    expect(storage.lastTid).toBe(before)
    files.faults = {}
    await commit(instance, { 1: 'again' })
    expect(await current(storage, 1)).toBe('again')
    await close()
    const again = await openSimulated(files, path)
    expect(again.messages).toEqual([])
    expect(await current(again.storage, 1)).toBe('again')
  })

  test('a failed sync takes back every commit that waited for it, and the next one works', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const files = new SimulatedFileSystem(new Random(`sync/${seed}`))
      const { storage, messages } = await openSimulated(files, path)
      const instances = [0, 1, 2].map(() => storage.newInstance())
      const before = await commit(instances[0]!, { 1: 'old', 2: 'old' })
      files.faults = { failingSyncs: new Set([files.syncs + 1]) }
      const outcomes = await Promise.allSettled([
        commit(instances[0]!, { 1: 'new' }),
        commit(instances[1]!, { 2: 'new' }),
        commit(instances[2]!, { 3: 'new' }),
      ])
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'sync-failed' } })
      }
      expect(messages.join()).toContain('taken back')
      expect(storage.lastTid).toBe(before)
      expect([await current(storage, 1), await current(storage, 3)]).toEqual(['old', undefined])
      const tid = await commit(instances[0]!, { 1: 'newer' })
      // Loses power: what was confirmed after the failure is there, and nothing of what failed.
      const opened = await openSimulated(files.afterPowerLoss(new Random(`loss/${seed}`)), path)
      expect(opened.storage.lastTid).toBe(tid)
      expect([await current(opened.storage, 1), await current(opened.storage, 2)]).toEqual(['newer', 'old'])
      await opened.close()
    }
  })

  test('when nothing can be taken back either, reading goes on and writing is refused', async () => {
    const files = new SimulatedFileSystem(new Random('broken'))
    const { storage } = await openSimulated(files, path)
    const instance = storage.newInstance()
    await commit(instance, { 1: 'old' })
    files.faults = { failingSyncs: new Set([files.syncs + 1, files.syncs + 2]) }
    await expect(commit(instance, { 1: 'new' })).rejects.toMatchObject({ code: 'log-failed' })
    expect(await current(storage, 1)).toBe('old')
    await expect(commit(instance, { 1: 'newer' })).rejects.toMatchObject({ code: 'log-failed' })
  })
})
