/** Storages as people have them who use the package in other ways than we do. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { newFolder, shootout } from './shootout.ts'

const memory = fileURLToPath(new URL('../../dist/storages/memory.js', import.meta.url))

/** A folder with these files. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = newFolder()
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

const only = ['--only', 'object ids']

test('a storage that was compiled for require is a storage', async () => {
  const folder = folderWith({
    'compiled.cjs': `Object.defineProperty(exports, '__esModule', { value: true })
exports.default = require(${JSON.stringify(memory)}).default`,
    'plain.cjs': `module.exports = require(${JSON.stringify(memory)}).default`,
  })
  for (const name of ['compiled', 'plain']) {
    const ran = await shootout(['check', `./${name}.cjs`, ...only], folder)
    expect([name, ran.stderr, ran.code]).toEqual([name, '', 0])
  }
})

test('a storage that is not JavaScript is refused with what would help', async () => {
  const folder = folderWith({ 'storage.tsx': 'export default 1' })
  const ran = await shootout(['check', './storage.tsx', ...only], folder)
  expect(ran.stderr).toContain('so compile it to JavaScript (module-broken)')
})
