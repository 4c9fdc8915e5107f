/** Listens at an address and brings a server its wires. */

import { chmodSync, existsSync, lstatSync, readFileSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { isMainThread } from 'node:worker_threads'
import { type ShootoutError, UsageError } from '../../core/errors.ts'
import { systemErrorCode } from '../../core/file-system.ts'
import { type Address, checkSecurity, formatAddress } from './address.ts'
import type { ZeoServer } from './server.ts'
import { SocketWire } from './wire.ts'

export interface TlsFiles {
  /** PEM files. */
  readonly certificate: string
  readonly key: string
}

export interface Listener {
  /** With the port that was chosen, where it was 0. */
  readonly address: Address
  /** Accepts nobody any more. Those who are connected stay. */
  close(): Promise<void>
}

/**
 * @throws UsageError `insecure-address`, `tls-files`, `address-in-use`, `address-unusable`
 */
export async function listen(server: ZeoServer, address: Address, tls?: TlsFiles): Promise<Listener> {
  checkSecurity(address, server.settings.token ?? '')
  const accept = (socket: Socket) => server.accept(new SocketWire(socket))
  const listening = address.kind === 'tcp' && address.tls ? secure(server, tls, accept) : createServer(accept)
  if (address.kind === 'unix') await removeStale(address.path)
  await new Promise<void>((resolve, reject) => {
    listening.once('error', (cause) => reject(unusable(address, cause)))
    if (address.kind === 'tcp') listening.listen(address.port, address.host, resolve)
    else listenPrivately(listening, address.path, resolve)
  })
  return {
    address: withPort(address, listening),
    close: () => new Promise((resolve) => listening.close(() => resolve())),
  }
}

/** The socket file is made with mode 0600, not made and then changed: nobody can slip in between. */
function listenPrivately(listening: Server, path: string, done: () => void): void {
  // Threads have no umask of their own; there, and in tests only, the gap is accepted.
  const umask = isMainThread ? process.umask(0o177) : undefined
  try {
    listening.listen(path, () => {
      if (umask === undefined) chmodSync(path, 0o600)
      done()
    })
  } finally {
    if (umask !== undefined) process.umask(umask)
  }
}

/** A socket file that nobody listens on was left behind by a server that was killed. */
async function removeStale(path: string): Promise<void> {
  if (!existsSync(path) || !lstatSync(path).isSocket()) return
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy()
      resolve(undefined)
    })
    probe.once('error', (error) => resolve(systemErrorCode(error)))
  })
  if (code === 'ECONNREFUSED') unlinkSync(path)
}

function secure(server: ZeoServer, tls: TlsFiles | undefined, accept: (socket: Socket) => void): Server {
  if (tls === undefined) {
    throw new UsageError('tls-files', 'an address with TLS needs a certificate and its key')
  }
  let files: { readonly cert: Buffer; readonly key: Buffer }
  try {
    files = { cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }
  } catch (cause) {
    throw new UsageError('tls-files', `the TLS files cannot be read: ${(cause as Error).message}`, { cause })
  }
  const listening = createTlsServer({ ...files, handshakeTimeout: server.settings.limits.greetingMs }, accept)
  listening.on('tlsClientError', (error, socket) => {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`
    server.refused(peer, systemErrorCode(error) ?? 'tls', `TLS handshake failed: ${error.message}`)
  })
  return listening
}

function withPort(address: Address, listening: Server): Address {
  const bound = listening.address()
  if (address.kind === 'unix' || bound === null || typeof bound === 'string') return address
  return { ...address, port: bound.port }
}

function unusable(address: Address, cause: Error): ShootoutError {
  const where = formatAddress(address)
  if (systemErrorCode(cause) === 'EADDRINUSE') {
    return new UsageError(
      'address-in-use',
      `${where} is in use, perhaps by another server; stop it, or listen somewhere else`,
      { cause, details: { address: where } },
    )
  }
  return new UsageError('address-unusable', `cannot listen at ${where}: ${cause.message}`, {
    cause,
    details: { address: where },
  })
}
