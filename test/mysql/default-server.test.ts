/** A store on a MySQL server with the settings that come with it. */

import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { checkStorage } from '../../src/conformance/index.ts'
import { noTid, type Oid } from '../../src/core/ids.ts'
import { parseOptions } from '../../src/core/options.ts'
import { openStorage } from '../../src/storages/open.ts'
import { loadDriver } from '../../src/storages/sql/mysql/driver.ts'
import mysql from '../../src/storages/sql/mysql/index.ts'
import { openControl } from '../../src/storages/sql/mysql/provision.ts'
import type { Storage } from '../../src/storages/storage.ts'
import { Ledger } from '../cluster/ledger.ts'
import { freshRandom } from '../fresh-random.ts'
import { toBytes } from '../storages/sql/race-model.ts'
import { killServer, startDefaultServer } from './default-server.ts'

const server = await startDefaultServer()
const control = await openControl(await loadDriver(), server.url, 'test')
const user = `shootout_${process.pid}`
const opened: Storage[] = []
const databases: string[] = []
let count = 0

afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close()
})

afterAll(async () => {
  const last = control.isBroken ? await openControl(await loadDriver(), server.url, 'test') : control
  for (const database of databases) await last.query(`DROP DATABASE IF EXISTS ${database}`)
  await last.query(`DROP USER IF EXISTS ${user}`)
  for (const session of new Set([control, last])) await session.close()
  await server.stop()
})

function freshDatabase(): string {
  const database = `shootout_defaults_${process.pid}_${count++}`
  databases.push(database)
  return database
}

async function open(given: Readonly<Record<string, unknown>>): Promise<Storage> {
  const options = parseOptions('mysql', mysql.options, { url: server.url, lockTimeout: '10s', ...given })
  const storage = await openStorage(mysql, options)
  opened.push(storage)
  return storage
}

test('the server is one of MySQL', async () => {
  const [row] = await control.query('SELECT VERSION() AS version')
  expect(row!['version']).toMatch(/^(?:8|9|\d\d)\.(?!.*MariaDB)/)
})

describe.each([{ history: false }, { history: true }])('conformance with %o', async (given) => {
  const options = { ...given, url: server.url, lockTimeout: '5s' }
  await checkStorage({ module: mysql, options }, { test, after: afterAll, skip: test.skip })
})

test('with a binary log that is synced at each commit, durability is full, and without that it is not', async () => {
  const options = parseOptions('mysql', mysql.options, { url: server.url })
  const durability = async () => {
    const provision = await mysql.provision!(options, { folder: '/nowhere', log: () => {} })
    if (!provision.available) throw new Error('not available')
    await provision.dispose()
    return [provision.facts['log_bin'], provision.facts['sync_binlog'], provision.durability]
  }
  const before = await durability()
  expect(before).toEqual(['1', '1', 'full'])
  await control.query('SET GLOBAL sync_binlog = 0')
  try {
    expect(await durability()).toEqual(['1', '0', 'os'])
  } finally {
    await control.query('SET GLOBAL sync_binlog = 1')
  }
})

// A user that is new to the server takes the whole exchange of caching_sha2_password.
test.each([
  ['plain', ''],
  ['TLS', `?ssl=${encodeURIComponent('{"rejectUnauthorized":false}')}`],
])('a user with a password, who may do no more than needed, makes a store over %s', async (_, query) => {
  const database = freshDatabase()
  await control.query(`DROP USER IF EXISTS ${user}`)
  await control.query(`CREATE USER ${user} IDENTIFIED WITH caching_sha2_password BY 'p%word'`)
  await control.query(`GRANT ALL ON ${database}.* TO ${user}`)
  const url = new URL(server.url)
  url.username = user
  url.password = 'p%25word'
  const storage = await open({ url: `${url}${query}`, database, history: true })
  const instance = await storage.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  await transaction.store(0 as Oid, noTid, toBytes('x'))
  await (await transaction.vote()).finish()
  const wrong = String(url).replace('word', 'wrong')
  await expect(open({ url: `${wrong}${query}`, database, history: true })).rejects.toMatchObject({
    code: 'cannot-connect',
    message: expect.stringContaining('check user and password'),
  })
})

test.skipIf(server.folder === undefined)(
  'what was committed survives kill -9 of the server, and what was not is not there',
  async () => {
    const database = freshDatabase()
    const storage = await open({ database, history: true })
    const ledger = await Ledger.make(storage)
    const seeded = freshRandom()
    for (let round = 0; round < 3; round++) {
      const random = seeded.split(round)
      const before = ledger.commits
      const playing = Array.from({ length: 4 }, (_, client) =>
        ledger.play(storage, `${round}/${client}`, 60, random.split(client)),
      )
      await expect.poll(() => ledger.commits).toBeGreaterThan(before + 20)
      killServer(server.folder!)
      await Promise.all(playing)
      await expect
        .poll(async () => (await openControl(await loadDriver(), server.url, 'test')).close(), {
          timeout: 60_000,
          interval: 200,
        })
        .toBe(undefined)
      await ledger.check(await open({ database, history: true }))
    }
  },
)
