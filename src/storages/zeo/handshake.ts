/**
 * The first message of either side: magic, version, and behind these what the version has there. So whoever meets
 * another version can say so.
 */

import { ShootoutError } from '../../core/errors.ts'
import type { Tid } from '../../core/ids.ts'
import type { Capabilities } from '../storage.ts'
import type { BodyReader, BodyWriter } from './body.ts'
import { magic, nonceBytes, protocolVersion, welcomeNeighbours, welcomeReadOnly } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'

export interface Hello {
  readonly flags: number
  /** The client storage, for as long as it lives, across reconnections. */
  readonly session: Uint8Array
  readonly token: Uint8Array
}

export interface Welcome {
  /** This run of the server: outcomes of commits are only known to the run that made them. */
  readonly run: Uint8Array
  /** How often the store was emptied during this run. */
  readonly zaps: number
  readonly lastTid: Tid
  /** The client shall be heard at least this often. */
  readonly pingMs: number
  readonly messageBytesMax: number
  /** The server takes no writes. */
  readonly isReadOnly: boolean
  /** The server sends what an object refers to along with it, to who asks for that. */
  readonly sendsNeighbours: boolean
  /** What is served. */
  readonly name: string
  readonly capabilities: Capabilities
}

/**
 * The first thing to read of either message.
 * @throws ProtocolError
 */
export function readVersion(body: BodyReader): number {
  const bytes = body.raw(magic.length)
  if (!magic.every((byte, index) => bytes[index] === byte))
    throw new ProtocolError('the peer does not speak it')
  return body.u8()
}

/** @param who `the client` */
export function versionError(who: string, version: number, other: string): ShootoutError {
  return new ShootoutError(
    'protocol-version',
    `${who} speaks version ${version} of the protocol, ${other} ${protocolVersion}; update the older one`,
  )
}

export function writeHello(fields: BodyWriter, hello: Hello): Uint8Array {
  return fields.raw(magic).u8(protocolVersion).u8(hello.flags).raw(hello.session).bytes(hello.token).take()
}

/** What follows the version. */
export function readHello(body: BodyReader): Hello {
  return { flags: body.u8(), session: body.raw(nonceBytes), token: body.bytes() }
}

export function writeWelcome(fields: BodyWriter, welcome: Welcome): Uint8Array {
  return fields
    .raw(magic)
    .u8(protocolVersion)
    .raw(welcome.run)
    .u32(welcome.zaps)
    .id(welcome.lastTid)
    .u32(welcome.pingMs)
    .u32(welcome.messageBytesMax)
    .u8((welcome.isReadOnly ? welcomeReadOnly : 0) | (welcome.sendsNeighbours ? welcomeNeighbours : 0))
    .text(welcome.name)
    .text(JSON.stringify(welcome.capabilities))
    .take()
}

/** What follows the version. */
export function readWelcome(body: BodyReader): Welcome {
  const first = {
    run: body.raw(nonceBytes),
    zaps: body.u32(),
    lastTid: body.tid(),
    pingMs: body.u32(),
    messageBytesMax: body.u32(),
  }
  const flags = body.u8()
  return {
    ...first,
    isReadOnly: (flags & welcomeReadOnly) !== 0,
    sendsNeighbours: (flags & welcomeNeighbours) !== 0,
    name: body.text(),
    capabilities: readCapabilities(body),
  }
}

function readCapabilities(body: BodyReader): Capabilities {
  try {
    return JSON.parse(body.text()) as Capabilities
  } catch {
    throw new ProtocolError('the capabilities are not JSON')
  }
}
