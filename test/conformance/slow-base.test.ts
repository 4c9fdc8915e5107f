/** The conformance suite over the adapter with a base storage that answers everything late. */

import { afterAll, test } from 'vitest'
import { checkStorage } from '../../src/conformance/index.ts'
import slow from '../storages/slow-base.ts'

await checkStorage({ module: slow }, { test, after: afterAll, skip: test.skip })
