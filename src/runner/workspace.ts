/**
 * The one temporary folder of a run, in which everything it makes lies. Folders that runs left behind because they were
 * killed are found by the owner's process number and start time, and removed; nothing else is ever touched.
 */

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../core/errors.ts'
import { makeFolder } from '../core/make-folder.ts'

const prefix = 'shootout-'
const ownerFile = 'owner.json'

interface Owner {
  readonly pid: number
  readonly started: string
}

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
    await writeFile(
      join(folder, ownerFile),
      JSON.stringify({ pid: process.pid, started: await startOf(process.pid) }),
    )
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
    if (owner === undefined || (await startOf(owner.pid)) === owner.started) continue
    log(`removing ${path}, left behind by process ${owner.pid}, which is gone`)
    await rm(path, { recursive: true, force: true })
  }
}

async function readOwner(folder: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, ownerFile), 'utf8')) as Owner
  } catch {
    // Without a readable mark of ours it is not known to be ours, and stays.
    return undefined
  }
}

/** When a process was started, in the system's own terms; undefined when there is no such process. */
async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') {
    try {
      process.kill(pid, 0)
      return 'running'
    } catch {
      return undefined
    }
  }
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The command name, in parentheses, may hold blanks; field 22 counts from after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
