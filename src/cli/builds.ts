/**
 * Another build of the same storage: a checkout that was built, or a package of the npm registry. Its storages are
 * loaded from its own files, with its own dependencies; scenarios, runner and statistics are always ours, so that both
 * sides of a comparison are measured by the same thing.
 */

import { execFile } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { ShootoutError, UsageError } from '../core/errors.ts'
import { looksLikePath, moduleUrl } from '../core/load-module.ts'
import type { StorageSource } from './contenders.ts'

const run = promisify(execFile)

/** npm asks the registry again and again when it does not answer. */
const installTimeoutMs = 300_000

const packagePattern = /^((?:@[a-z0-9~-][\w.~-]*\/)?[a-z0-9~-][\w.~-]*)@([^@/]+)$/

/**
 * @param from a folder, or `package@version`
 * @param newFolder makes an empty folder of ours, for a package; nothing is installed anywhere else
 * @throws UsageError `build-not-found`, `not-built`, `version-not-found`; ShootoutError `install-failed`
 */
export async function openBuild(from: string, newFolder: () => Promise<string>): Promise<StorageSource> {
  const folder = resolve(from)
  if (existsSync(folder)) {
    if (!statSync(folder).isDirectory()) {
      throw new UsageError(
        'build-not-found',
        `${from} is a file; name the folder of a checkout, or package@version`,
      )
    }
    return new Build(from, folder)
  }
  const [, name, version] = packagePattern.exec(from) ?? []
  if (name === undefined || version === undefined) {
    throw new UsageError(
      'build-not-found',
      `there is no folder ${from}; name one, or a package as name@version`,
    )
  }
  return new Build(from, await install(name, version, await newFolder()))
}

/** @returns the folder of the package */
async function install(name: string, version: string, folder: string): Promise<string> {
  // Newer npm runs the install scripts of dependencies only where it was told to; without its own, better-sqlite3 is
  // not compiled.
  const project = { private: true, allowScripts: { 'better-sqlite3': true } }
  await writeFile(join(folder, 'package.json'), JSON.stringify(project))
  const flags = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
  try {
    await run('npm', ['install', ...flags, `${name}@${version}`], { cwd: folder, timeout: installTimeoutMs })
  } catch (cause) {
    const said = String((cause as { readonly stderr?: string }).stderr ?? '').trim()
    const code = /npm (?:error|ERR!) code (\w+)/.exec(said)?.[1]
    if (code === 'E404' || code === 'ETARGET') {
      throw new UsageError(
        'version-not-found',
        `npm knows no ${name}@${version}; "npm view ${name} versions" lists what there is`,
        { cause },
      )
    }
    throw new ShootoutError(
      'install-failed',
      `npm could not install ${name}@${version}: ${said || (cause as Error).message}`,
      {
        cause,
      },
    )
  }
  return join(folder, 'node_modules', name)
}

interface Manifest {
  readonly name?: string
  readonly version?: string
  readonly main?: string
  readonly exports?: unknown
}

class Build implements StorageSource {
  readonly #from: string
  readonly #folder: string
  readonly #manifest: Manifest

  constructor(from: string, folder: string) {
    this.#from = from
    this.#folder = folder
    const path = join(folder, 'package.json')
    this.#manifest = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Manifest) : {}
  }

  get title(): string {
    const { name, version } = this.#manifest
    const is = name === undefined ? '' : ` (${name} ${version ?? 'without a version'})`
    return this.#from === `${name}@${version}` ? this.#from : `${this.#from}${is}`
  }

  /** A path is one in the build, `.` is its main module, and a name is one of the storages that it bundles. */
  async storageUrl(nameOrPath: string): Promise<string> {
    if (nameOrPath !== '.' && looksLikePath(nameOrPath)) {
      if (existsSync(resolve(this.#folder, nameOrPath))) return moduleUrl(nameOrPath, this.#folder)
      throw this.#notBuilt(resolve(this.#folder, nameOrPath))
    }
    const main = resolve(this.#folder, mainOf(this.#manifest) ?? 'index.js')
    if (!existsSync(main)) throw this.#notBuilt(main)
    const url = pathToFileURL(main).href
    return nameOrPath === '.' ? url : this.#bundled(url, nameOrPath)
  }

  async #bundled(mainUrl: string, name: string): Promise<string> {
    let main: { readonly storageUrl?: unknown }
    try {
      main = (await import(mainUrl)) as { readonly storageUrl?: unknown }
    } catch (cause) {
      throw new UsageError(
        'not-built',
        `${this.#from} cannot be loaded: ${(cause as Error).message}; build it first (npm ci && npm run build, in that folder)`,
        { cause },
      )
    }
    if (typeof main.storageUrl !== 'function') {
      throw new UsageError(
        'unknown-storage',
        `${this.title} bundles no storages, so there is no "${name}" in it; name a module by its path in it, ./dist/my-storage.js, or its main module as "."`,
      )
    }
    return (main.storageUrl as (name: string) => string)(name)
  }

  #notBuilt(missing: string): UsageError {
    return new UsageError(
      'not-built',
      `there is no ${missing}; build ${this.#from} first (npm ci && npm run build, in that folder)`,
    )
  }
}

/** What `import 'package'` would load. */
function mainOf({ main, exports }: Manifest): string | undefined {
  let found: unknown = exports
  if (typeof found === 'object' && found !== null && '.' in found) found = found['.' as keyof typeof found]
  while (typeof found === 'object' && found !== null) {
    const conditions: { readonly import?: unknown; readonly node?: unknown; readonly default?: unknown } =
      found
    found = conditions.import ?? conditions.node ?? conditions.default
  }
  return typeof found === 'string' ? found : main
}
