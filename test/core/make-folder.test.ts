import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { makeFolder } from '../../src/core/make-folder.ts'

const base = mkdtempSync(join(tmpdir(), 'make-folder-'))
afterAll(() => rmSync(base, { recursive: true }))

test('makes what is missing, and leaves what is there', () => {
  const path = join(base, 'a', 'b', 'c')
  makeFolder(path)
  makeFolder(path)
  expect(existsSync(path)).toBe(true)
})

test('says why where no folder can be made, instead of trying for ever', () => {
  expect(() => makeFolder('/proc/nowhere/at/all')).toThrow(/ENOENT/)
  writeFileSync(join(base, 'file'), '')
  expect(() => makeFolder(join(base, 'file', 'x'))).toThrow(/ENOTDIR/)
})
