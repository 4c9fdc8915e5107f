/**
 * PostgreSQL as a storage: a schema in a database, used by any number of machines. Commits of different objects go on
 * side by side and meet only where the tid is chosen.
 */

import { type OptionsOf, option } from '../../../core/options.ts'
import { defineStorage } from '../../storage.ts'
import { checkIdentifier } from '../schema-check.ts'
import { provisionServer, type ServerDialect, serverOf, serverOptions } from '../server-module.ts'
import { capabilitiesOf, openingWith } from '../sql-module.ts'
import { PostgresAdapter } from './adapter.ts'
import { loadDriver } from './driver.ts'
import { packageName } from './packaged.ts'
import { openControl, PostgresControl } from './provision.ts'
import type { ReplicaAddress } from './replicas.ts'
import { findBinaries, startServer } from './servers.ts'

const options = {
  url: option.string({
    default: '',
    summary:
      'the database, postgresql://user:password@host:port/name (default: a run starts a private server)',
  }),
  replicaUrl: option.string({
    default: '',
    summary: 'streaming replicas of it to read from, as url; several with commas between (default: none)',
  }),
  replicaPause: option.duration({
    default: 10e9,
    summary: 'how long a replica that failed is left alone',
  }),
  schema: option.string({ default: 'shootout', summary: 'the schema that holds the store' }),
  ...serverOptions,
}

const dialect: ServerDialect<typeof options> = {
  name: 'postgres',
  urlForm: 'postgresql://user@host:port/name',
  loadDriver,
  notInstalled: `no PostgreSQL server is installed; install one (apt install postgresql, or npm install ${packageName}) or name one with url=postgresql://…`,
  findServer() {
    const binaries = findBinaries()
    if (binaries === undefined) return undefined
    return { facts: { binaries }, start: (wanted) => startServer(binaries, wanted) }
  },
  openControl: async (url, title) => new PostgresControl(await openControl(await loadDriver(), url, title)),
  optionsOf: (given, url, schema) => ({ ...given, url, schema }),
}

/** A comma may stand in a password too, so only one before the next url counts. @throws UsageError */
function replicasOf(urls: string): readonly ReplicaAddress[] {
  if (urls === '') return []
  return urls.split(/,(?=postgres(?:ql)?:)/).map((url) => ({ url, server: serverOf(url, dialect) }))
}

export default defineStorage({
  name: dialect.name,
  summary: 'a schema of a PostgreSQL database, shared by machines',
  options,
  capabilities: (given) => capabilitiesOf(given, { reach: 'network', blocking: false }),
  provision: (given, context) => provisionServer(dialect, given, context),

  ...openingWith<OptionsOf<typeof options>>(
    async ({ url, replicaUrl, replicaPause, schema, history, lockTimeout }, context, counters) => {
      checkIdentifier('schema', schema)
      const settings = {
        url,
        server: serverOf(url, dialect),
        schema,
        history,
        lockTimeoutMs: Math.max(1, Math.round(lockTimeout / 1e6)),
        replicas: replicasOf(replicaUrl),
        replicaPauseNs: replicaPause,
      }
      return new PostgresAdapter(await loadDriver(), settings, context, counters)
    },
  ),
})
