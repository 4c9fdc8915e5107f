/**
 * Finds a server among several, in the order in which they are given, and shakes hands with it. Who wants to write is
 * given a server that takes writes; one that is read-only does where that is allowed and there is no other.
 */

import { DisconnectedError, describeError, ReadOnlyError, ShootoutError } from '../../core/errors.ts'
import { Link, type Notices } from './link.ts'
import { helloReadOnly } from './protocol.ts'
import type { Timers } from './timers.ts'
import type { Wire } from './wire.ts'

/** Where a server may be. */
export interface ServerPlace {
  /** Named in errors. */
  readonly address: string
  /** Makes a wire to it. */
  dial(): Promise<Wire>
}

export interface DialerSettings {
  readonly servers: readonly ServerPlace[]
  readonly token: string
  /** The client will not write: any server does. */
  readonly readOnly: boolean
  readonly readOnlyFallback: boolean
  readonly timers: Timers
}

/** The limit of one attempt, ms. */
const greetingMs = 10_000

export class Dialer {
  readonly #settings: DialerSettings
  readonly #session: Uint8Array
  readonly #notices: Notices

  /** @param session names this client, whichever server it talks to */
  constructor(settings: DialerSettings, session: Uint8Array, notices: Notices) {
    this.#settings = settings
    this.#session = session
    this.#notices = notices
  }

  /** All of them, for errors. */
  get addresses(): string {
    return this.#settings.servers.map(({ address }) => address).join(' or ')
  }

  /**
   * The first server that does.
   * @param check throws where a server is not the right one
   * @param writableOnly as if there were no fallback
   * @throws DisconnectedError when trying again may help; else what the servers answered
   */
  async connect(check: (link: Link) => void, writableOnly = false): Promise<Link> {
    const { servers, readOnly, readOnlyFallback } = this.#settings
    const errors: Error[] = []
    let fallback: Link | undefined
    for (const server of servers) {
      let link: Link
      try {
        link = await this.#open(server)
      } catch (error) {
        errors.push(error as Error)
        continue
      }
      try {
        check(link)
        if (!link.welcome.isReadOnly || readOnly) {
          fallback?.end()
          return link
        }
        if (!readOnlyFallback || writableOnly) throw readOnlyServer(server.address)
        if (fallback === undefined) fallback = link
        else link.end()
      } catch (error) {
        link.destroy(error as Error)
        errors.push(error as Error)
      }
    }
    if (fallback !== undefined) return fallback
    throw oneOf(errors)
  }

  async #open(server: ServerPlace): Promise<Link> {
    const { token, readOnly, timers } = this.#settings
    const { address } = server
    let wire: Wire
    try {
      wire = await server.dial()
    } catch (cause) {
      if (cause instanceof ShootoutError) throw cause
      throw new DisconnectedError(
        `zeo: cannot connect to ${address} (${(cause as Error).message}); start a server with "shootout serve"`,
        { cause },
      )
    }
    return await Link.open(wire, {
      address,
      greetingMs,
      timers,
      hello: {
        flags: readOnly ? helloReadOnly : 0,
        session: this.#session,
        token: new TextEncoder().encode(token),
      },
      notices: this.#notices,
    })
  }
}

function readOnlyServer(address: string): ReadOnlyError {
  const error = new ReadOnlyError(`the server at ${address}`)
  error.message += '; open the storage read-only, or allow it with readOnlyFallback=true'
  return error
}

/** One error for all servers. It is transient where one of them may be there the next time. */
function oneOf(errors: readonly Error[]): Error {
  if (errors.length === 1) return errors[0]!
  if (!errors.some((error) => error instanceof DisconnectedError)) return errors[0]!
  const reasons = errors.map((error) => describeError(error).replace(/^zeo: /, ''))
  return new DisconnectedError(`zeo: none of the servers can be used: ${reasons.join('; ')}`, {
    cause: errors[0],
  })
}
