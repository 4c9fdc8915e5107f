/**
 * Loads the default export of a module by URL. Storages and scenarios are always named by URL, so that a thread, a
 * process or a server can load them for itself.
 */

import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ShootoutError, UsageError } from './errors.ts'
import { systemErrorCode } from './file-system.ts'
import { shellWord } from './shell-word.ts'

/**
 * URL of a module of our own beside the calling one. Our modules end in `.ts` in the source tree and in `.js` in the
 * build; this follows whichever the caller is.
 * @param importMetaUrl `import.meta.url` of the caller
 * @param name relative path without its ending: `./memory`
 */
export function siblingModule(importMetaUrl: string, name: string): string {
  return new URL(`${name}${importMetaUrl.endsWith('.ts') ? '.ts' : '.js'}`, importMetaUrl).href
}

/** True where a person means a file of theirs, not a name from a registry. */
export function looksLikePath(text: string): boolean {
  return (
    text.startsWith('file://') || text.startsWith('.') || text.startsWith('/') || /\.[cm]?[jt]s$/.test(text)
  )
}

/**
 * URL of a module file that a person named.
 * @throws UsageError `module-not-found`
 */
export function moduleUrl(path: string, baseFolder: string = process.cwd()): string {
  const url = path.startsWith('file://') ? path : pathToFileURL(resolve(baseFolder, path)).href
  const file = fileURLToPath(url)
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) {
    throw new UsageError('module-not-found', `there is no file ${file}; check the path`, {
      details: { path },
    })
  }
  if (found.isDirectory()) {
    throw new UsageError('module-not-found', `${file} is a folder; name the module in it`, {
      details: { path },
    })
  }
  return url
}

/**
 * Imports `url` and checks its default export.
 * @param what for errors: `storage`, `scenario`
 * @param check returns what is missing, or undefined when it is what it should be
 * @throws ShootoutError `module-broken` when it cannot be imported or is not what it should be
 */
export async function loadDefault<T>(
  url: string,
  what: string,
  check: (value: unknown) => string | undefined,
): Promise<T> {
  let module: { readonly default?: unknown }
  try {
    module = (await import(url)) as { readonly default?: unknown }
  } catch (cause) {
    throw new ShootoutError('module-broken', `${what} ${url} cannot be loaded: ${whyNot(cause)}`, {
      cause,
      details: { url },
    })
  }
  const found = isCompiled(module.default) ? module.default.default : module.default
  const missing = found === undefined ? 'it has no default export' : check(found)
  if (missing !== undefined) {
    throw new ShootoutError('module-broken', `${url} is not a ${what}: ${missing}`, { details: { url } })
  }
  return found as T
}

/** What compilers make of a module for `require`: all of its exports, the default one among them, are one object. */
function isCompiled(value: unknown): value is { readonly default?: unknown } {
  return typeof value === 'object' && value !== null && '__esModule' in value
}

/** The reason, with the next step where the system's own sentence has none. */
function whyNot(cause: unknown): string {
  const reason = cause instanceof Error ? cause.message : String(cause)
  if (systemErrorCode(cause) === 'ERR_UNKNOWN_FILE_EXTENSION') {
    return `${reason}; Node.js ${process.version} does not run such files, so compile it to JavaScript`
  }
  const missing = /^Cannot find package '((?:@[^/']+\/)?[^/']+)/.exec(reason)?.[1]
  return missing === undefined ? reason : `${reason}; install it there: npm install ${whereFrom(missing)}`
}

/** A module of somebody's own imports us by name; then it is this installation that it needs. */
function whereFrom(packageName: string): string {
  return packageName === 'shootout'
    ? shellWord(fileURLToPath(new URL('../..', import.meta.url)))
    : packageName
}
