/** Every `shootout …` in README, CONTRIBUTING and docs is a command that exists, with options that exist. */

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { makeProgram } from '../../src/cli/program.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = ['README.md', 'CONTRIBUTING.md', 'compose.yaml']
  .concat(readdirSync(`${root}/docs`).map((name) => `docs/${name}`))
  .concat(readdirSync(`${root}/examples`).map((name) => `examples/${name}`))
  .filter((name) => /\.(?:md|ya?ml|js)$/.test(name))

/** Lines that begin with a call, behind whatever a comment begins with; continued ones joined. */
function commandsIn(page: string): string[] {
  const text = readFileSync(`${root}/${page}`, 'utf8').replaceAll(/\s*\\?\n\s*(?=--)/g, ' ')
  return [...text.matchAll(/^[ #/*-]*(?:npm ci && )?(?:npx )?shootout ([a-z][^\n]*)$/gm)].map(
    ([, call]) => call!,
  )
}

/** Words as a shell would make them, up to a comment. */
function wordsOf(call: string): string[] {
  const words = [...call.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3]!,
  )
  const comment = words.findIndex((word) => word.startsWith('#'))
  return comment < 0 ? words : words.slice(0, comment)
}

/** Nothing is done; only what was said is looked at. */
function withoutActions(command: Command): Command {
  command.configureOutput({ writeErr: () => {} })
  if (command.commands.length === 0) command.action(() => {})
  command.commands.forEach(withoutActions)
  return command
}

const calls = pages.flatMap((page) => commandsIn(page).map((call) => [page, call] as const))

test.each(calls)('%s: shootout %s', async (_page, call) => {
  await expect(
    withoutActions(makeProgram()).parseAsync(wordsOf(call), { from: 'user' }),
  ).resolves.toBeDefined()
})

test('there are some', () => {
  expect(calls.length).toBeGreaterThan(30)
})
