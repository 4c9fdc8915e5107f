/**
 * What the modules of the databases that are servers have in common: their options, and where the stores of a run come
 * from. That is a private server, or the server that a url names. Either way each store has a place of its own, called
 * `shootout_<name>`. On a server of others these places are marked as ours and kept locked by a session for as long as
 * the run lives; what is marked and not locked is left over from a run that died, and is removed.
 */

import { randomUUID } from 'node:crypto'
import { describeError, UsageError } from '../../core/errors.ts'
import { type OptionsOf, type OptionsSpec, option } from '../../core/options.ts'
import type { Durability, Provision, ProvisionContext, Unavailable } from '../storage.ts'
import type { PrivateServer, ServerWanted } from './private-server.ts'
import { cacheOptions } from './shared-cache.ts'
import { historyOption } from './sql-module.ts'

export const serverOptions = {
  history: historyOption,
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

export const storePrefix = 'shootout_'

export interface ServerFacts {
  readonly facts: Readonly<Record<string, string>>
  readonly durability: Durability
}

/** A session for administration: it makes and drops the places of stores, and keeps the locks of those in use. */
export interface ServerControl {
  /** What the live server says about itself. @throws ShootoutError `server-too-old` */
  readFacts(): Promise<ServerFacts>
  /** Makes the place of a store, marked and locked. The store itself is installed by whoever opens it first. */
  createPlace(place: string): Promise<void>
  /** With everything in it, and its lock. */
  dropPlace(place: string): Promise<void>
  /** All that carry our mark. */
  markedPlaces(): Promise<readonly string[]>
  /** False: a run that lives has it. */
  tryLock(place: string): Promise<boolean>
  close(): Promise<void>
}

/** A server that is installed here. */
export interface InstalledServer {
  /** Where it is, for the record. */
  readonly facts: Readonly<Record<string, string>>
  /** @throws ShootoutError `server-failed` */
  start(wanted: ServerWanted): Promise<PrivateServer>
}

export interface ServerDialect<S extends OptionsSpec> {
  /** That of the module. */
  readonly name: string
  /** What a url looks like, for messages. */
  readonly urlForm: string
  /** @throws ShootoutError `driver-missing` */
  loadDriver(): Promise<unknown>
  findServer(): InstalledServer | undefined
  /** Why there is no private server, and what to do about it. */
  readonly notInstalled: string
  /** @throws ShootoutError `cannot-connect` */
  openControl(url: string, title: string): Promise<ServerControl>
  /** The options that open the store at this place. */
  optionsOf(given: OptionsOf<S>, url: string, place: string): OptionsOf<S>
}

interface Wanted {
  readonly url: string
  readonly durability: 'full' | 'os'
}

/** `StorageModule.provision` */
export async function provisionServer<S extends OptionsSpec>(
  dialect: ServerDialect<S>,
  given: OptionsOf<S> & Wanted,
  context: ProvisionContext,
): Promise<Provision<S> | Unavailable> {
  try {
    await dialect.loadDriver()
  } catch (error) {
    return { available: false, reason: describeError(error) }
  }
  return given.url === '' ? provisionPrivate(dialect, given, context) : provisionAt(dialect, given, context)
}

async function provisionPrivate<S extends OptionsSpec>(
  dialect: ServerDialect<S>,
  given: OptionsOf<S> & Wanted,
  { folder, log }: ProvisionContext,
): Promise<Provision<S> | Unavailable> {
  const installed = dialect.findServer()
  if (installed === undefined) return { available: false, reason: dialect.notInstalled }
  const server = await installed.start({
    folder,
    durability: given.durability,
    probe: async (url) => (await dialect.openControl(url, dialect.name)).close(),
    log: (line) => log(line),
  })
  try {
    const control = await dialect.openControl(server.url, dialect.name)
    const { facts, durability } = await control.readFacts()
    return {
      available: true,
      facts: { ...facts, ...installed.facts },
      durability,
      newStore: (name) =>
        newStore(dialect, given, { control, url: server.url, name, processIds: [server.pid] }),
      async dispose() {
        await control.close()
        await server.stop()
      },
    }
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function provisionAt<S extends OptionsSpec>(
  dialect: ServerDialect<S>,
  given: OptionsOf<S> & Wanted,
  { log }: ProvisionContext,
): Promise<Provision<S>> {
  const { url } = given
  const server = serverOf(url, dialect)
  const control = await dialect.openControl(url, `${dialect.name} ${server}`)
  try {
    const { facts, durability } = await control.readFacts()
    await dropOrphans(control, (line) => log(`${dialect.name}: ${line}`))
    return {
      available: true,
      facts: { ...facts, server },
      durability,
      newStore: (name) => newStore(dialect, given, { control, url, name, processIds: [] }),
      dispose: () => control.close(),
    }
  } catch (error) {
    await control.close()
    throw error
  }
}

interface StoreWanted {
  readonly control: ServerControl
  readonly url: string
  readonly name: string
  readonly processIds: readonly number[]
}

async function newStore<S extends OptionsSpec>(
  dialect: ServerDialect<S>,
  given: OptionsOf<S>,
  { control, url, name, processIds }: StoreWanted,
) {
  const place = `${storePrefix}${name}_${randomUUID().slice(0, 8)}`.slice(0, 63)
  await control.createPlace(place)
  return {
    options: dialect.optionsOf(given, url, place),
    processIds,
    dispose: () => control.dropPlace(place),
  }
}

/** Removes what runs that died have left. */
async function dropOrphans(control: ServerControl, log: (message: string) => void): Promise<void> {
  for (const place of await control.markedPlaces()) {
    if (!(await control.tryLock(place))) continue
    log(`removing ${place}, left over from a run that died`)
    await control.dropPlace(place)
  }
}

/** The server and what it is asked for, without user and password, for messages. @throws UsageError */
export function serverOf(
  url: string,
  { name, urlForm }: { readonly name: string; readonly urlForm: string },
): string {
  if (url === '') {
    throw new UsageError('missing-option', `${name}: say where the store is, with url=${urlForm}`)
  }
  try {
    // The url of a socket may have no host, which URL does not accept.
    const { host, pathname } = new URL(url.replace(/@\//, '@socket/'))
    return host + pathname.replace(/\/$/, '')
  } catch (cause) {
    throw new UsageError('bad-option-value', `${name}: url is not of the form ${urlForm}`, { cause })
  }
}
