/** Connects to a server's address. Data are read into one buffer that is used again and again. */

import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { DisconnectedError } from '../../core/errors.ts'
import { type Address, checkSecurity, formatAddress } from './address.ts'
import { readTlsFiles, serverCertificateError } from './tls.ts'
import { type ReadTarget, SocketWire, type Wire } from './wire.ts'

export interface DialOptions {
  readonly token: string
  /** File with the certificates to trust, PEM; empty: those of the system. */
  readonly caFile: string
  /** Our own certificate and its key, PEM, for servers that want one. */
  readonly certFile?: string
  readonly keyFile?: string
  /** For the handshake of TLS. Default 10 s. */
  readonly tlsMs?: number
}

const readBytes = 256 * 1024
const tlsMsDefault = 10_000

/**
 * @throws the system's error, UsageError `insecure-address`, `tls-files`
 * @throws ShootoutError `server-certificate-unknown`, `server-certificate-expired`, `server-certificate-name` …
 */
export function dial(address: Address, options: DialOptions): Promise<Wire> {
  const { token, certFile = '', tlsMs = tlsMsDefault } = options
  checkSecurity(address, token !== '' || certFile !== '')
  if (address.kind === 'tcp' && address.tls) return dialTls(address, options, tlsMs)
  const reader: ReadTarget = { data: () => {} }
  const onread = {
    buffer: new Uint8Array(readBytes),
    callback(length: number, buffer: Uint8Array): boolean {
      reader.data(length === buffer.length ? buffer : buffer.subarray(0, length))
      return true
    },
  }
  const where = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }
  const socket = connect({ ...where, onread })
  return connected(socket, 'connect', () => new SocketWire(socket, reader))
}

async function dialTls(
  address: Address & { readonly kind: 'tcp' },
  { caFile, certFile = '', keyFile = '' }: DialOptions,
  tlsMs: number,
): Promise<Wire> {
  const { host, port } = address
  const files = readTlsFiles({
    ...(certFile === '' ? {} : { certificate: certFile }),
    ...(keyFile === '' ? {} : { key: keyFile }),
    ...(caFile === '' ? {} : { ca: caFile }),
  })
  // A number is no name to be served under; the certificate is compared with it all the same.
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket = connectTls({ host, port, ...servername, ...files })
  const where = formatAddress(address)
  const timer = setTimeout(() => {
    const reason = `zeo: the TLS handshake with ${where} has not ended in ${tlsMs} ms; does the server speak TLS there?`
    socket.destroy(new DisconnectedError(reason))
  }, tlsMs)
  try {
    return await connected(socket, 'secureConnect', () => new SocketWire(socket))
  } catch (error) {
    throw serverCertificateError(where, error as Error) ?? error
  } finally {
    clearTimeout(timer)
  }
}

function connected(socket: Socket, event: string, make: () => Wire): Promise<Wire> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once(event, () => {
      socket.off('error', reject)
      resolve(make())
    })
  })
}
