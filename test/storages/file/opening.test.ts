import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { realFileSystem } from '../../../src/core/file-system.ts'
import type { Tid } from '../../../src/core/ids.ts'
import { Random } from '../../../src/core/random.ts'
import file from '../../../src/storages/file/index.ts'
import { shareLog } from '../../../src/storages/file/share.ts'
import { openContext } from '../../../src/storages/open.ts'
import { SimulatedFileSystem } from '../../simulation/simulated-file-system.ts'
import {
  bytes,
  commit,
  current,
  fileOptions,
  oid,
  openFile,
  openSimulated,
  temporaryFolder,
  temporaryLog,
} from './support.ts'

async function makeLog(): Promise<string> {
  const path = temporaryLog()
  const storage = await openFile(path)
  const instance = storage.newInstance()
  await commit(instance, { 0: 'root', 1: 'one' })
  await commit(instance, { 1: 'two' })
  await storage.close()
  return path
}

describe('opening', () => {
  test('a log cut anywhere in its last transaction keeps the others, and the cut bytes', async () => {
    const whole = readFileSync(await makeLog())
    const lastStart = whole.lastIndexOf(Buffer.from([0x54, 0x58, 0x4e, 0x01]))
    for (let size = lastStart; size < whole.length; size++) {
      const path = temporaryLog()
      writeFileSync(path, whole.subarray(0, size))
      const storage = await openFile(path)
      expect(await current(storage, 1)).toBe('one')
      await storage.close()
      expect(statSync(path).size).toBe(lastStart)
      const aside = `${path}.tail-${lastStart}`
      if (size > lastStart) expect(readFileSync(aside).equals(whole.subarray(lastStart, size))).toBe(true)
      else expect(existsSync(aside)).toBe(false)
    }
  })

  test('zeros after the last transaction are cut off and not kept', async () => {
    const whole = readFileSync(await makeLog())
    const path = temporaryLog()
    writeFileSync(path, Buffer.concat([whole, Buffer.alloc(4096)]))
    const storage = await openFile(path)
    expect(await current(storage, 1)).toBe('two')
    await storage.close()
    expect(readdirSync(dirname(path)).sort()).toEqual(['data.log', 'data.log.index'])
  })

  test('a log shorter than its checkpoint is refused, and not touched', async () => {
    const path = await makeLog()
    truncateSync(path, statSync(path).size - 10)
    await expect(openFile(path)).rejects.toMatchObject({ code: 'corrupt-data' })
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  test('a file of another kind, an empty file and a newer log are refused, and not touched', async () => {
    const newer = readFileSync(await makeLog())
    newer.writeUInt32BE(3, 8)
    const { crc32 } = await import('node:zlib')
    newer.writeUInt32BE(crc32(newer.subarray(0, 60)), 60)
    for (const [content, code] of [
      [Buffer.from('a text of somebody, '.repeat(10)), 'not-a-log'],
      [Buffer.alloc(0), 'not-a-log'],
      [newer, 'log-version'],
    ] as const) {
      const path = temporaryLog()
      writeFileSync(path, content)
      await expect(openFile(path)).rejects.toMatchObject({ code })
      expect(readFileSync(path).equals(content)).toBe(true)
      expect(readdirSync(dirname(path))).toEqual(['data.log'])
    }
  })

  test('a full disk at the lock, or at the header of a new log, is called that, and what to do', async () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
    const options = { path: temporaryLog(), indexBytes: 1 << 20, durability: 'os' } as const
    const noLock = () => {
      throw full
    }
    const opening = shareLog(realFileSystem, options, openContext({}), noLock)
    await expect(opening).rejects.toMatchObject({
      code: 'disk-full',
      message: expect.stringMatching(/no room .*make room/),
    })
    const files = new SimulatedFileSystem(new Random('full'))
    files.faults = { bytesFree: 10 }
    await expect(openSimulated(files, '/disk/data.log')).rejects.toMatchObject({ code: 'disk-full' })
  })

  test.each([false, true])(
    'a folder in the place of a log is called that (read-only: %s)',
    async (readOnly) => {
      await expect(openFile(temporaryFolder(), {}, { readOnly })).rejects.toMatchObject({
        code: 'log-not-accessible',
        message: expect.stringContaining('it is a folder; name the log in it'),
      })
    },
  )

  test('a missing folder, and a missing log with its checkpoint still there, are refused', async () => {
    await expect(openFile(join(temporaryFolder(), 'no', 'data.log'))).rejects.toMatchObject({
      code: 'folder-not-found',
    })
    const path = temporaryLog()
    writeFileSync(`${path}.index`, 'x')
    await expect(openFile(path)).rejects.toMatchObject({ code: 'log-not-found' })
  })

  test('a log in use is refused to others, who are told by whom; the lock of a dead process is taken over', async () => {
    const path = temporaryLog()
    const storage = await openFile(path)
    await expect(openFile(path)).rejects.toMatchObject({
      code: 'storage-locked',
      details: { pid: process.pid },
    })
    await storage.close()
    const dead = {
      pid: 2 ** 22 + 1,
      host: (await import('node:os')).hostname(),
      started: 'x',
      since: 'then',
      token: 'y',
    }
    writeFileSync(`${path}.lock`, JSON.stringify(dead))
    const messages: string[] = []
    const again = await openFile(path, {}, { log: (message) => messages.push(message) })
    expect(messages.join()).toContain('is gone')
    await again.close()
    expect(existsSync(`${path}.lock`)).toBe(false)
    // The process id is used again, by another process: this one.
    writeFileSync(`${path}.lock`, JSON.stringify({ ...dead, pid: process.pid }))
    await (await openFile(path)).close()
  })

  test('read-only, nothing is written, made or locked', async () => {
    const path = await makeLog()
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('torn')]))
    const before = readdirSync(dirname(path)).map((name) =>
      readFileSync(join(dirname(path), name)).toString('hex'),
    )
    const storage = await openFile(path, {}, { readOnly: true })
    expect(await current(storage, 1)).toBe('two')
    const instance = storage.newInstance()
    instance.pollInvalidations()
    expect(() => instance.begin()).toThrow('read-only')
    expect(() => instance.newOids(1)).toThrow('read-only')
    await expect(storage.zap()).rejects.toMatchObject({ code: 'read-only' })
    await storage.close()
    const after = readdirSync(dirname(path)).map((name) =>
      readFileSync(join(dirname(path), name)).toString('hex'),
    )
    expect(after).toEqual(before)
    await expect(openFile(temporaryLog(), {}, { readOnly: true })).rejects.toMatchObject({
      code: 'log-not-found',
    })
  })

  test('from a checkpoint and what came after it is the same as from the log alone', async () => {
    const path = temporaryLog()
    const storage = await openFile(path, { durability: 'os', checkpointBytes: 20_000 })
    const instance = storage.newInstance()
    const content = new Map<number, string>()
    for (let round = 0; round < 300; round++) {
      const id = (round * 37) % 1500
      const data = `${round} `.repeat(round % 90)
      await commit(instance, { [id]: data })
      content.set(id, data)
      // Checkpoints are written between the turns of the event loop.
      if (round === 250) await vi.waitFor(() => expect(existsSync(`${path}.index`)).toBe(true), 20_000)
    }
    // As after a kill: the log and the newest checkpoint, which is not the last word.
    const killed = temporaryLog()
    for (const suffix of ['', '.index']) writeFileSync(killed + suffix, readFileSync(path + suffix))
    const again = await openFile(killed)
    expect(again.lastTid).toBe(storage.lastTid)
    for (const [id, data] of content) expect(await current(again, id)).toBe(data)
    expect(again.newInstance().newOids(1)[0]).toBeGreaterThan(Math.max(...content.keys()))
  })
})

describe('object ids', () => {
  const reserve = '/disk/data.log'
  test('that were given out are not given out again, wherever the process is killed or power is lost', async () => {
    const use = async (files: SimulatedFileSystem, given: number[]) => {
      const opened = await openSimulated(files, reserve)
      const instance = opened.storage.newInstance()
      given.push(...instance.newOids(3))
      await commit(instance, { 5: 'a' })
      given.push(...instance.newOids(70_000).slice(-2))
      await opened.close()
    }
    const whole = new SimulatedFileSystem(new Random('oids'))
    const all: number[] = []
    await use(whole, all)
    // After a clean closing none is skipped.
    const again = await openSimulated(whole, reserve)
    expect(again.storage.newInstance().newOids(1)).toEqual([Math.max(...all) + 1])
    for (let stopAt = 1; stopAt <= whole.operations; stopAt++) {
      const files = new SimulatedFileSystem(new Random('oids'), { stopAt })
      const given: number[] = []
      await use(files, given).catch(() => {})
      for (const left of [
        files.afterPowerLoss(new Random(`${stopAt}`)),
        files.afterKill(new Random('kill')),
      ]) {
        const opened = await openSimulated(left, reserve)
        const fresh = opened.storage.newInstance().newOids(2)
        expect(fresh[0], `stopped at ${stopAt}`).toBeGreaterThan(Math.max(0, ...given))
        await opened.close()
      }
    }
  })

  test('begin at 1 again after zap', async () => {
    const storage = await openFile(temporaryLog())
    const instance = storage.newInstance()
    expect(instance.newOids(2)).toEqual([1, 2])
    instance.release()
    await storage.zap()
    expect(storage.newInstance().newOids(2)).toEqual([1, 2])
  })
})

describe('provision', () => {
  test('makes stores in a folder of its own inside the given one, and removes only that', async () => {
    const folder = temporaryFolder()
    const given = fileOptions({ folder })
    const provision = await file.provision!(given, { folder: temporaryFolder(), log: () => {} })
    if (!provision.available) throw new Error(provision.reason)
    const store = await provision.newStore('one')
    expect(store.options.path.startsWith(folder)).toBe(true)
    const shared = await file.share!(store.options, openContext())
    const storage = await file.open(store.options, openContext(), shared.state)
    const instance = await storage.newInstance()
    await instance.pollInvalidations()
    const transaction = instance.begin()
    await transaction.store(oid(0), 0 as Tid, bytes('x'))
    await (await transaction.vote()).finish()
    await storage.close()
    await shared.close()
    await store.dispose()
    await provision.dispose()
    expect(readdirSync(folder)).toEqual([])
  })

  test('leaves the folder that it was given to the one who gave it', async () => {
    const context = { folder: temporaryFolder(), log: () => {} }
    const provision = await file.provision!(fileOptions({}), context)
    if (!provision.available) throw new Error(provision.reason)
    await (await provision.newStore('one')).dispose()
    await provision.dispose()
    expect(readdirSync(context.folder)).toEqual([])
  })

  test('refuses a log that somebody named, and a folder that is not there', async () => {
    const context = { folder: temporaryFolder(), log: () => {} }
    await expect(async () =>
      file.provision!(fileOptions({ path: '/x/data.log' }), context),
    ).rejects.toMatchObject({
      code: 'path-in-run',
    })
    mkdirSync(join(context.folder, 'a'))
    const missing = fileOptions({ folder: join(context.folder, 'b') })
    await expect(async () => file.provision!(missing, context)).rejects.toMatchObject({
      code: 'folder-not-found',
    })
  })
})
