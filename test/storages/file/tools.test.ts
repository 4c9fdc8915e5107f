/** `shootout file verify|recover|dump`, as functions. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { dumpFile, recoverFile, verifyFile } from '../../../src/cli/file.ts'
import { commit, current, openFile, temporaryLog } from './support.ts'

function output() {
  const lines: string[] = []
  return { lines, line: (text: string) => void lines.push(text) }
}

/** Four transactions; returns the path and where each begins. */
async function makeLog(): Promise<{ path: string; starts: number[] }> {
  const path = temporaryLog()
  const storage = await openFile(path)
  const instance = storage.newInstance()
  await commit(instance, { 0: 'root', 1: 'one' })
  await commit(instance, { 1: 'two', 2: 'x' })
  await commit(instance, { 2: 'three' })
  await commit(instance, { 2: null, 3: 'four' })
  await storage.close()
  const content = readFileSync(path)
  const magic = Buffer.from([0x54, 0x58, 0x4e, 0x01])
  const starts: number[] = []
  for (let at = content.indexOf(magic); at >= 0; at = content.indexOf(magic, at + 1)) starts.push(at)
  return { path, starts }
}

test('verify finds nothing wrong with a whole log, and dump lists it', async () => {
  const { path } = await makeLog()
  const verified = output()
  expect(verifyFile(path, verified)).toBe(0)
  expect(verified.lines[0]).toContain('4 transactions, 7 records of 4 objects')
  expect(verified.lines.at(-1)).toBe('everything verifies')
  const dumped = output()
  expect(dumpFile(path, { records: true }, dumped)).toBe(0)
  expect(dumped.lines).toHaveLength(4 + 7)
  expect(dumped.lines.filter((line) => line.includes('deleted'))).toHaveLength(1)
})

test('verify names damage in the middle; recover saves everything else, and touches nothing', async () => {
  const { path, starts } = await makeLog()
  const content = readFileSync(path)
  for (let at = starts[1]!; at < starts[2]!; at += 7) {
    const damaged = Buffer.from(content)
    damaged[at]! ^= 4
    writeFileSync(path, damaged)
    const verified = output()
    expect(verifyFile(path, verified)).toBe(1)
    expect(verified.lines[1]).toContain(`damaged: bytes ${starts[1]} to ${starts[2]}`)
    const target = temporaryLog()
    const recovered = output()
    expect(recoverFile(path, target, recovered)).toBe(0)
    expect(recovered.lines.at(-1)).toContain('3 transactions')
    expect(readFileSync(path).equals(damaged)).toBe(true)
    const storage = await openFile(target)
    const values = await Promise.all([0, 1, 2, 3].map((id) => current(storage, id)))
    expect(values).toEqual(['root', 'one', undefined, 'four'])
    // What was damaged is missing from the history.
    expect(storage.wholeSince()).toBe(storage.lastTid)
    await storage.close()
  }
})

test('recover copies a whole log exactly, and never writes over a file', async () => {
  const { path } = await makeLog()
  const target = temporaryLog()
  recoverFile(path, target, output())
  const [original, copy] = [await openFile(path), await openFile(target)]
  const all = async (storage: typeof copy) => {
    const list = []
    for await (const transaction of storage.iterate()) list.push(transaction)
    return list
  }
  expect(await all(copy)).toEqual(await all(original))
  expect(copy.wholeSince()).toBe(original.wholeSince())
  expect(() => recoverFile(path, target, output())).toThrow('exists already')
  expect(existsSync(`${target}.new`)).toBe(false)
})

test('what a crash leaves at the end is not called damage', async () => {
  const { path, starts } = await makeLog()
  writeFileSync(path, readFileSync(path).subarray(0, starts[3]! + 60))
  const verified = output()
  expect(verifyFile(path, verified)).toBe(0)
  expect(verified.lines[1]).toContain('not finished')
  expect(() => verifyFile(`${path}-no`, output())).toThrow('there is no file')
})
