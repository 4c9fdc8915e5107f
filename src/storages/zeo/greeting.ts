/** The handshake, in the server: who the peer is, and whether it becomes a client. */

import { ShootoutError } from '../../core/errors.ts'
import type { BodyReader } from './body.ts'
import type { Channel } from './channel.ts'
import { writeError } from './error-codec.ts'
import { readHello, readVersion, versionError, writeWelcome } from './handshake.ts'
import { helloReadOnly, protocolVersion, types } from './protocol.ts'
import { ProtocolError } from './protocol-error.ts'
import type { ZeoServer } from './server.ts'

/** A client that may come in. */
export interface Greeted {
  /** The random name that it keeps for as long as it lives, hexadecimal. */
  readonly session: string
  readonly isReadOnly: boolean
}

/**
 * Reads the first message of a connection. Undefined where the peer is answered and done with: a request for the
 * status, or one that is turned away.
 * @throws ProtocolError for anything else
 */
export function greet(
  server: ZeoServer,
  channel: Channel,
  type: number,
  body: BodyReader,
): Greeted | undefined {
  if (type === types.status) {
    if (!checkToken(server, channel, body.bytes())) return undefined
    const json = new TextEncoder().encode(JSON.stringify(server.status()))
    channel.send(types.reply, 0, 0, json)
    channel.end()
    return undefined
  }
  if (type !== types.hello) throw new ProtocolError(`message ${type} before the handshake`)
  const version = readVersion(body)
  if (version !== protocolVersion) {
    turnAway(server, channel, versionError('the client', version, 'this server'))
    return undefined
  }
  const { flags, session, token } = readHello(body)
  if (!checkToken(server, channel, token)) return undefined
  return {
    session: Buffer.from(session).toString('hex'),
    isReadOnly: server.settings.readOnly || (flags & helloReadOnly) !== 0,
  }
}

/** What a client is told first. */
export function welcome(server: ZeoServer, channel: Channel): void {
  const { limits, storage, readOnly, references, name, capabilities } = server.settings
  const told = {
    run: server.run,
    zaps: server.zaps,
    lastTid: storage.lastTid,
    pingMs: Math.ceil(limits.silenceMs / 3),
    messageBytesMax: limits.messageBytesMax,
    isReadOnly: readOnly,
    sendsNeighbours: references !== undefined,
    name,
    capabilities,
  }
  channel.send(types.welcome, 0, 0, writeWelcome(channel.fields, told))
}

function checkToken(server: ZeoServer, channel: Channel, token: Uint8Array): boolean {
  if (server.accepts(token)) return true
  const error = new ShootoutError(
    'wrong-token',
    'the server does not accept this token; give the one it was started with',
  )
  turnAway(server, channel, error)
  return false
}

/** The peer hears why, and is gone. */
export function turnAway(server: ZeoServer, channel: Channel, error: ShootoutError): void {
  server.refused(channel.peer, error.code, error.message)
  channel.send(types.failed, 0, 0, writeError(channel.fields, error))
  channel.end()
  channel.parser.stop()
}
