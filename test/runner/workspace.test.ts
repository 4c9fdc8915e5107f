import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openWorkspace } from '../../src/runner/workspace.ts'

interface Owner {
  readonly pid: number
  readonly host?: string
  readonly started: string
}

/** A folder as a run makes it, with this owner. */
function leave(parent: string, name: string, owner: Owner): string {
  const folder = join(parent, `shootout-${name}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'owner.json'), JSON.stringify(owner))
  return folder
}

test('only the folders of runs of this machine that are gone are removed', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'shootout-test-'))
  const first = await openWorkspace(parent, () => {})
  const own = JSON.parse(readFileSync(join(first.folder, 'owner.json'), 'utf8')) as Owner
  const folders = {
    ofAProcessThatHadThisId: leave(parent, 'reused', { ...own, started: 'long ago' }),
    ofAnotherMachine: leave(parent, 'elsewhere', { ...own, host: 'elsewhere', started: 'long ago' }),
    ofNobodyKnown: join(parent, 'shootout-unknown'),
  }
  mkdirSync(folders.ofNobodyKnown)
  const said: string[] = []
  const second = await openWorkspace(parent, (message) => said.push(message))
  expect(existsSync(first.folder)).toBe(true)
  expect(existsSync(folders.ofAProcessThatHadThisId)).toBe(false)
  expect(existsSync(folders.ofAnotherMachine)).toBe(true)
  expect(existsSync(folders.ofNobodyKnown)).toBe(true)
  expect(said).toEqual([
    `removing ${folders.ofAProcessThatHadThisId}, left behind by process ${own.pid}, which is gone`,
  ])
  await Promise.all([first.remove(), second.remove()])
})
