/** Listens at an address and brings a server its wires. */

import { X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { isMainThread } from 'node:worker_threads'
import { type ShootoutError, UsageError } from '../../core/errors.ts'
import { systemErrorCode } from '../../core/file-system.ts'
import { type Address, checkSecurity, formatAddress } from './address.ts'
import type { ZeoServer } from './server.ts'
import { clientCertificateError, handshakeProblem, readTlsFiles, type TlsFiles } from './tls.ts'
import { SocketWire } from './wire.ts'

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
  checkSecurity(address, server.settings.token !== undefined || tls?.clientCa !== undefined)
  if (tls !== undefined && !(address.kind === 'tcp' && address.tls)) {
    throw new UsageError(
      'tls-files',
      `${formatAddress(address)} is no address with TLS; write tls:host:port, or leave the certificates out`,
    )
  }
  const listening =
    address.kind === 'tcp' && address.tls
      ? secure(server, tls)
      : createServer((socket) => server.accept(new SocketWire(socket)))
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

function secure(server: ZeoServer, tls: TlsFiles | undefined): Server {
  if (tls === undefined) {
    throw new UsageError('tls-files', 'an address with TLS needs a certificate and its key')
  }
  const { certificate, key, clientCa } = tls
  const files = readTlsFiles({ certificate, key, ...(clientCa === undefined ? {} : { ca: clientCa }) })
  warnOfExpiry(server, certificate, files.cert as Buffer)
  const wantsCertificate = clientCa !== undefined
  const options = {
    ...files,
    handshakeTimeout: server.settings.limits.greetingMs,
    requestCert: wantsCertificate,
    // Who is not authorized hears why, and nothing else: `clientCertificateError`.
    rejectUnauthorized: false,
  }
  const listening = createTlsServer(options, (socket) => {
    const refusal = wantsCertificate ? clientCertificateError(socket) : undefined
    server.accept(new SocketWire(socket), { refusal })
  })
  listening.on('tlsClientError', (error, socket) => {
    const { code, reason } = handshakeProblem(error)
    server.refused(`${socket.remoteAddress}:${socket.remotePort}`, code, reason)
  })
  return listening
}

/** It still listens: the clock may be wrong, and the clients say what they think of it. */
function warnOfExpiry(server: ZeoServer, file: string, pem: Buffer): void {
  const { validTo } = new X509Certificate(pem)
  if (Date.parse(validTo) > Date.now()) return
  const reason = `the certificate ${file} has expired on ${validTo}: no client will accept it; renew it and restart`
  server.settings.log({
    level: 'error',
    event: 'certificate',
    facts: { code: 'server-certificate-expired', reason },
  })
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
