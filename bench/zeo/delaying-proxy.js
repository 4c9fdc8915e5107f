/**
 * Carries bytes between a client and a server, both ways, and holds each piece back for half a round trip.
 *
 *     node delaying-proxy.js LISTEN TARGET HALF_MS     both paths of unix sockets
 */

import { connect, createServer } from 'node:net'

const [listen = '', target = '', halfMs = '0'] = process.argv.slice(2)
const heldMs = Number(halfMs)
/** @type {{ due: number, to: import('node:net').Socket, piece: Buffer }[]} */
const held = []

/** Timers are no finer than a millisecond: near the time it looks again and again. */
function deliver() {
  const now = performance.now()
  while (held[0] !== undefined && held[0].due <= now) {
    const { to, piece } = /** @type {(typeof held)[0]} */ (held.shift())
    to.write(piece)
  }
  if (held[0] === undefined) return
  const leftMs = held[0].due - now
  if (leftMs > 2) setTimeout(deliver, leftMs - 1.5)
  else setImmediate(deliver)
}

createServer((client) => {
  const server = connect(target)
  const ends = [client, server]
  for (const [index, from] of ends.entries()) {
    const to = /** @type {typeof client} */ (ends[1 - index])
    from.on('error', () => {})
    from.on('close', () => to.destroy())
    from.on('data', (piece) => {
      held.push({ due: performance.now() + heldMs, to, piece })
      if (held.length === 1) deliver()
    })
  }
}).listen(listen, () => process.send?.('listening'))
process.on('disconnect', () => process.exit(0))
