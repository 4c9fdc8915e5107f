/** Marks the command line as executable, which npm does on installing and the compiler undoes on every build. */

import { chmodSync } from 'node:fs'

chmodSync(new URL('../dist/cli/main.js', import.meta.url), 0o755)
