/** The public conformance suite over PostgreSQL, both schemas, on a private server. */

import postgres from '../../../src/storages/sql/postgres/index.ts'
import type { StorageModule } from '../../../src/storages/storage.ts'
import { checkServerStorage } from './servers.ts'

await checkServerStorage(postgres as unknown as StorageModule)
