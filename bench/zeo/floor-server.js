/**
 * The floor: a process that answers bytes with bytes over a socket, and does nothing else. A request says in its first
 * eight bytes how long it is, and how long an answer it wants (u32 each).
 *
 *     node floor-server.js PATH      a unix socket; TCP on loopback where PATH is left out
 */

import { createServer } from 'node:net'

const pieceBytes = 1024 * 1024
const piece = Buffer.alloc(pieceBytes, 7)

const server = createServer((socket) => {
  socket.setNoDelay(true)
  socket.on('error', () => {})
  /** @type {number[]} */
  const answers = []
  const head = Buffer.alloc(8)
  let filled = 0
  let missing = 0
  const answer = () => {
    while (answers.length > 0 && !socket.writableNeedDrain) {
      const bytes = Math.min(answers[0] ?? 0, pieceBytes)
      socket.write(piece.subarray(0, bytes))
      answers[0] = (answers[0] ?? 0) - bytes
      if (answers[0] === 0) answers.shift()
    }
  }
  socket.on('drain', answer)
  socket.on('data', (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (missing > 0) {
        const taken = Math.min(missing, chunk.length - at)
        at += taken
        missing -= taken
      } else {
        const taken = chunk.copy(head, filled, at)
        at += taken
        filled += taken
        if (filled < 8) break
        filled = 0
        missing = head.readUInt32BE(0) - 8
      }
      if (missing === 0) answers.push(head.readUInt32BE(4))
    }
    answer()
  })
})
const path = process.argv[2]
if (path === undefined) server.listen(0, '127.0.0.1', listening)
else server.listen(path, listening)

function listening() {
  const address = server.address()
  process.send?.(typeof address === 'object' ? address?.port : address)
}
process.on('disconnect', () => process.exit(0))
