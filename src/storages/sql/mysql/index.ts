/**
 * MySQL and MariaDB as a storage: a database of its own, used by any number of machines. Commits of different objects go
 * on side by side and meet only where the tid is chosen.
 */

import { describeError, UsageError } from '../../../core/errors.ts'
import { type OptionsOf, option } from '../../../core/options.ts'
import {
  defineStorage,
  type MutableCounters,
  type OpenContext,
  type Provision,
  type ProvisionContext,
  type Unavailable,
  zeroCounters,
} from '../../storage.ts'
import { cacheOf, cacheOptions, shareCache } from '../shared-cache.ts'
import { openSqlStorage } from '../sql-storage.ts'
import { MysqlAdapter } from './adapter.ts'
import { loadDriver, type MyDriver, type MySession } from './driver.ts'
import { createStoreDatabase, dropOrphans, dropStoreDatabase, openControl, readFacts } from './provision.ts'
import { checkDatabaseName, dialectOf } from './schema.ts'
import { findBinaries, startServer } from './servers.ts'

const options = {
  url: option.string({
    default: '',
    summary: 'the server, mysql://user:password@host:port/ (default: a run starts a private server)',
  }),
  database: option.string({ default: 'shootout', summary: 'the database that holds the store' }),
  history: option.boolean({ default: false, summary: 'keep every revision: undo, history, iteration' }),
  durability: option.choice({
    choices: ['full', 'os'],
    default: 'full',
    summary: 'of a private server: survives loss of power, or only the death of processes',
  }),
  lockTimeout: option.duration({
    default: 30e9,
    summary: 'how long a commit waits for the lock of an object',
  }),
  ...cacheOptions,
}

type Options = OptionsOf<typeof options>

export default defineStorage({
  name: 'mysql',
  summary: 'a database of a MariaDB or MySQL server, shared by machines',
  options,

  capabilities: ({ history, durability }) => ({
    reach: 'network',
    durability,
    persistent: true,
    blocking: false,
    history,
    conflictResolution: true,
    deletion: true,
    undo: history,
    iteration: history,
    pack: true,
    prefetch: true,
    blobs: true,
  }),

  async provision(given, context) {
    let driver: MyDriver
    try {
      driver = await loadDriver()
    } catch (error) {
      return { available: false, reason: describeError(error) }
    }
    return given.url === '' ? provisionPrivate(driver, given, context) : provisionAt(driver, given, context)
  },

  share: (given, context) => shareCache(given, context, () => openAdapter(given, context, zeroCounters())),

  async open(given, context, shared) {
    const counters = zeroCounters()
    const adapter = await openAdapter(given, context, counters)
    try {
      const cache = cacheOf(given.cacheBytesLimit, shared)
      return await openSqlStorage(adapter, { context, counters, cache })
    } catch (error) {
      await adapter.close()
      throw error
    }
  },
})

/** The store, with its schema in place. */
async function openAdapter(
  { url, database, history, lockTimeout }: Options,
  context: OpenContext,
  counters: MutableCounters,
): Promise<MysqlAdapter> {
  checkDatabaseName(database)
  if (url === '') throw new UsageError('missing-option', 'mysql: say which server to use, with url=mysql://…')
  // The server counts in seconds.
  const lockTimeoutSeconds = Math.max(1, Math.ceil(lockTimeout / 1e9))
  const settings = { url, server: withoutPassword(url), database, history, lockTimeoutSeconds }
  const adapter = new MysqlAdapter(await loadDriver(), settings, context, counters)
  try {
    await adapter.install()
    return adapter
  } catch (error) {
    await adapter.close()
    throw error
  }
}

async function provisionPrivate(
  driver: MyDriver,
  given: Options,
  context: ProvisionContext,
): Promise<Provision<typeof options> | Unavailable> {
  const binaries = findBinaries()
  if (binaries === undefined) {
    return {
      available: false,
      reason:
        'no MariaDB or MySQL server is installed; install one (apt install mariadb-server) or name one with url=mysql://…',
    }
  }
  const { folder, durability } = { ...context, ...given }
  const probe = async (at: { readonly socket: string; readonly user: string }) =>
    (await openControl(driver, socketUrl(at), 'mysql')).close()
  const server = await startServer(binaries, { folder, durability, probe, log: (line) => context.log(line) })
  try {
    const url = socketUrl(server)
    const control = await openControl(driver, url, 'mysql')
    return await provisionOn(control, { ...given, url }, { binary: binaries.server }, server)
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function provisionAt(
  driver: MyDriver,
  given: Options,
  context: ProvisionContext,
): Promise<Provision<typeof options>> {
  const server = withoutPassword(given.url)
  const control = await openControl(driver, given.url, `mysql ${server}`)
  await dialectOf(control, `mysql ${server}`)
  await dropOrphans(control, (line) => context.log(line))
  return provisionOn(control, given, { server })
}

async function provisionOn(
  control: MySession,
  given: Options,
  where: Readonly<Record<string, string>>,
  privateServer?: { readonly pid: number; stop(): Promise<void> },
): Promise<Provision<typeof options>> {
  const { facts, durability } = await readFacts(control)
  const processIds = privateServer === undefined ? [] : [privateServer.pid]
  return {
    available: true,
    facts: { ...facts, ...where },
    durability,
    async newStore(name) {
      const database = await createStoreDatabase(control, name)
      return {
        options: { ...given, database },
        processIds,
        dispose: () => dropStoreDatabase(control, database),
      }
    },
    async dispose() {
      await control.close()
      await privateServer?.stop()
    },
  }
}

/** A private server's address as a url, so that it is plain data for other processes. */
function socketUrl(at: { readonly socket: string; readonly user: string }): string {
  return `mysql://${at.user}@localhost/?socketPath=${encodeURIComponent(at.socket)}`
}

/** For messages. @throws UsageError */
function withoutPassword(url: string): string {
  try {
    return new URL(url).host
  } catch (cause) {
    throw new UsageError('bad-option-value', 'mysql: url is not of the form mysql://user@host:port/', {
      cause,
    })
  }
}
