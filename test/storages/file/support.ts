/** Opens logs for tests: real files in a private temporary folder that goes away afterwards. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { FileSystem } from '../../../src/core/file-system.ts'
import type { Oid, Tid } from '../../../src/core/ids.ts'
import { type OptionsOf, parseOptions } from '../../../src/core/options.ts'
import file from '../../../src/storages/file/index.ts'
import { shareLog } from '../../../src/storages/file/share.ts'
import { FileStorage, type FileStorageOptions } from '../../../src/storages/file/storage.ts'
import { openContext, openStorage } from '../../../src/storages/open.ts'
import type { OpenContext, StorageInstance } from '../../../src/storages/storage.ts'

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-file-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function temporaryLog(): string {
  return join(temporaryFolder(), 'data.log')
}

export function fileOptions(given: Readonly<Record<string, unknown>>): OptionsOf<typeof file.options> {
  return parseOptions('file', file.options, given)
}

/** Opens a log; it is closed when the test ends, if it was not before. */
export async function openFile(
  path: string,
  given: Readonly<Record<string, unknown>> = {},
  context: Partial<OpenContext> = {},
): Promise<FileStorage> {
  const storage = (await openStorage(file, fileOptions({ path, ...given }), context)) as FileStorage
  onTestFinished(() => storage.close())
  return storage
}

export const oid = (value: number): Oid => value as Oid

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data)
}

/** Commits `changes` (null deletes) on top of what the instance sees, and returns the tid. */
export async function commit(
  instance: StorageInstance,
  changes: Readonly<Record<number, string | null>>,
): Promise<Tid> {
  await instance.pollInvalidations()
  const transaction = instance.begin()
  const oids = Object.keys(changes).map((key) => oid(Number(key)))
  const current = await instance.loadMany(oids)
  for (const [at, id] of oids.entries()) {
    const data = changes[id]
    const serial = current[at]?.serial ?? (0 as Tid)
    if (data === null || data === undefined) await transaction.delete?.(id, serial)
    else await transaction.store(id, serial, bytes(data))
  }
  const voted = await transaction.vote()
  return await voted.finish()
}

/** What a fresh snapshot shows of an object; undefined when it does not exist. */
export async function current(
  storage: { newInstance(): StorageInstance | Promise<StorageInstance> },
  id: number,
) {
  const instance = await storage.newInstance()
  try {
    await instance.pollInvalidations()
    const [revision] = await instance.loadMany([oid(id)])
    return revision === undefined ? undefined : text(revision.data)
  } finally {
    await instance.release()
  }
}

export interface OpenedLog {
  readonly storage: FileStorage
  /** What was reported to a person. */
  readonly messages: readonly string[]
  close(): Promise<void>
}

/** Opens a log on a simulated disk, which has no other processes and therefore no lock. */
export async function openSimulated(
  files: FileSystem,
  path: string,
  given: Partial<FileStorageOptions> = {},
  context: Partial<OpenContext> = {},
): Promise<OpenedLog> {
  const messages: string[] = []
  const whole = openContext({ log: (message) => messages.push(message), ...context })
  const options = { durability: 'full' as const, claimWaitMs: 1000, checkpointBytes: 1 << 30, ...given }
  const shared = await shareLog(files, { path, indexBytes: 1 << 20, ...options }, whole, () => ({
    release: () => {},
  }))
  const storage = new FileStorage(shared.state, files, whole, options)
  return {
    storage,
    messages,
    async close() {
      await storage.close()
      await shared.close()
    },
  }
}
