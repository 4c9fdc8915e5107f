/**
 * Loads the default export of a module by URL. Storages and scenarios are always named by URL, so that a thread, a
 * process or a server can load them for itself.
 */

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ShootoutError, UsageError } from './errors.ts'

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
  if (!existsSync(fileURLToPath(url))) {
    throw new UsageError('module-not-found', `there is no file ${fileURLToPath(url)}; check the path`, {
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
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ShootoutError('module-broken', `${what} ${url} cannot be loaded: ${reason}`, {
      cause,
      details: { url },
    })
  }
  const missing = module.default === undefined ? 'it has no default export' : check(module.default)
  if (missing !== undefined) {
    throw new ShootoutError('module-broken', `${url} is not a ${what}: ${missing}`, { details: { url } })
  }
  return module.default as T
}
