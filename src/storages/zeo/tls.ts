/**
 * TLS on both sides: reading the files, and saying what is wrong with a certificate so that somebody can mend it.
 *
 * A server that demands certificates lets the handshake of TLS succeed without one, and turns the peer away in our own
 * handshake, whatever it says: so it hears the reason, where TLS would just hang up.
 */

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type TLSSocket } from 'node:tls'
import { describeError, ShootoutError, UsageError } from '../../core/errors.ts'
import { systemErrorCode } from '../../core/file-system.ts'

/** PEM files. */
export interface TlsFiles {
  readonly certificate: string
  readonly key: string
  /** Clients must show a certificate that one of these has signed. */
  readonly clientCa?: string
}

/** What was in them, as `node:tls` takes it. */
export interface TlsContents {
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly ca?: Buffer
}

/** Reads the files and sees whether they fit each other. @throws UsageError `tls-files` */
export function readTlsFiles(files: {
  readonly certificate?: string
  readonly key?: string
  readonly ca?: string
}): TlsContents {
  const { certificate, key, ca } = files
  const read: TlsContents = {
    ...(certificate === undefined ? {} : { cert: readPem(certificate) }),
    ...(key === undefined ? {} : { key: readPem(key) }),
    ...(ca === undefined ? {} : { ca: readPem(ca) }),
  }
  try {
    if (read.ca !== undefined) checkAuthorities(read.ca)
    createSecureContext(read)
  } catch (cause) {
    const names = [certificate, key, ca].filter((name) => name !== undefined).join(', ')
    throw new UsageError(
      'tls-files',
      `the TLS files ${names} cannot be used (${describeError(cause)}); they are PEM, and a key belongs to its certificate`,
      { cause },
    )
  }
  return read
}

/** OpenSSL trusts those up to the first that is broken, perhaps none, and does not say so. */
function checkAuthorities(pem: Buffer): void {
  const blocks = pem.toString('latin1').split(/^(?=-----BEGIN )/m)
  const certificates = blocks.filter((block) => /^-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/.test(block))
  if (certificates.length === 0) throw new Error('there is no certificate to trust in it')
  for (const certificate of certificates) new X509Certificate(certificate)
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new UsageError(
      'tls-files',
      `the TLS file ${file} cannot be read (${(cause as Error).message}); check the path and the rights of the file`,
      { cause },
    )
  }
}

// --- The client's side ----------------------------------------------------------------------------------------------

/** As OpenSSL says that nobody whom we trust has signed it. */
const unknownIssuers: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
])

/** What our system says of the server's certificate, as an error of ours; undefined where it is about something else. */
export function serverCertificateError(where: string, cause: Error): ShootoutError | undefined {
  const code = systemErrorCode(cause) ?? ''
  const [ours, advice] = unknownIssuers.has(code)
    ? (['server-certificate-unknown', 'name the certificate that signed it with caFile'] as const)
    : code === 'CERT_HAS_EXPIRED'
      ? (['server-certificate-expired', 'renew it on the server'] as const)
      : code === 'CERT_NOT_YET_VALID'
        ? (['server-certificate-early', 'look at the clocks of both machines'] as const)
        : code === 'ERR_TLS_CERT_ALTNAME_INVALID'
          ? ([
              'server-certificate-name',
              'use the name that it was made for, or make one for this name',
            ] as const)
          : []
  if (ours === undefined) return undefined
  return new ShootoutError(
    ours,
    `zeo: the certificate of the server at ${where} is not accepted: ${cause.message}; ${advice}`,
    { cause, details: { address: where } },
  )
}

// --- The server's side ----------------------------------------------------------------------------------------------

/** Why the peer must not come in; undefined where its certificate is right. */
export function clientCertificateError(socket: TLSSocket): ShootoutError | undefined {
  const certificate = socket.getPeerCertificate()
  // Also asked of who resumes a session, which counts as authorized even without a certificate.
  if (certificate.subject === undefined) {
    return new ShootoutError(
      'client-certificate-missing',
      'the server wants a certificate from its clients; give certFile and keyFile',
    )
  }
  if (socket.authorized) return undefined
  const reason = `${socket.authorizationError}`
  if (reason === 'CERT_HAS_EXPIRED') {
    return new ShootoutError(
      'client-certificate-expired',
      `the certificate of this client has expired on ${certificate.valid_to}; renew it`,
    )
  }
  return new ShootoutError(
    'client-certificate-unknown',
    `the server does not accept the certificate of this client (${reason}); have it signed by one that the server trusts, or add that one to its --tls-client-ca`,
  )
}

/** Why no peer came out of a TLS handshake: a stable code, and a sentence. */
export function handshakeProblem(error: Error): { readonly code: string; readonly reason: string } {
  const code = systemErrorCode(error) ?? ''
  const said = `the TLS handshake failed: ${error.message}`
  if (code.includes('ALERT')) return { code: 'server-certificate-refused', reason: `${said}; ${seeThePeer}` }
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return { code: 'tls-timeout', reason: said }
  if (code === 'ECONNRESET' || code === 'EPIPE') return { code: 'tls-left', reason: `${said}; ${seeThePeer}` }
  return { code: 'no-tls', reason: `${said}; the peer must speak TLS: its address begins with tls:` }
}

export const seeThePeer =
  'perhaps it does not accept the certificate of this server: it trusts another one, or knows us by another name'
