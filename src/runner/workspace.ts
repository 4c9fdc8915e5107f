/**
 * The one temporary folder of a run, in which everything it makes lies. Folders that runs left behind because they were
 * killed are found by the process that owned them, and removed; nothing else is ever touched, above all no folder of
 * another machine or container that has the same temporary folder.
 */

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../core/errors.ts'
import { makeFolder } from '../core/make-folder.ts'
import { isAlive, type ProcessIdentity, thisProcess } from '../core/process-mark.ts'

const prefix = 'shootout-'
const ownerFile = 'owner.json'

export interface Workspace {
  readonly folder: string
  /** A new, empty folder in it. */
  subfolder(name: string): Promise<string>
  remove(): Promise<void>
}

/**
 * @param parent existing folder on the disk to be measured
 * @throws UsageError `folder-unwritable`
 */
export async function openWorkspace(parent: string, log: (message: string) => void): Promise<Workspace> {
  let folder: string
  try {
    makeFolder(parent)
    await removeOrphans(parent, log)
    folder = await mkdtemp(join(parent, prefix))
    await writeFile(join(folder, ownerFile), JSON.stringify(thisProcess()))
  } catch (cause) {
    throw new UsageError(
      'folder-unwritable',
      `stores cannot be made in ${parent} (${(cause as Error).message}); name another folder with --folder`,
      { cause, details: { folder: parent } },
    )
  }
  return {
    folder,
    async subfolder(name) {
      const path = join(folder, name)
      await mkdir(path)
      return path
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

async function removeOrphans(parent: string, log: (message: string) => void): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue
    const path = join(parent, name)
    const owner = await readOwner(path)
    if (owner === undefined || isAlive(owner)) continue
    log(`removing ${path}, left behind by process ${owner.pid}, which is gone`)
    await rm(path, { recursive: true, force: true })
  }
}

/** Undefined without a readable mark of ours: then it is not known to be ours, and stays. */
async function readOwner(folder: string): Promise<ProcessIdentity | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, ownerFile), 'utf8')) as ProcessIdentity
  } catch {
    return undefined
  }
}
