/** Entry of the thread that watches the event loop of a check (see check-loop.ts). */

import { writeSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import type { Beat } from './check-loop.ts'

/** A process that was stopped for a while, as by Ctrl-Z, has a moment to show that it goes on. */
const graceMs = 1000

let timer: NodeJS.Timeout | undefined

parentPort!.on('message', ({ message, limitMs }: Beat) => {
  clearTimeout(timer)
  timer = setTimeout(() => {
    timer = setTimeout(() => end(message), graceMs)
  }, limitMs)
})

function end(message: string): void {
  // What a thread prints otherwise goes through the loop that is blocked.
  writeSync(2, message)
  process.kill(process.pid, 'SIGKILL')
}
