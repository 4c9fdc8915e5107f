/**
 * Takes an address, and brings a server the wires of those who come there.
 *
 * An address is taken before the store is opened, so that one in use is found before there is a store. Until there is a
 * server, whoever comes is turned away, and tries again as if nobody had been there.
 */

import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { isMainThread } from 'node:worker_threads'
import { type ShootoutError, UsageError } from '../../core/errors.ts'
import { systemErrorCode } from '../../core/file-system.ts'
import { type Address, checkSecurity, formatAddress } from './address.ts'
import type { ZeoServer } from './server.ts'
import type { TlsFiles } from './tls.ts'
import { readServerFiles, TlsListening } from './tls-listening.ts'
import { SocketWire } from './wire.ts'

export interface Listener {
  /** With the port that was chosen, where it was 0. */
  readonly address: Address
  /** Present with TLS: takes over certificates that were renewed, at once, and logs what came of it. */
  renewCertificates?(): void
  /** Accepts nobody any more. Those who are connected stay. */
  close(): Promise<void>
}

/** An address where nobody is served yet. */
export interface TakenAddress {
  /** With the port that was chosen, where it was 0. */
  readonly address: Address
  /** From now on, who comes is a client of this server. */
  serve(server: ZeoServer): Listener
  /** Gives it back. After `serve` too. */
  close(): Promise<void>
}

/** How an address is guarded. */
export interface Guard {
  /** Clients must know a token. */
  readonly hasToken: boolean
  readonly tls?: TlsFiles
}

/**
 * @throws UsageError `insecure-address`, `tls-files`, `address-in-use`, `address-unusable`
 */
export async function takeAddress(address: Address, { hasToken, tls }: Guard): Promise<TakenAddress> {
  checkSecurity(address, hasToken || tls?.clientCa !== undefined)
  const isSecure = address.kind === 'tcp' && address.tls
  if (tls !== undefined && !isSecure) {
    throw new UsageError(
      'tls-files',
      `${formatAddress(address)} is no address with TLS; write tls:host:port, or leave the certificates out`,
    )
  }
  if (tls === undefined && isSecure) {
    throw new UsageError(
      'tls-files',
      'an address with TLS needs a certificate and its key; give --tls-cert and --tls-key',
    )
  }
  const certificates = tls && readServerFiles(tls)
  if (address.kind === 'unix') await removeStale(address.path)
  const turnAway = (socket: Socket) => void socket.destroy()
  const listening = createServer(turnAway)
  await new Promise<void>((resolve, reject) => {
    listening.once('error', (cause) => reject(unusable(address, cause)))
    if (address.kind === 'tcp') listening.listen(address.port, address.host, resolve)
    else listenPrivately(listening, address.path, resolve)
  })
  const close = () => new Promise<void>((resolve) => listening.close(() => resolve()))
  const found = withPort(address, listening)
  return {
    address: found,
    serve(server) {
      const secure = tls && new TlsListening(server, tls, certificates!)
      listening.off('connection', turnAway)
      listening.on('connection', (socket) => {
        if (secure === undefined) server.accept(new SocketWire(socket))
        else secure.shakeHands(socket)
      })
      secure?.watch()
      return {
        address: found,
        ...(secure && { renewCertificates: () => secure.renew() }),
        close() {
          secure?.unwatch()
          return close()
        },
      }
    },
    close,
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
  return new UsageError(
    'address-unusable',
    `cannot listen at ${where} (${cause.message}); check the address, or listen somewhere else`,
    {
      cause,
      details: { address: where },
    },
  )
}
