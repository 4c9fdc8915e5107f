/**
 * A process that reads and commits blobs of one SQLite store, through a blob cache that others use at the same time. The
 * state of an object says what its blob must contain. Says what it did when it is told to end.
 */

const job = JSON.parse(process.argv[2] ?? '')
const { openStorage } = await import(`${job.dist}storages/open.js`)
const { parseOptions } = await import(`${job.dist}core/options.js`)
const sqlite = (await import(`${job.dist}storages/sql/sqlite/index.js`)).default
const { path, blobCacheFolder, blobBytesLimit, objects } = job
const options = { path, blobCacheFolder, blobBytesLimit, durability: 'os' }
const storage = await openStorage(sqlite, parseOptions('sqlite', sqlite.options, options))
const instance = await storage.newInstance()

let state = (job.seed * 2654435761) >>> 0 || 1
/** @param {number} limit */
function random(limit) {
  state ^= state << 13
  state ^= state >>> 17
  state = (state ^ (state << 5)) >>> 0
  return state % limit
}

/** @param {number} oid @param {number} fill */
const sizeOf = (oid, fill) => 4 + ((oid * 7919 + fill * 131) % (oid === 1 ? 1_500_000 : 200_000))

/** @param {number} oid @param {number} fill */
function content(oid, fill) {
  const data = Buffer.alloc(sizeOf(oid, fill), `${oid}/${fill};`)
  data.writeUInt32LE(fill, data.length - 4)
  return data
}

/** @param {number} oid */
async function read(oid) {
  await instance.pollInvalidations()
  const [revision] = await instance.loadMany([oid])
  if (revision === undefined) return 0
  const fill = Number(Buffer.from(revision.data).toString())
  const reader = await instance.openBlob(oid)
  const data = await reader.read(0, reader.bytes)
  await reader.close()
  if (reader.serial === revision.serial && content(oid, fill).equals(data)) return revision.serial
  process.stderr.write(`object ${oid}: not the blob of revision ${revision.serial}\n`)
  process.exit(1)
}

/** @param {number} oid */
async function write(oid) {
  const serial = await read(oid)
  const fill = random(1_000_000)
  const transaction = instance.begin()
  try {
    await transaction.storeBlob(oid, serial, Buffer.from(`${fill}`), [content(oid, fill)])
    await (await transaction.vote()).finish()
  } catch (error) {
    await transaction.abort()
    if (/** @type {any} */ (error).transient !== true) throw error
  }
}

let isOver = false
process.once('SIGTERM', () => {
  isOver = true
})
process.stdout.write('begun\n')
while (!isOver) {
  const oid = 1 + random(objects)
  if (random(4) === 0) await write(oid)
  else await read(oid)
  await instance.afterCompletion()
  await new Promise((resolve) => setImmediate(resolve))
}
await instance.release()
await storage.close()
process.stdout.write(`${JSON.stringify(storage.blobCacheCounters())}\n`)
