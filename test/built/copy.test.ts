/** `shootout copy` as a user runs it: there and back, killed and continued, interrupted, refused, with what it says. */

import { spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { noTid, type Oid } from '../../src/core/ids.ts'
import { fill, openFile, openSqlite, statesOf } from '../storages/copy/stores.ts'
import { mainPath, newFolder, shootout } from './shootout.ts'

const folder = newFolder()
const log = 'file:./a.log'

beforeAll(async () => {
  const storage = await openFile(join(folder, 'a.log'))
  await fill(storage, 'built', 30)
  await storage.close()
})

test('there and back, byte-identical, with a result for people and one for programs', async () => {
  const there = await shootout(['copy', log, 'sqlite:./b.db', '--verify'], folder)
  expect(there).toMatchObject({ code: 0 })
  expect(there.stdout).toMatch(/copied \d+ objects, .*\ncompared \d+ records, .*: all the same\n$/)
  expect(there.stderr).toContain('sqlite:…?history=true')
  const back = await shootout(['copy', 'sqlite:./b.db', 'file:./c.log', '--verify', '--json'], folder)
  expect(back).toMatchObject({ code: 0 })
  expect(JSON.parse(back.stdout)).toMatchObject({
    way: 'states',
    finished: true,
    verification: { differenceCount: 0 },
  })
  const [a, c] = [await openFile(join(folder, 'a.log')), await openFile(join(folder, 'c.log'))]
  expect(await statesOf(c)).toEqual(await statesOf(a))
  await a.close()
  await c.close()
})

test('a source that cannot list its objects says what is copied, and that there is no root', async () => {
  const rootless = await openSqlite(join(folder, 'rootless.db'))
  const instance = await rootless.newInstance()
  await instance.pollInvalidations()
  const transaction = await instance.begin()
  await transaction.store((await instance.newOids(1))[0]!, noTid, new Uint8Array(9))
  await (await transaction.vote()).finish()
  await rootless.close()
  const { code, stdout, stderr } = await shootout(['copy', 'sqlite:./rootless.db', 'file:./none.log'], folder)
  expect([code, stdout]).toEqual([0, expect.stringContaining('copied 0 objects')])
  expect(stderr).toContain('all objects that can be reached from the root of sqlite:./rootless.db')
  expect(stderr).toContain('has no root (object 0)')
})

test('what the destination holds is destroyed only when asked', async () => {
  const destination = await openFile(join(folder, 'other.log'))
  await fill(destination, 'other', 2)
  await destination.close()
  const before = readFileSync(join(folder, 'other.log'))
  const refused = await shootout(['copy', log, 'file:./other.log'], folder)
  expect(refused).toMatchObject({ code: 2, stdout: '' })
  expect(refused.stderr).toContain('copy-not-a-prefix')
  expect(readFileSync(join(folder, 'other.log'))).toEqual(before)
  expect(await shootout(['copy', log, 'file:./other.log', '--clear', '--verify'], folder)).toMatchObject({
    code: 0,
  })
})

test.each([
  ['file:./missing.log', 'file:./new.log', /missing\.log/, 'new.log'],
  [log, 'file:./../x/../a.log', /same store|copy-same-store/, undefined],
  ['memory', 'file:./new.log', /copy-not-kept/, 'new.log'],
  [log, 'sqlite', /sqlite:\.\/path/, undefined],
  [log, 'sqlit:./b.db', /Did you mean "sqlite"/, undefined],
])('%s to %s is refused, and makes nothing', async (source, destination, reason, absent) => {
  const ran = await shootout(
    ['copy', source, destination.replace('../x/..', `../${folder.split('/').at(-1)}`)],
    folder,
  )
  expect(ran.stderr).toMatch(reason)
  expect(ran.code).toBe(2)
  if (absent !== undefined) expect(existsSync(join(folder, absent))).toBe(false)
})

/** 60 000 objects of 200 bytes, so that a copy takes long enough to be interrupted. */
async function makeLarge(): Promise<void> {
  const storage = await openFile(join(folder, 'large.log'))
  const instance = await storage.newInstance()
  for (let first = 0; first < 60_000; first += 20) {
    await instance.pollInvalidations()
    const transaction = instance.begin()
    for (let oid = first; oid < first + 20; oid++) {
      await transaction.store(oid as Oid, noTid, Buffer.alloc(200, String(oid)))
    }
    await (await transaction.vote()).finish()
  }
  await storage.close()
}

/** With its log. What is in both counts twice, and emptying the log takes nothing away from the file. */
function bytesOf(name: string): number {
  return [name, `${name}-wal`].reduce(
    (sum, one) => sum + (statSync(join(folder, one), { throwIfNoEntry: false })?.size ?? 0),
    0,
  )
}

test('a copy that is killed goes on, one that is interrupted too, and the copy is exact', async () => {
  await makeLarge()
  const destination = 'sqlite:./large.db?durability=os'
  const run = (signal: NodeJS.Signals): Promise<number | null> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [mainPath, 'copy', 'file:./large.log', destination], {
        cwd: folder,
      })
      // Some batches of a thousand objects have been committed by then, and some have not.
      const before = bytesOf('large.db')
      const watching = setInterval(() => {
        if (bytesOf('large.db') >= before + 500_000) child.kill(signal)
      }, 1)
      child.once('exit', (code) => {
        clearInterval(watching)
        resolve(code)
      })
    })
  expect(await run('SIGKILL')).toBe(null)
  expect(await run('SIGINT')).toBe(130)
  const half = await openSqlite(join(folder, 'large.db'))
  const copied = (await statesOf(half, 60_000)).size
  await half.close()
  expect(copied).toBeLessThan(60_000)
  const last = await shootout(['copy', 'file:./large.log', destination, '--verify', '--json'], folder)
  expect(last.code).toBe(0)
  const result = JSON.parse(last.stdout) as { records: number; recordsThere: number }
  expect(result).toMatchObject({
    finished: true,
    recordsThere: copied,
    verification: { records: 60_000, differenceCount: 0 },
  })
  expect(result.records + result.recordsThere).toBe(60_000)
})
