/**
 * Makes a folder and what is missing above it. Not `mkdir` with `recursive`: in Node 20 that never returns where the
 * system goes on saying ENOENT, as it does under /proc.
 */

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/** @throws the system's error */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path) throw error
    makeFolder(parent)
    mkdirSync(path)
  }
}
