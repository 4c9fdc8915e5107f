/** Starts a server in a process of its own, and stops it. */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { fromPlainError, ShootoutError } from '../../core/errors.ts'
import { siblingModule } from '../../core/load-module.ts'
import type { Address } from './address.ts'
import type { ServeRequest } from './serve-store.ts'
import type { FromServer, ToServer } from './server-entry.ts'

export interface ServerProcess {
  readonly address: Address
  readonly pid: number
  /** Waits for its orderly end, and kills it when that takes too long. */
  stop(): Promise<void>
}

const stopMsMax = 15_000

/** @throws what the server threw on starting; ShootoutError `server-failed` when it died */
export async function startServer(
  request: ServeRequest,
  log: (message: string) => void,
): Promise<ServerProcess> {
  const entry = fileURLToPath(siblingModule(import.meta.url, './server-entry'))
  const child = fork(entry, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], serialization: 'advanced' })
  let errorOutput = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    // The last of it is what matters, when it matters.
    errorOutput = (errorOutput + text).slice(-4000)
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const address = await new Promise<Address>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      reject(
        new ShootoutError(
          'server-failed',
          `the server process ended at once (${signal ?? `exit code ${code}`}): ${errorOutput.trim()}`,
        ),
      )
    })
    child.on('message', (message: FromServer) => {
      if (message.type === 'log') log(message.message)
      else if (message.type === 'listening') resolve(message.address)
      else {
        reject(fromPlainError(message.error))
        tell(child, { type: 'stop' })
      }
    })
    tell(child, { type: 'serve', request })
  })
  return {
    address,
    pid: child.pid!,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const kill = setTimeout(() => {
        log(`the server ${child.pid} did not stop in ${stopMsMax} ms and is killed`)
        child.kill('SIGKILL')
      }, stopMsMax)
      tell(child, { type: 'stop' })
      await exited
      clearTimeout(kill)
    },
  }
}

function tell(child: ChildProcess, message: ToServer): void {
  // When it cannot be told any more, it has gone: its exit says so.
  if (child.connected) child.send(message, () => {})
}
