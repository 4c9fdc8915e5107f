/** Stores of servers, and storages that are closed after each test. For files of tests, each of which has servers of its own. */

import { join } from 'node:path'
import { afterAll, afterEach } from 'vitest'
import { openStorage } from '../../../src/storages/open.ts'
import mysql from '../../../src/storages/sql/mysql/index.ts'
import postgres from '../../../src/storages/sql/postgres/index.ts'
import type { Storage } from '../../../src/storages/storage.ts'
import { startTestServer } from '../sql/servers.ts'
import { newFolder, type OpenStore } from './stores.ts'

export const postgresServer = await startTestServer(postgres, { durability: 'os', history: true })
export const mysqlServer = await startTestServer(mysql, { durability: 'os', history: true })
let stores = 0

export const openPostgres: OpenStore = async () =>
  openStorage(postgres, (await postgresServer!.provision.newStore(`copy_${stores++}`)).options)
export const openMysql: OpenStore = async () =>
  openStorage(mysql, (await mysqlServer!.provision.newStore(`copy_${stores++}`)).options)

const folder = newFolder()
const opened: Storage[] = []

export const newPath = (): string => join(folder, `store-${stores++}`)

export async function open(how: OpenStore, path = newPath()): Promise<Storage> {
  const storage = await how(path)
  opened.push(storage)
  return storage
}

afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close()
})

afterAll(async () => {
  await postgresServer?.stop()
  await mysqlServer?.stop()
})
