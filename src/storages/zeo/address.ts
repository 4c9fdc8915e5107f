/**
 * Where a server listens, as people write it: `unix:/path`, `host:port`, `tls:host:port`, `[::1]:port`.
 *
 * A unix socket is guarded by the permissions of its file, and loopback by being on this machine. Anything else is
 * reached by strangers, and demands TLS, and a token or certificates of the clients.
 */

import { UsageError } from '../../core/errors.ts'

export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls: boolean }

/** The system's limit for the path of a socket, its terminating zero aside. Linux takes 107, macOS 103. */
const socketPathBytesMax = process.platform === 'darwin' ? 103 : 107

/** @throws UsageError `bad-address`, `socket-path-too-long` */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length)
    const bytes = Buffer.byteLength(path)
    if (path === '') throw badAddress(text)
    if (bytes > socketPathBytesMax) {
      throw new UsageError(
        'socket-path-too-long',
        `the path of the socket ${path} takes ${bytes} bytes; the system allows ${socketPathBytesMax}. Use a shorter one`,
        { details: { path, bytes } },
      )
    }
    return { kind: 'unix', path }
  }
  const match = /^(tls:)?(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[4])
  if (match === null || port > 65_535) throw badAddress(text)
  return { kind: 'tcp', host: match[2] ?? match[3]!, port, tls: match[1] !== undefined }
}

export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${address.tls ? 'tls:' : ''}${host}:${address.port}`
}

/** True where only this machine can reach it. Names other than localhost may lead anywhere. */
export function isLocal(address: Address): boolean {
  if (address.kind === 'unix') return true
  const { host } = address
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

/**
 * Refuses addresses that strangers reach without TLS, or without proof of who they are.
 * @param isProven clients show a token or a certificate
 * @throws UsageError `insecure-address`
 */
export function checkSecurity(address: Address, isProven: boolean): void {
  if (isLocal(address)) return
  const missing: string[] = []
  if (address.kind === 'tcp' && !address.tls) missing.push('TLS (write tls:host:port)')
  if (!isProven) missing.push('a token or a certificate of the client')
  if (missing.length === 0) return
  throw new UsageError(
    'insecure-address',
    `${formatAddress(address)} can be reached from other machines, which demands ${missing.join(' and ')}; give that, or stay on this machine with unix:/path or 127.0.0.1:port`,
    { details: { address: formatAddress(address) } },
  )
}

function badAddress(text: string): UsageError {
  return new UsageError(
    'bad-address',
    `"${text}" is no address; write unix:/path, host:port or tls:host:port`,
    {
      details: { address: text },
    },
  )
}
