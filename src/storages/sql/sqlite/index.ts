/**
 * SQLite as a storage: one file, used by any number of threads and processes of one machine at once. Readers never wait
 * for the writer; writers wait for each other.
 */

import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describeError, UsageError } from '../../../core/errors.ts'
import { makeFolder } from '../../../core/make-folder.ts'
import { type OptionsOf, option } from '../../../core/options.ts'
import { defineStorage, zeroCounters } from '../../storage.ts'
import { cacheOptions } from '../shared-cache.ts'
import { capabilitiesOf, historyOption, openingWith } from '../sql-module.ts'
import { SqliteAdapter } from './adapter.ts'
import { loadDriver } from './driver.ts'

const options = {
  path: option.path({ default: '', summary: 'the database file to open' }),
  folder: option.path({
    default: '',
    summary: 'where a run makes its stores (default: a temporary folder)',
  }),
  history: historyOption,
  durability: option.choice({
    choices: ['full', 'os'],
    default: 'full',
    summary: 'what a commit survives: loss of power (synchronous=FULL), or the death of the process (NORMAL)',
  }),
  lockTimeout: option.duration({
    default: 30e9,
    summary: 'how long a commit waits for the one write lock of the file',
  }),
  ...cacheOptions,
}

export default defineStorage({
  name: 'sqlite',
  summary: 'one SQLite file in WAL mode, shared by threads and processes of one machine',

  options,

  capabilities: (given) => capabilitiesOf(given, { reach: 'host', blocking: true }),

  async provision(options, context) {
    if (options.path !== '') {
      throw new UsageError(
        'bad-options',
        'sqlite: path names one existing store, but a run makes fresh ones; say where with folder instead',
      )
    }
    const folder = options.folder === '' ? context.folder : options.folder
    try {
      const driver = await loadDriver()
      makeFolder(folder)
      const connection = driver.connect(':memory:', { readOnly: false, counters: zeroCounters() })
      const version = String(connection.prepare('SELECT sqlite_version()').get()![0])
      connection.close()
      return {
        available: true,
        facts: {
          version: `SQLite ${version}`,
          folder,
          journal_mode: 'wal',
          synchronous: options.durability === 'full' ? 'full' : 'normal',
        },
        newStore(name) {
          // The folder may hold stores of other runs, which are not ours to remove.
          const path = join(folder, `shootout_${name}_${randomUUID().slice(0, 8)}.sqlite`)
          return { options: { ...options, path }, dispose: () => removeStore(path) }
        },
        dispose() {},
      }
    } catch (error) {
      return { available: false, reason: describeError(error) }
    }
  },

  ...openingWith<OptionsOf<typeof options>>(
    async ({ path, history, durability, lockTimeout }, context, counters) => {
      if (path === '') {
        throw new UsageError('missing-option', 'sqlite: say which file to open, with path=<file>')
      }
      const driver = await loadDriver()
      if (context.readOnly !== true) makeFolder(dirname(path))
      const settings = { path, history, durability, lockTimeoutNs: lockTimeout }
      return new SqliteAdapter(driver, settings, context, counters)
    },
  ),
})

/** Only files that this module names are ever removed. */
function removeStore(path: string): void {
  for (const ending of ['', '-wal', '-shm']) rmSync(path + ending, { force: true })
}
