/** The peer does not speak the protocol, or exceeds a limit. Always ends the connection. */

import { ShootoutError } from '../../core/errors.ts'

export class ProtocolError extends ShootoutError {
  constructor(message: string) {
    super('protocol', message)
    this.name = 'ProtocolError'
  }
}
