/**
 * PostgreSQL as a storage: a schema in a database, used by any number of machines. Commits of different objects go on
 * side by side and meet only where the tid is chosen.
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
import { PostgresAdapter } from './adapter.ts'
import { loadDriver, type PgAddress, type PgDriver, type PgSession } from './driver.ts'
import { packageName } from './packaged.ts'
import { createStoreSchema, dropOrphans, dropStoreSchema, openControl, readFacts } from './provision.ts'
import { checkSchemaName } from './schema.ts'
import { findBinaries, startServer } from './servers.ts'

const options = {
  url: option.string({
    default: '',
    summary:
      'the database, postgresql://user:password@host:port/name (default: a run starts a private server)',
  }),
  schema: option.string({ default: 'shootout', summary: 'the schema that holds the store' }),
  history: option.boolean({ default: false, summary: 'keep every revision: undo, history, iteration' }),
  durability: option.choice({
    choices: ['full', 'os'],
    default: 'full',
    summary: 'of a private server: survives loss of power, or only the death of processes (fsync=off)',
  }),
  lockTimeout: option.duration({
    default: 30e9,
    summary: 'how long a commit waits for the lock of an object',
  }),
  ...cacheOptions,
}

type Options = OptionsOf<typeof options>

export default defineStorage({
  name: 'postgres',
  summary: 'a schema of a PostgreSQL database, shared by machines',
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
    let driver: PgDriver
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
  { url, schema, history, lockTimeout }: Options,
  context: OpenContext,
  counters: MutableCounters,
): Promise<PostgresAdapter> {
  checkSchemaName(schema)
  const settings = {
    address: addressOf(url),
    server: withoutPassword(url),
    schema,
    history,
    lockTimeoutMs: Math.max(1, Math.round(lockTimeout / 1e6)),
  }
  const adapter = new PostgresAdapter(await loadDriver(), settings, context, counters)
  try {
    await adapter.install()
    return adapter
  } catch (error) {
    await adapter.close()
    throw error
  }
}

async function provisionPrivate(
  driver: PgDriver,
  given: Options,
  context: ProvisionContext,
): Promise<Provision<typeof options> | Unavailable> {
  const binaries = findBinaries()
  if (binaries === undefined) {
    return {
      available: false,
      reason: `no PostgreSQL server is installed; install one (apt install postgresql, or npm install ${packageName}) or name one with url=postgresql://…`,
    }
  }
  const { folder, log } = context
  const probe = async (at: { readonly socketFolder: string; readonly port: number; readonly user: string }) =>
    (await openControl(driver, addressOf(socketUrl(at)), 'postgres')).close()
  const server = await startServer(binaries, {
    folder,
    durability: given.durability,
    probe,
    log: (line) => log(line),
  })
  try {
    const url = socketUrl(server)
    const control = await openControl(driver, addressOf(url), 'postgres')
    return await provisionOn(control, { ...given, url }, { binaries }, server)
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function provisionAt(
  driver: PgDriver,
  given: Options,
  context: ProvisionContext,
): Promise<Provision<typeof options>> {
  const server = withoutPassword(given.url)
  const control = await openControl(driver, addressOf(given.url), `postgres ${server}`)
  await dropOrphans(control, (line) => context.log(line))
  return provisionOn(control, given, { server })
}

async function provisionOn(
  control: PgSession,
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
      const schema = await createStoreSchema(control, name)
      return {
        options: { ...given, schema },
        processIds,
        dispose: () => dropStoreSchema(control, schema),
      }
    },
    async dispose() {
      await control.close()
      await privateServer?.stop()
    },
  }
}

/** A private server's address as a url, so that it is plain data for other processes. */
function socketUrl(at: {
  readonly socketFolder: string
  readonly port: number
  readonly user: string
}): string {
  return `postgresql://${at.user}@/postgres?host=${encodeURIComponent(at.socketFolder)}&port=${at.port}`
}

function addressOf(url: string): PgAddress {
  if (url === '') {
    throw new UsageError('missing-option', 'postgres: say which database to open, with url=postgresql://…')
  }
  return { url }
}

/** For messages. @throws UsageError */
function withoutPassword(url: string): string {
  if (url === '') return ''
  try {
    // A socket's url has no host, which URL does not accept.
    const parsed = new URL(url.replace(/@\//, '@socket/'))
    return `${parsed.host}${parsed.pathname}`
  } catch (cause) {
    throw new UsageError(
      'bad-option-value',
      'postgres: url is not of the form postgresql://user@host:port/name',
      { cause },
    )
  }
}
