/** The public conformance suite over the log, with the durability that it has where nothing else is asked for. */

import { afterAll, test } from 'vitest'
import { checkStorage } from '../../../src/conformance/index.ts'
import file from '../../../src/storages/file/index.ts'

await checkStorage({ module: file }, { test, after: afterAll, skip: test.skip })
