/** Completion, as the shells themselves do it. Bash is everywhere; zsh and fish are asked where they are installed. */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newFolder, shootout } from './shootout.ts'

/** Asks one shell for several lines at once: starting one takes longer than all of them. */
type Asker = (script: string, lines: readonly string[], cwd: string) => readonly (readonly string[])[]

const end = '@@'

/** Words of the replies, in any order, without blanks that a shell appends. */
function split(output: string): readonly (readonly string[])[] {
  return output
    .split(`${end}\n`)
    .slice(0, -1)
    .map((one) => one.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')[0]!])))
}

const bash: Asker = (script, lines, cwd) => {
  const asks = lines.map(
    (line) => `COMP_LINE=${quoted(line)}; COMP_POINT=\${#COMP_LINE}; _shootout
      [ \${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "\${COMPREPLY[@]}"; echo ${end}`,
  )
  return split(
    execFileSync('bash', ['--norc', '-c', `${script}\n${asks.join('\n')}`], { cwd, encoding: 'utf8' }),
  )
}

/** The functions of zsh that only work while it completes are replaced by ones that print what they were given. */
const zsh: Asker = (script, lines, cwd) => {
  const stubs = `compdef() { }; compset() { }; _files() { print -l -- *(N) }
    compadd() { while [[ $1 != -- ]]; do shift; done; shift; local one; for one in "$@"; do
      [[ $one == "\${words[CURRENT]}"* ]] && print -r -- "$one"; done; true }`
  const asks = lines.map(
    (line) => `words=("\${(@s: :)\${:-${line}}}"); CURRENT=$#words; _shootout; print ${end}`,
  )
  return split(
    execFileSync('zsh', ['-f', '-c', `${stubs}\n${script}\n${asks.join('\n')}`], { cwd, encoding: 'utf8' }),
  )
}

const fish: Asker = (script, lines, cwd) => {
  const asks = lines.map((line) => `complete -C ${quoted(line)}; echo ${end}`)
  return split(
    execFileSync('fish', ['--no-config', '-c', `${script}\n${asks.join('\n')}`], { cwd, encoding: 'utf8' }),
  )
}

function quoted(text: string): string {
  return `'${text}'`
}

function isInstalled(shell: string): boolean {
  return spawnSync(shell, ['-c', 'true']).status === 0
}

/** Typed → some of what is offered, and what is not. */
const cases: readonly (readonly [line: string, offered: readonly string[], not: readonly string[]])[] = [
  ['shootout ', ['run', 'gate', 'file', 'completion'], ['--version', 'verify']],
  ['shootout ga', ['gate'], ['run']],
  ['shootout file ', ['verify', 'recover', 'dump'], ['run']],
  ['shootout gate --base', ['--baseline', '--baseline-from'], ['--candidate']],
  ['shootout gate --baseline ', ['sqlite', 'memory', 'mine.js'], ['--candidate']],
  ['shootout gate --format ', ['table', 'md', 'json'], ['csv']],
  ['shootout run --storage file,sq', ['file,sqlite'], ['sqlite', 'file,memory']],
  ['shootout run --storage file ', [], ['verify']],
  ['shootout run --scenario ', ['headline', 'all', 'cold-read', 'steamin'], ['sqlite']],
  ['shootout run --preset ', ['relstorage3'], ['sqlite']],
  ['shootout compare ', ['mine.js'], ['run']],
  ['shootout list sqlite po', ['postgres'], ['sqlite']],
  ['shootout file recover mi', ['mine.js'], ['run']],
  ['shootout file dump --', ['--help'], ['--version']],
  ['shootout completion ', ['bash', 'zsh', 'fish'], ['run']],
]

test.each<[string, Asker]>([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
])('%s completes commands, options and names', async (shell, ask) => {
  const { code, stdout: script } = await shootout(['completion', shell])
  expect(code).toBe(0)
  if (shell !== 'bash' && !isInstalled(shell)) {
    expect(script).toContain('relstorage3')
    return
  }
  const folder = newFolder()
  writeFileSync(join(folder, 'mine.js'), '')
  mkdirSync(join(folder, 'folder'))
  const replies = ask(
    script,
    cases.map(([line]) => line),
    folder,
  )
  const wrong = cases.flatMap(([line, offered, not], index) => {
    const reply = replies[index]!
    const missing = offered.filter((word) => !reply.includes(word))
    const extra = not.filter((word) => reply.includes(word))
    return missing.length + extra.length === 0 ? [] : [{ line, missing, extra, reply }]
  })
  expect(wrong).toEqual([])
})

test('what bash takes for an end of a word is not repeated', async () => {
  const { stdout: script } = await shootout(['completion', 'bash'])
  const lines = [
    'shootout gate --format=j',
    'shootout run --concurrency async:2,thr',
    'shootout run --concurrency as',
  ]
  expect(bash(script, lines, newFolder())).toEqual([['json'], ['2,threads:'], ['async:']])
})

test('an unknown shell is a usage error', async () => {
  const { code, stderr } = await shootout(['completion', 'tcsh'])
  expect([code, stderr]).toEqual([2, expect.stringContaining('bash, zsh, fish')])
})
