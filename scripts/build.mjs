/**
 * Compiles src to dist while dist may be in use: into a folder beside it, from which each file that differs takes its
 * place in one step. npm runs this at moments nobody expects, as on the first `npx shootout` in a clone; a command that
 * runs in another terminal then finds every file whole at any time.
 */

import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc')

/** Paths of the files below a folder. @param {string} folder */
const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    statSync(join(folder, path), { throwIfNoEntry: false })?.isFile(),
  )

/** @param {string} one @param {string} other */
const isSame = (one, other) => existsSync(other) && readFileSync(one).equals(readFileSync(other))

// Beside dist: on the same disk, so that a file can be renamed into its place.
const fresh = mkdtempSync(join(root, 'dist-'))
try {
  const { status } = spawnSync(
    process.execPath,
    [compiler, '-p', join(root, 'tsconfig.json'), '--outDir', fresh],
    { stdio: 'inherit' },
  )
  // The compiler has said what is wrong; dist stays as it was.
  if (status === 0) putInPlace()
  else process.exitCode = 1
} finally {
  rmSync(fresh, { recursive: true, force: true })
}

function putInPlace() {
  // npm does this on installing; the compiler does not.
  chmodSync(join(fresh, 'cli/main.js'), 0o755)
  const made = new Set(filesIn(fresh))
  for (const path of made) {
    if (isSame(join(fresh, path), join(dist, path))) continue
    mkdirSync(dirname(join(dist, path)), { recursive: true })
    renameSync(join(fresh, path), join(dist, path))
  }
  // A file deleted from src must not live on in dist.
  for (const path of filesIn(dist)) if (!made.has(path)) rmSync(join(dist, path), { force: true })
}
