/** Which server is found, and what its settings promise. */

import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MySession } from '../../../src/storages/sql/mysql/driver.ts'
import { mariadb, mysql } from '../../../src/storages/sql/mysql/procedures.ts'
import { durabilityOf } from '../../../src/storages/sql/mysql/provision.ts'
import { dialectOf } from '../../../src/storages/sql/mysql/schema.ts'
import { findBinaries } from '../../../src/storages/sql/mysql/servers.ts'
import { coded } from '../../coded.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-path-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** A folder with such programs. */
function programs(name: string, ...names: readonly string[]): string {
  const place = join(folder, name)
  mkdirSync(place)
  for (const program of names) {
    writeFileSync(join(place, program), '#!/bin/sh\n')
    chmodSync(join(place, program), 0o755)
  }
  return place
}

describe('of several servers the first on the path is found', () => {
  test('MySQL before MariaDB', () => {
    const mine = programs('mine', 'mysqld')
    const maria = programs('maria', 'mariadbd', 'mariadb-install-db')
    expect(findBinaries(`${mine}:${maria}`)).toEqual({ server: join(mine, 'mysqld'), install: undefined })
  })

  test('MariaDB before MySQL, with its script in another folder', () => {
    const maria = programs('maria', 'mariadbd')
    const scripts = programs('scripts', 'mariadb-install-db')
    const other = programs('other', 'mysqld')
    expect(findBinaries(`${maria}:${other}:${scripts}`)).toEqual({
      server: join(maria, 'mariadbd'),
      install: join(scripts, 'mariadb-install-db'),
    })
  })

  test('a mysqld that is MariaDB under another name is not taken for MySQL', () => {
    const maria = programs('maria', 'mariadbd', 'mariadb-install-db')
    const links = programs('links')
    symlinkSync(join(maria, 'mariadbd'), join(links, 'mysqld'))
    expect(findBinaries(`${links}:${maria}`)?.server).toBe(join(maria, 'mariadbd'))
  })
})

const durable = {
  innodb_flush_log_at_trx_commit: '1',
  innodb_doublewrite: 'ON',
  innodb_flush_method: 'O_DIRECT',
  log_bin: '1',
  sync_binlog: '1',
}

test.each([
  ['MySQL as it comes', {}, 'full'],
  ['MariaDB as it comes', { log_bin: '0', sync_binlog: '0', innodb_doublewrite: '1' }, 'full'],
  ['a flush more than needed', { innodb_flush_log_at_trx_commit: '3' }, 'full'],
  ['torn pages that are recovered', { innodb_doublewrite: 'DETECT_AND_RECOVER' }, 'full'],
  ['torn pages that are only seen', { innodb_doublewrite: 'DETECT_ONLY' }, 'os'],
  ['a binary log that is not synced', { sync_binlog: '0' }, 'os'],
  ['a binary log that is synced now and then', { sync_binlog: '100' }, 'os'],
  ['no flush at a commit', { innodb_flush_log_at_trx_commit: '2' }, 'os'],
  ['flushes that are left out', { innodb_flush_method: 'nosync' }, 'os'],
  ['a log in the memory of the server', { innodb_flush_log_at_trx_commit: '0' }, 'memory'],
  ['no log at all', { Innodb_redo_log_enabled: 'OFF' }, 'memory'],
])('%s: durability', (_, settings, expected) => {
  expect(durabilityOf({ ...durable, ...settings })).toBe(expected)
})

/** All that is asked of it is its version. */
const serverOf = (version: string) => ({ query: async () => [{ version }] }) as unknown as MySession

test.each([
  ['10.6.0-MariaDB', mariadb],
  ['11.4.2-MariaDB-deb12', mariadb],
  ['8.0.36', mysql],
  ['9.7.0', mysql],
])('a server of version %s is recent enough, and known for what it is', async (version, dialect) => {
  expect(await dialectOf(serverOf(version), 'x')).toBe(dialect)
})

test.each(['10.5.29-MariaDB', '5.7.44-log'])('a server of version %s is too old', async (version) => {
  await expect(dialectOf(serverOf(version), 'x')).rejects.toThrow(coded('server-too-old', version))
})
