/** Runs the built command line as a user would, in a folder of its own. */

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ForkLine, ResultLine } from '../../src/results/schema.ts'

export const mainPath = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'shootout-test-'))
}

export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))
}

export function shootout(args: readonly string[], cwd = newFolder()): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: '1', COLUMNS: '120' }
    execFile(
      process.execPath,
      [mainPath, ...args],
      { cwd, env, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        resolve({
          code: error === null ? 0 : ((error.code as unknown as number | null) ?? -1),
          stdout,
          stderr,
        })
      },
    )
  })
}

/** The complete lines of a results file, which may be growing. */
export function readLines(path: string): ResultLine[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ResultLine)
}

export function forkLines(path: string): ForkLine[] {
  return readLines(path).filter((line) => line.type === 'fork')
}
