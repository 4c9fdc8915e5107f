/** A broken storage as a module of its own, for tests that load one by URL. */

import { mutant } from './mutate.ts'

export default mutant('keeps-data-through-zap', { storage: () => ({ async zap() {} }) })
