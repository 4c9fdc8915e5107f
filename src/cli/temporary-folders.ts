/** Folders that a command needs beside those of its stores, all in one workspace that is made when it is first needed. */

import { tmpdir } from 'node:os'
import { openWorkspace, type Workspace } from '../runner/workspace.ts'

export interface TemporaryFolders {
  /** A new, empty folder. */
  make(): Promise<string>
  remove(): Promise<void>
}

export function temporaryFolders(parent = tmpdir()): TemporaryFolders {
  let workspace: Promise<Workspace> | undefined
  let count = 0
  return {
    async make() {
      workspace ??= openWorkspace(parent, (message) => process.stderr.write(`${message}\n`))
      return (await workspace).subfolder(`t${count++}`)
    },
    async remove() {
      await (await workspace)?.remove()
    },
  }
}
