/** The search, over real git histories and an oracle that knows the truth. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { cleanEnvironment, Repository } from '../../src/cli/bisect/repository.ts'
import { type Answer, search } from '../../src/cli/bisect/search.ts'

function history() {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-history-'))
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
      cwd: folder,
      encoding: 'utf8',
      env: cleanEnvironment(),
    }).trim()
  git('init', '--quiet', '--initial-branch=main')
  const commit = (subject: string) => {
    git('commit', '--quiet', '--allow-empty', '-m', subject)
    return git('rev-parse', 'HEAD')
  }
  return { folder, git, commit }
}

async function find(folder: string, commits: readonly string[], answers: readonly Answer[]) {
  const tried: string[] = []
  const ends = { good: commits[0]!, bad: commits.at(-1)! }
  const outcome = await search(await Repository.open(folder), ends, async (commit) => {
    tried.push(commit)
    return answers[commits.indexOf(commit)]!
  })
  return { outcome, tried }
}

const [g, b, s] = ['good', 'bad', 'skip'] as const

test.each<[string, readonly Answer[], number | readonly number[]]>([
  ['in the middle', [g, g, g, g, b, b, b, b], 4],
  ['at the first', [g, b, b, b], 1],
  ['at the last', [g, g, g, g, g, b], 5],
  ['with nothing between', [g, b], 1],
  ['beside one that cannot be told', [g, s, g, b, b, s, b], 3],
  ['unless those before it cannot be told', [g, g, s, s, b, b], [2, 3, 4]],
])('the first bad commit is found %s', async (_, answers, wanted) => {
  const { folder, commit } = history()
  const commits = answers.map((_answer, index) => commit(`number ${index}`))
  const { outcome, tried } = await find(folder, commits, answers)
  if (typeof wanted === 'number') expect(outcome).toEqual({ found: commits[wanted] })
  else if (outcome.found === undefined) {
    expect([...outcome.among].sort()).toEqual(wanted.map((index) => commits[index]).sort())
  } else expect(outcome.found).toBeUndefined()
  expect(new Set(tried).size).toBe(tried.length)
})

test('a branch that was merged is searched, too', async () => {
  const { folder, git, commit } = history()
  const start = commit('start')
  git('checkout', '--quiet', '-b', 'side')
  const culprit = commit('culprit on a branch')
  const after = commit('after it')
  git('checkout', '--quiet', 'main')
  const innocent = commit('innocent')
  git('merge', '--quiet', '--no-ff', 'side', '-m', 'merge')
  const bad = git('rev-parse', 'HEAD')
  const isBad = new Set([culprit, after, bad])
  const outcome = await search(await Repository.open(folder), { good: start, bad }, async (one) =>
    isBad.has(one) ? 'bad' : 'good',
  )
  expect(outcome).toEqual({ found: culprit })
  expect(isBad.has(innocent)).toBe(false)
})

test('names that are no commits, and folders that are no repositories, are refused', async () => {
  const { folder, commit } = history()
  commit('one')
  await expect((await Repository.open(folder)).commit('--all')).rejects.toMatchObject({
    code: 'unknown-commit',
  })
  await expect(Repository.open(mkdtempSync(join(tmpdir(), 'shootout-none-')))).rejects.toMatchObject({
    code: 'no-repository',
  })
})
