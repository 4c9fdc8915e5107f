/**
 * The floor: a process that answers bytes with bytes over a socket, and does nothing else. A request says in its first
 * eight bytes how long it is, and how long an answer it wants (u32 each).
 *
 *     node floor-server.js PATH                             a unix socket; TCP on loopback where PATH is left out
 *     node floor-server.js PATH STORAGE FOLDER DURABILITY   the same, with a commit of one object of 400 bytes to a
 *                                                           storage of its own before each answer
 */

import { createServer } from 'node:net'

const pieceBytes = 1024 * 1024
const piece = Buffer.alloc(pieceBytes, 7)
const [path, serve, folder, durability] = process.argv.slice(2)
const commit = serve === undefined || folder === undefined ? undefined : await committer(serve, folder)

/** @param {string} storageName @param {string} ownFolder */
async function committer(storageName, ownFolder) {
  const { fill, openOwn } = await import('./support.js')
  const own = await openOwn(storageName === 'memory' ? 'memory' : 'file', ownFolder, durability)
  const instance = await own.newInstance()
  const [oid] = await fill(instance, 1, 400)
  const data = new Uint8Array(400).fill(7)
  let serial = own.lastTid
  return async () => {
    instance.pollInvalidations()
    const transaction = instance.begin()
    transaction.store(oid, serial, data)
    serial = await (await transaction.vote()).finish()
    instance.afterCompletion()
  }
}

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
    if (commit === undefined || answers.length === 0) answer()
    else void commit().then(answer)
  })
})
if (path === undefined) server.listen(0, '127.0.0.1', listening)
else server.listen(path, listening)

function listening() {
  const address = server.address()
  process.send?.(typeof address === 'object' ? address?.port : address)
}
process.on('disconnect', () => process.exit(0))
