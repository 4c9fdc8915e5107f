/**
 * Node.js reads an incoming socket into a new buffer of 64 KiB each time. While a large object arrives these pile up
 * until the collector takes notice, some 35 MB later. A collection of young objects alone, which takes less than a
 * millisecond, gives them back at once.
 *
 * Without it a server takes 1.35 times the size of an object of 100 MB while that arrives, with it 1.10 times
 * (`bench/zeo/large.js`); the speed is the same. Sockets that read into one buffer of ours (`onread`) would not need it,
 * but only those that connect can be made so, not those that a server accepts.
 *
 * The collector is only to be had through a flag. It is taken back at once: nobody else in this process finds a `gc`.
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { readonly type: 'minor' }) => void

let collect: Collect | undefined

export function collectYoung(): void {
  collect ??= takeCollector()
  collect({ type: 'minor' })
}

function takeCollector(): Collect {
  setFlagsFromString('--expose-gc')
  try {
    return runInNewContext('gc') as Collect
  } finally {
    setFlagsFromString('--no-expose-gc')
  }
}
