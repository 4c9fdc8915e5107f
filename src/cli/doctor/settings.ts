/**
 * Changes settings of the system when asked to, and puts them back. What they were is kept in a file of the user's, and
 * only settings that a check of ours names are ever written.
 */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { ShootoutError, UsageError } from '../../core/errors.ts'
import type { Setting } from './finding.ts'

/** The only places that are written. */
const writable = [
  /^sys\/devices\/system\/cpu\/cpu\d+\/cpufreq\/scaling_governor$/,
  /^sys\/devices\/system\/cpu\/intel_pstate\/no_turbo$/,
  /^sys\/devices\/system\/cpu\/cpufreq\/boost$/,
]

export function memoryFile(): string {
  const state = process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local/state')
  return join(state, 'shootout/doctor.json')
}

/** @throws ShootoutError `setting-unwritable`; those before it are put back */
export function applySettings(root: string, settings: readonly Setting[], memory: string): void {
  if (existsSync(memory)) {
    throw new UsageError(
      'already-applied',
      `settings were changed before; put them back first, with --restore (${memory})`,
    )
  }
  const before = settings.map(({ path }) => ({ path, value: readFileSync(join(root, path), 'utf8').trim() }))
  mkdirSync(dirname(memory), { recursive: true })
  writeFileSync(memory, JSON.stringify(before), { mode: 0o600 })
  try {
    for (const setting of settings) write(root, setting)
  } catch (error) {
    restoreSettings(root, memory)
    throw error
  }
}

/** @returns what was put back; undefined when there is nothing to put back */
export function restoreSettings(root: string, memory: string): readonly Setting[] | undefined {
  if (!existsSync(memory)) return undefined
  const before = JSON.parse(readFileSync(memory, 'utf8')) as readonly Setting[]
  for (const setting of before) {
    const now = readFileSync(join(root, setting.path), 'utf8').trim()
    if (now !== setting.value) write(root, setting)
  }
  rmSync(memory)
  return before
}

function write(root: string, { path, value }: Setting): void {
  if (!writable.some((pattern) => pattern.test(path))) throw new Error(`${path} is not a setting of ours`)
  try {
    writeFileSync(join(root, path), value)
  } catch (cause) {
    throw new ShootoutError(
      'setting-unwritable',
      `/${path} cannot be set to ${value} (${(cause as NodeJS.ErrnoException).code}); it takes root, and a system that allows it. Nothing was changed`,
      { cause },
    )
  }
}
