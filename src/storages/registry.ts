/**
 * The storages that come with the product: name → module URL. Nothing is imported before it is asked for, so a
 * missing driver hurts only who uses it.
 */

import { closestName, ShootoutError, UsageError } from '../core/errors.ts'
import { loadDefault, looksLikePath, moduleUrl, siblingModule } from '../core/load-module.ts'
import { type StorageModule, storageContract, storageModuleProblem } from './storage.ts'

const urls: Readonly<Record<string, string>> = {
  memory: siblingModule(import.meta.url, './memory'),
  file: siblingModule(import.meta.url, './file/index'),
  zeo: siblingModule(import.meta.url, './zeo/index'),
  sqlite: siblingModule(import.meta.url, './sql/sqlite/index'),
  postgres: siblingModule(import.meta.url, './sql/postgres/index'),
  mysql: siblingModule(import.meta.url, './sql/mysql/index'),
}

/** What people call them elsewhere. Only ever a hint: one name per thing. */
const otherNames = new Map([
  ['mariadb', 'mysql'],
  ['pg', 'postgres'],
  ['postgresql', 'postgres'],
  ['filestorage', 'file'],
])

/** Names of the bundled storages, in the order in which reports show them. */
export const storageNames: readonly string[] = Object.keys(urls)

/**
 * URL of a storage given by name, by path or by URL.
 * @throws UsageError `unknown-storage`, `module-not-found`
 */
export function storageUrl(nameOrPath: string, baseFolder?: string): string {
  if (Object.hasOwn(urls, nameOrPath)) return urls[nameOrPath]!
  if (looksLikePath(nameOrPath)) return moduleUrl(nameOrPath, baseFolder)
  const closest = otherNames.get(nameOrPath.toLowerCase()) ?? closestName(nameOrPath, storageNames)
  throw new UsageError(
    'unknown-storage',
    `there is no storage "${nameOrPath}". ${closest === undefined ? '' : `Did you mean "${closest}"? `}` +
      `Known are ${storageNames.join(', ')}; a storage of your own is named by its path, ./my-storage.js`,
    { details: { storage: nameOrPath } },
  )
}

/** @throws ShootoutError `module-broken`, `other-contract` */
export async function loadStorageModule(url: string): Promise<StorageModule> {
  const module = await loadDefault<StorageModule>(url, 'storage', storageModuleProblem)
  const { contract = storageContract } = module
  if (contract !== storageContract) {
    throw new ShootoutError(
      'other-contract',
      `storage ${url} is made for version ${contract} of the storage contract, and this is version ${storageContract}; use it with the version of shootout that it was made for`,
      { details: { url, contract } },
    )
  }
  return module
}
