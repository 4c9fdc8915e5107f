/**
 * Certificates for tests, made in the test: X.509 version 3 with keys on the curve P-256, just as much of it as TLS
 * looks at. So there is nothing to install, and nothing in the repository that expires.
 */

import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectionOptions, connect } from 'node:tls'

export interface Certificate {
  /** PEM files. */
  readonly cert: string
  readonly key: string
  readonly name: string
}

interface Wanted {
  readonly name: string
  /** Signed by itself without. */
  readonly by?: Certificate
  /** Names that a server is reached by. */
  readonly hosts?: readonly string[]
  /** It has expired an hour ago. */
  readonly isExpired?: boolean
}

const hourMs = 3_600_000
const ecdsaWithSha256 = sequence(objectId([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]))
let lastSerial = 0

/** Makes one and its key, as files in `folder`. One that is signed by nobody else may sign others. */
export function makeCertificate(
  folder: string,
  { name, by, hosts = [], isExpired = false }: Wanted,
): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuerKey = by === undefined ? privateKey : keyOf(by)
  const end = Date.now() + (isExpired ? -hourMs : hourMs)
  const extensions = [
    // basicConstraints: whether it may sign others.
    sequence(
      objectId([0x55, 0x1d, 0x13]),
      boolean(true),
      octets(sequence(...(by === undefined ? [boolean(true)] : []))),
    ),
  ]
  if (hosts.length > 0) {
    const names = hosts.map((host) => element(0x82, Buffer.from(host, 'ascii')))
    extensions.push(sequence(objectId([0x55, 0x1d, 0x11]), octets(sequence(...names))))
  }
  const body = sequence(
    element(0xa0, integer(2)),
    integer(++lastSerial),
    ecdsaWithSha256,
    nameOf(by?.name ?? name),
    sequence(time(end - 10 * hourMs), time(end)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    element(0xa3, sequence(...extensions)),
  )
  const der = sequence(body, ecdsaWithSha256, bits(sign('sha256', body, issuerKey)))
  const files = { name, cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key.pem`) }
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  writeFileSync(files.cert, `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`)
  writeFileSync(files.key, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  keys.set(files.key, privateKey)
  return files
}

const keys = new Map<string, KeyObject>()

function keyOf({ key }: Certificate): KeyObject {
  return keys.get(key) ?? createPrivateKey(key)
}

// --- DER ------------------------------------------------------------------------------------------------------------

function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content)
  const { length } = bytes
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...header]), bytes])
}

function sequence(...content: readonly Uint8Array[]): Buffer {
  return element(0x30, ...content)
}

function integer(value: number): Buffer {
  return element(0x02, Buffer.from([value]))
}

function boolean(value: boolean): Buffer {
  return element(0x01, Buffer.from([value ? 0xff : 0]))
}

function octets(content: Uint8Array): Buffer {
  return element(0x04, content)
}

function bits(content: Uint8Array): Buffer {
  return element(0x03, Buffer.from([0]), content)
}

function objectId(encoded: readonly number[]): Buffer {
  return element(0x06, Buffer.from(encoded))
}

function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)
  return element(0x17, Buffer.from(`${text}Z`, 'ascii'))
}

/** A common name and nothing else. */
function nameOf(name: string): Buffer {
  return sequence(element(0x31, sequence(objectId([0x55, 0x04, 0x03]), element(0x0c, Buffer.from(name)))))
}

/** With which the next connection may resume the session of this one. */
export function sessionTicket(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(options)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server gave no ticket')))
    socket.on('session', (ticket) => {
      resolve(ticket)
      socket.destroy()
    })
  })
}
