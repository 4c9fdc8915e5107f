/**
 * Disturbs the machine for real while the gate measures, so that the selftest can see what becomes of its verdicts: a
 * busy process per processor, and one that writes and waits for the disk. Nothing of it outlives this process: each ends
 * when its standard input closes.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const untilClosed = `process.stdin.on('end', () => process.exit()).resume();`

/** Burns in short turns, so that the end of standard input is noticed. */
const burner = `${untilClosed}
(function burn() {
  const end = Date.now() + 20
  while (Date.now() < end);
  setImmediate(burn)
})()`

const writer = `${untilClosed}
const { openSync, writeSync, fdatasyncSync } = require('node:fs')
const file = openSync(process.argv[1], 'w')
const record = Buffer.alloc(65536, 'x')
let written = 0
;(function write() {
  writeSync(file, record, 0, record.length, (written++ % 256) * record.length)
  fdatasyncSync(file)
  setImmediate(write)
})()`

export class Confounder {
  readonly #folder: string
  #running: readonly ChildProcess[] = []
  readonly #ended: Promise<unknown>[] = []

  /** @param folder existing folder on the disk where the stores lie */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Starts or ends the disturbance. */
  set(disturbs: boolean): void {
    if (disturbs === this.#running.length > 0) return
    if (!disturbs) {
      for (const child of this.#running) child.kill('SIGKILL')
      this.#running = []
      return
    }
    const run = (script: string, ...more: string[]) => {
      const child = spawn(process.execPath, ['-e', script, ...more], { stdio: ['pipe', 'ignore', 'ignore'] })
      this.#ended.push(once(child, 'close'))
      return child
    }
    this.#running = [
      ...Array.from({ length: availableParallelism() }, () => run(burner)),
      run(writer, join(this.#folder, 'confounder')),
    ]
  }

  /** Ends it and waits until nothing is left. */
  async close(): Promise<void> {
    this.set(false)
    await Promise.all(this.#ended)
  }
}
