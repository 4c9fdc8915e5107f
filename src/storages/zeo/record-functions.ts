/**
 * The two functions that look into records, loaded from the modules that have them: a server process is told their
 * addresses, since functions do not travel.
 */

import { ShootoutError } from '../../core/errors.ts'
import type { Oid } from '../../core/ids.ts'
import type { ConflictResolver } from '../storage.ts'

/** @param url of a module that exports `resolveConflict` @throws ShootoutError `module-broken` */
export async function loadResolver(url: string): Promise<ConflictResolver> {
  return (await loadFunction(url, 'resolveConflict')) as ConflictResolver
}

/** @param url of a module that exports `references` @throws ShootoutError `module-broken` */
export async function loadReferences(url: string): Promise<(data: Uint8Array) => Iterable<Oid>> {
  return (await loadFunction(url, 'references')) as (data: Uint8Array) => Iterable<Oid>
}

async function loadFunction(url: string, name: string): Promise<unknown> {
  const found = ((await import(url)) as Readonly<Record<string, unknown>>)[name]
  if (typeof found === 'function') return found
  throw new ShootoutError('module-broken', `${url} exports no function ${name}`, { details: { url } })
}
