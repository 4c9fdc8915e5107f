/** Connects to a server's address. Data are read into one buffer that is used again and again. */

import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Address, checkSecurity } from './address.ts'
import { type ReadTarget, SocketWire, type Wire } from './wire.ts'

export interface DialOptions {
  readonly token: string
  /** File with the certificates to trust, PEM; empty: those of the system. */
  readonly caFile: string
}

const readBytes = 256 * 1024

/** @throws the system's error, UsageError `insecure-address` */
export function dial(address: Address, { token, caFile }: DialOptions): Promise<Wire> {
  checkSecurity(address, token)
  if (address.kind === 'tcp' && address.tls) {
    const { host, port } = address
    const ca = caFile === '' ? {} : { ca: readFileSync(caFile) }
    const socket = connectTls({ host, port, servername: host, ...ca })
    return connected(socket, 'secureConnect', () => new SocketWire(socket))
  }
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

function connected(socket: Socket, event: string, make: () => Wire): Promise<Wire> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once(event, () => {
      socket.off('error', reject)
      resolve(make())
    })
  })
}
