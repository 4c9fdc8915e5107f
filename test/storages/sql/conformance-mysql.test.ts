/** The public conformance suite over MySQL or MariaDB, both schemas, on a private server. */

import mysql from '../../../src/storages/sql/mysql/index.ts'
import type { StorageModule } from '../../../src/storages/storage.ts'
import { checkServerStorage } from './servers.ts'

await checkServerStorage(mysql as unknown as StorageModule)
