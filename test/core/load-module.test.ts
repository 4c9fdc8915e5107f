import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { loadDefault, moduleUrl } from '../../src/core/load-module.ts'

function moduleOf(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'module-')), 'mine.mjs')
  writeFileSync(path, text)
  return moduleUrl(path)
}
const load = (text: string) => loadDefault(moduleOf(text), 'storage', () => undefined)

test('a module that lacks a package is refused with the command that installs it', async () => {
  await expect(load("import 'nowhere-to-be-found'")).rejects.toThrow(
    /cannot be loaded: .*; install it there: npm install nowhere-to-be-found$/,
  )
})

test('where the package is ours, it is installed from here', async () => {
  const root = resolve(import.meta.dirname, '../..')
  await expect(load("import 'shootout/storage'")).rejects.toThrow(`; install it there: npm install ${root}`)
})

test('a folder is not a module', () => {
  expect(() => moduleUrl(tmpdir())).toThrow('is a folder; name the module in it')
})
