/**
 * What a server process loads: serves one store, as its parent says over IPC, until it is told to stop or the parent
 * is gone.
 */

import { type PlainError, toPlainError } from '../../core/errors.ts'
import type { Address } from './address.ts'
import { type ServedStore, type ServeRequest, serveStore } from './serve-store.ts'
import { asMessages } from './server-log.ts'

export type ToServer = { readonly type: 'serve'; readonly request: ServeRequest } | { readonly type: 'stop' }

export type FromServer =
  | { readonly type: 'listening'; readonly address: Address }
  | { readonly type: 'failed'; readonly error: PlainError }
  | { readonly type: 'log'; readonly message: string }

let serving: Promise<ServedStore> | undefined

// The terminal sends Ctrl-C to the whole process group. The parent decides what becomes of us.
process.on('SIGINT', () => {})
// Also when the parent was killed: the channel closes with it.
process.on('disconnect', () => void stop())

process.on('message', (message: ToServer) => {
  if (message.type === 'stop') void stop()
  else void serve(message.request)
})

async function serve(request: ServeRequest): Promise<void> {
  try {
    serving = serveStore(
      request,
      asMessages((message) => send({ type: 'log', message })),
    )
    const { listener } = await serving
    send({ type: 'listening', address: listener.address })
  } catch (error) {
    send({ type: 'failed', error: toPlainError(error) })
  }
}

function send(message: FromServer): void {
  if (process.connected) process.send!(message)
}

async function stop(): Promise<void> {
  try {
    await (await serving)?.close()
    process.exit(0)
  } catch (error) {
    process.stderr.write(`${(error as Error).stack}\n`)
    process.exit(1)
  }
}
