/** Asks a server for its status, without becoming a client of its store. */

import { DisconnectedError, describeError, ShootoutError } from '../../core/errors.ts'
import { parseAddress } from './address.ts'
import { BodyReader, BodyWriter } from './body.ts'
import { Channel } from './channel.ts'
import { type DialOptions, dial } from './dial.ts'
import { readError } from './error-codec.ts'
import { types } from './protocol.ts'
import type { ServerStatus } from './server.ts'
import { systemTimers } from './timers.ts'
import type { Wire } from './wire.ts'

const answerMs = 10_000
const limits = { messageBytesMax: 64 * 1024, assemblyBytesMax: 0, streamsMax: 0 }

/** @throws DisconnectedError, ShootoutError `wrong-token`, UsageError `bad-address`, `insecure-address` */
export async function requestStatus(address: string, options: DialOptions): Promise<ServerStatus> {
  const parsed = parseAddress(address)
  const cannot = (error: unknown) =>
    new DisconnectedError(
      `zeo: no status from ${address} (${describeError(error)}); is a server running there?`,
      {
        cause: error,
      },
    )
  let wire: Wire
  try {
    wire = await dial(parsed, options)
  } catch (error) {
    throw error instanceof ShootoutError ? error : cannot(error)
  }
  return await new Promise((resolve, reject) => {
    const channel = new Channel(
      wire,
      { limits, timers: systemTimers, silenceMs: answerMs, pingMs: 0 },
      {
        message(type, _id, _view, body) {
          if (type === types.failed) reject(readError(new BodyReader(body)))
          else resolve(JSON.parse(new TextDecoder().decode(body)) as ServerStatus)
          channel.end()
        },
        closed: (error) => reject(cannot(error ?? new Error('it closed the connection'))),
      },
    )
    const token = new TextEncoder().encode(options.token)
    channel.send(types.status, 0, 0, new BodyWriter().bytes(token).take())
  })
}
