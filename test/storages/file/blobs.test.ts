/** What the file storage promises of its blob files, beyond what the conformance suite sees. */

import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { dumpFile, recoverFile, verifyFile } from '../../../src/cli/file.ts'
import { noTid, type Tid } from '../../../src/core/ids.ts'
import type { BlobSource, StorageInstance } from '../../../src/storages/storage.ts'
import { bytes, commit, oid, openFile, temporaryLog, text } from './support.ts'

async function commitBlob(instance: StorageInstance, id: number, source: BlobSource): Promise<Tid> {
  await instance.pollInvalidations()
  const [revision] = await instance.loadMany([oid(id)])
  const transaction = instance.begin()
  await transaction.storeBlob!(oid(id), revision?.serial ?? noTid, bytes(`object ${id}`), source)
  return await (await transaction.vote()).finish()
}

async function readBlob(instance: StorageInstance, id: number): Promise<string> {
  await instance.pollInvalidations()
  const reader = await instance.openBlob!(oid(id))
  const content = await reader!.read(0, reader!.bytes)
  await reader!.close()
  return text(content)
}

const filesOf = (path: string) => (existsSync(`${path}.blobs`) ? readdirSync(`${path}.blobs`).sort() : [])

function output() {
  const lines: string[] = []
  return { lines, line: (line: string) => void lines.push(line) }
}

test('a store without blobs has no folder for them', async () => {
  const path = temporaryLog()
  const storage = await openFile(path)
  await commit(storage.newInstance(), { 1: 'a' })
  await storage.pack({ before: storage.lastTid })
  await storage.close()
  expect(existsSync(`${path}.blobs`)).toBe(false)
})

test('the file of a blob is its bytes, and goes when its transaction aborts, is packed or zapped', async () => {
  const path = temporaryLog()
  const storage = await openFile(path)
  const instance = storage.newInstance()
  await commitBlob(instance, 1, [bytes('hello')])
  const [name] = filesOf(path).filter((one) => one !== 'unswept')
  expect(readFileSync(`${path}.blobs/${name}`).toString('latin1', 0, 5)).toBe('hello')
  instance.pollInvalidations()
  const transaction = instance.begin()
  await transaction.storeBlob(oid(2), noTid, bytes('x'), [bytes('aborted')])
  expect(filesOf(path)).toHaveLength(3)
  transaction.abort()
  expect(filesOf(path)).toEqual([name, 'unswept'])
  await commitBlob(instance, 1, [bytes('again')])
  expect(filesOf(path)).toHaveLength(3)
  instance.afterCompletion()
  await storage.pack({ before: storage.lastTid })
  expect(filesOf(path)).toHaveLength(2)
  expect(filesOf(path)).not.toContain(name)
  expect(await readBlob(instance, 1)).toBe('again')
  instance.release()
  await storage.zap()
  expect(filesOf(path)).toEqual(['unswept'])
  await storage.close()
  expect(filesOf(path)).toEqual([])
})

test('packing counts the bytes of the log and of the blobs', async () => {
  const path = temporaryLog()
  const storage = await openFile(path)
  const instance = storage.newInstance()
  await commitBlob(instance, 1, [new Uint8Array(100_000)])
  await commitBlob(instance, 1, [new Uint8Array(300_000)])
  instance.afterCompletion()
  const size = () =>
    [path, ...filesOf(path).map((name) => `${path}.blobs/${name}`)].reduce(
      (sum, one) => sum + statSync(one).size,
      0,
    )
  const before = size()
  const packed = await storage.pack({ before: storage.lastTid })
  expect(packed).toMatchObject({ bytesBefore: before, bytesAfter: size() })
  expect(packed.bytesBefore - packed.bytesAfter).toBeGreaterThan(100_000)
  const nothingLeft = await storage.pack({ before: storage.lastTid })
  expect(nothingLeft).toMatchObject({ bytesBefore: size(), bytesAfter: size() })
})

test('an undo names the same file again, without copying it', async () => {
  const path = temporaryLog()
  const storage = await openFile(path)
  const instance = storage.newInstance()
  await commitBlob(instance, 1, [bytes('first')])
  const tid = await commitBlob(instance, 1, [bytes('second')])
  const before = filesOf(path)
  instance.pollInvalidations()
  const transaction = instance.begin()
  transaction.undo(tid)
  await (await transaction.vote()).finish()
  expect(filesOf(path)).toEqual(before)
  expect(await readBlob(instance, 1)).toBe('first')
})

test('what a killed process left is removed on opening, what belongs to others is not touched', async () => {
  const path = temporaryLog()
  const storage = await openFile(path)
  await commitBlob(storage.newInstance(), 1, [bytes('kept')])
  await storage.close()
  const folder = `${path}.blobs`
  const kept = filesOf(path)
  const orphans = [`1-${'0'.repeat(16)}`, `ff-${'1'.repeat(16)}`]
  for (const name of [...orphans, 'notes.txt']) writeFileSync(`${folder}/${name}`, 'x')
  await (await openFile(path)).close()
  expect(filesOf(path)).toHaveLength(4)
  writeFileSync(`${folder}/unswept`, '')
  await (await openFile(path, {}, { readOnly: true })).close()
  expect(filesOf(path)).toHaveLength(5)
  const again = await openFile(path)
  expect(filesOf(path)).toEqual([...kept, 'notes.txt'].sort())
  expect(await readBlob(again.newInstance(), 1)).toBe('kept')
})

test('an iteration that goes on while the log is packed finds all its blobs; the next pack removes them', async () => {
  const path = temporaryLog()
  const storage = await openFile(path)
  const instance = storage.newInstance()
  for (let round = 0; round < 4; round++) await commitBlob(instance, 1, [bytes(`round ${round}`)])
  instance.afterCompletion()
  const found: string[] = []
  for await (const { records } of storage.iterate()) {
    if (found.length === 0) await storage.pack({ before: storage.lastTid })
    for await (const chunk of records[0]!.blob!.chunks()) found.push(text(chunk))
  }
  expect(found).toEqual(['round 0', 'round 1', 'round 2', 'round 3'])
  await storage.pack({ before: storage.lastTid })
  expect(filesOf(path)).toHaveLength(2)
})

test('a log that is missing while its blobs are there is not replaced by an empty one', async () => {
  const path = temporaryLog()
  const storage = await openFile(path)
  await commitBlob(storage.newInstance(), 1, [bytes('kept')])
  await storage.close()
  rmSync(`${path}.index`)
  renameSync(path, `${path}-moved`)
  await expect(openFile(path)).rejects.toMatchObject({ code: 'log-not-found' })
  renameSync(`${path}-moved`, path)
  expect(await readBlob((await openFile(path)).newInstance(), 1)).toBe('kept')
})

test('verify checks blobs, dump shows them, and recover brings them along, damaged ones too', async () => {
  const path = temporaryLog()
  const storage = await openFile(path)
  const instance = storage.newInstance()
  await commitBlob(instance, 1, [bytes('one')])
  await commitBlob(instance, 2, [new Uint8Array(100_000).fill(65)])
  await commitBlob(instance, 3, [bytes('three')])
  await storage.close()
  const verified = output()
  expect(verifyFile(path, verified)).toBe(0)
  expect(verified.lines[0]).toContain('3 records of 3 objects, 3 blobs')
  const dumped = output()
  dumpFile(path, { records: true }, dumped)
  expect(dumped.lines.filter((line) => /blob 2-[0-9a-f]{16} of 100000 bytes/.test(line))).toHaveLength(1)

  const nameOf = (id: number) => `${path}.blobs/${filesOf(path).find((name) => name.startsWith(`${id}-`))}`
  const damaged = readFileSync(nameOf(2))
  damaged[99_000]! ^= 1
  writeFileSync(nameOf(2), damaged)
  rmSync(nameOf(3))
  const found = output()
  expect(verifyFile(path, found)).toBe(1)
  expect(found.lines[1]).toContain('the blob of object 2')
  expect(found.lines[1]).toContain('the checksum of its bytes from 65536 on is wrong')
  expect(found.lines[2]).toContain('the file is missing')

  const target = temporaryLog()
  const recovered = output()
  expect(recoverFile(path, target, recovered)).toBe(0)
  expect(recovered.lines.filter((line) => line.startsWith('damaged:'))).toHaveLength(2)
  const copy = (await openFile(target)).newInstance()
  expect(await readBlob(copy, 1)).toBe('one')
  const reader = copy.openBlob(oid(2))!
  expect(text(await reader.read(65_000, 500))).toBe('A'.repeat(500))
  expect(() => reader.read(65_000, 600)).toThrow('checksum')
  expect(() => copy.openBlob(oid(3))).toThrow('missing')
})
