/**
 * MySQL and MariaDB as a storage: a database of its own, used by any number of machines. Commits of different objects go
 * on side by side and meet only where the tid is chosen.
 */

import { type OptionsOf, option } from '../../../core/options.ts'
import { defineStorage } from '../../storage.ts'
import { checkIdentifier } from '../schema-check.ts'
import { provisionServer, type ServerDialect, serverOf, serverOptions } from '../server-module.ts'
import { capabilitiesOf, openingWith } from '../sql-module.ts'
import { MysqlAdapter } from './adapter.ts'
import { loadDriver } from './driver.ts'
import { MysqlControl, openControl } from './provision.ts'
import { findBinaries, startServer } from './servers.ts'

const options = {
  url: option.string({
    default: '',
    summary: 'the server, mysql://user:password@host:port/ (default: a run starts a private server)',
  }),
  database: option.string({ default: 'shootout', summary: 'the database that holds the store' }),
  causalReads: option.boolean({
    default: true,
    summary: 'of a Galera node: every snapshot shows what was committed before on any node',
  }),
  ...serverOptions,
}

const dialect: ServerDialect<typeof options> = {
  name: 'mysql',
  urlForm: 'mysql://user@host:port/',
  loadDriver,
  notInstalled:
    'no MariaDB or MySQL server is installed; install one (apt install mariadb-server) or name one with url=mysql://…',
  findServer() {
    const binaries = findBinaries()
    if (binaries === undefined) return undefined
    return { facts: { binary: binaries.server }, start: (wanted) => startServer(binaries, wanted) }
  },
  openControl: async (url, title) =>
    new MysqlControl(await openControl(await loadDriver(), url, title), title),
  optionsOf: (given, url, database) => ({ ...given, url, database }),
}

export default defineStorage({
  name: dialect.name,
  summary: 'a database of a MariaDB or MySQL server, shared by machines',
  options,
  capabilities: (given) => capabilitiesOf(given, { reach: 'network', blocking: false }),
  provision: (given, context) => provisionServer(dialect, given, context),

  ...openingWith<OptionsOf<typeof options>>(
    async ({ url, database, history, lockTimeout, causalReads }, context, counters) => {
      checkIdentifier('database', database)
      // The server counts in seconds.
      const lockTimeoutSeconds = Math.max(1, Math.ceil(lockTimeout / 1e9))
      const server = serverOf(url, dialect)
      const settings = { url, server, database, history, lockTimeoutSeconds, causalReads }
      return new MysqlAdapter(await loadDriver(), settings, context, counters)
    },
  ),
})
