/** The floor: a process that answers every 24 bytes with 456, over a unix socket, and does nothing else. */

import { createServer } from 'node:net'

const answer = Buffer.alloc(456, 7)
createServer((socket) => {
  let pending = 0
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    pending += chunk.length
    for (; pending >= 24; pending -= 24) socket.write(answer)
  })
}).listen(process.argv[2], () => process.send?.('listening'))
process.on('disconnect', () => process.exit(0))
