/**
 * With which caches the conformance suite runs over the SQL storages: with the default one, and with
 * SHOOTOUT_CACHES=all also without any, with one so small that it always overflows, and with blobs in a folder.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

const folders: string[] = []

afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** All stores of a configuration share the folder, which holds a few blobs only. */
export function blobCacheOptions(): Readonly<Record<string, unknown>> {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-blob-cache-'))
  folders.push(folder)
  return { blobCacheFolder: folder, blobBytesLimit: '16mb' }
}

const isAll = process.env['SHOOTOUT_CACHES'] === 'all'

function cachesOf(): readonly Readonly<Record<string, unknown>>[] {
  return isAll
    ? [{}, { cacheBytesLimit: 0, ...blobCacheOptions() }, { cacheBytesLimit: '64kb' }, blobCacheOptions()]
    : [{}]
}

/** Options for `describe.each`: both schemas, each with every cache. */
export const configurations: readonly Readonly<Record<string, unknown>>[] = [
  { history: false },
  { history: true },
].flatMap((schema) => cachesOf().map((cache) => ({ ...schema, ...cache })))
