/**
 * The floor: the same work by hand, on the bare driver, in a table of its own beside the store. As fair as can be: every
 * statement is prepared, reads happen inside a snapshot like those of the storage, commits are as durable, and the table
 * has as many rows and the same index.
 */

/**
 * @typedef {object} Floor
 * @property {() => unknown} begin a snapshot; ends the one before
 * @property {(oid: number) => unknown} load
 * @property {(oids: readonly number[]) => unknown} loadMany
 * @property {() => unknown} end the snapshot
 * @property {(oids: readonly number[], tid: number, data: Buffer) => unknown} insert in a transaction of its own
 * @property {(oids: readonly number[], tid: number, data: Buffer) => unknown} update in a transaction of its own
 * @property {() => unknown} close
 *
 * @typedef {{ path: string, url: string, schema: string, database: string }} Options of the store
 */

/** Rows of the table: oids from 0. */
export const rowCount = 5000

/**
 * @param {string} name
 * @param {Options} options
 * @param {{ fresh?: boolean }} [how] `fresh: false` opens the table that is there
 * @returns {Promise<Floor>}
 */
export async function open(name, options, { fresh = true } = {}) {
  if (name === 'sqlite') return await sqlite(options, fresh)
  return name === 'postgres' ? await postgres(options, fresh) : await mysql(options, fresh)
}

/**
 * @param {Options} options
 * @param {boolean} fresh
 * @returns {Promise<Floor>}
 */
async function sqlite({ path }, fresh) {
  const { default: Database } = await import('better-sqlite3')
  // Readers and writers have a connection each, as in the storage.
  const [reader, writer] = [new Database(`${path}-bare`), new Database(`${path}-bare`)]
  writer.pragma('journal_mode = WAL')
  writer.pragma('synchronous = FULL')
  if (fresh) {
    writer.exec(
      'CREATE TABLE bare (oid INTEGER PRIMARY KEY, tid INTEGER, data BLOB); CREATE INDEX t ON bare (tid)',
    )
  }
  const put = writer.prepare('INSERT INTO bare VALUES (?, ?, ?)')
  const replace = writer.prepare('UPDATE bare SET tid = ?, data = ? WHERE oid = ?')
  const load = reader.prepare('SELECT tid, data FROM bare WHERE oid = ?').raw()
  const many = reader
    .prepare('SELECT oid, tid, data FROM bare WHERE oid IN (SELECT value FROM json_each(?))')
    .raw()
  const insert = writer.transaction(
    (/** @type {readonly number[]} */ oids, /** @type {number} */ tid, /** @type {Buffer} */ data) => {
      for (const oid of oids) put.run(oid, tid, data)
    },
  )
  const update = writer.transaction(
    (/** @type {readonly number[]} */ oids, /** @type {number} */ tid, /** @type {Buffer} */ data) => {
      for (const oid of oids) replace.run(tid, data, oid)
    },
  )
  if (fresh)
    insert(
      Array.from({ length: rowCount }, (_, oid) => oid),
      1,
      Buffer.alloc(300, 7),
    )
  const end = () => {
    if (reader.inTransaction) reader.exec('COMMIT')
  }
  return {
    begin() {
      end()
      reader.exec('BEGIN')
    },
    load: (oid) => load.get(oid),
    loadMany: (oids) => many.all(JSON.stringify(oids)),
    end,
    insert: (oids, tid, data) => insert.immediate(oids, tid, data),
    update: (oids, tid, data) => update.immediate(oids, tid, data),
    close() {
      reader.close()
      writer.close()
    },
  }
}

/**
 * @param {Options} options
 * @param {boolean} fresh
 * @returns {Promise<Floor>}
 */
async function postgres({ url, schema }, fresh) {
  const { default: pg } = await import('pg')
  const connect = async () => {
    const client = new pg.Client({ connectionString: url, options: `-c search_path=${schema} -c jit=off` })
    await client.connect()
    return client
  }
  const [reader, writer] = [await connect(), await connect()]
  if (fresh) {
    await writer.query('CREATE TABLE bare (oid bigint PRIMARY KEY, tid bigint, data bytea)')
    await writer.query('ALTER TABLE bare ALTER COLUMN data SET STORAGE EXTERNAL')
    await writer.query('CREATE INDEX bare_tid ON bare (tid)')
    await writer.query(
      `INSERT INTO bare SELECT oid, 1, decode(repeat('07', 300), 'hex') FROM generate_series(0, ${rowCount - 1}) AS oid`,
    )
    await writer.query('ANALYZE bare')
  }
  /** @type {(client: typeof reader, name: string, text: string, values?: unknown[]) => Promise<unknown>} */
  const query = (client, name, text, values) =>
    client.query({ name, text, rowMode: 'array', ...(values && { values }) })
  /**
   * @param {string} name
   * @param {string} text
   * @param {unknown[]} values
   */
  const commit = async (name, text, values) => {
    await query(writer, 'begin', 'BEGIN')
    await query(writer, name, text, values)
    await query(writer, 'commit', 'COMMIT')
  }
  let isReading = false
  const end = async () => {
    if (isReading) await query(reader, 'commit', 'COMMIT')
    isReading = false
  }
  return {
    async begin() {
      await end()
      await query(reader, 'begin', 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      isReading = true
    },
    load: (oid) => query(reader, 'load', 'SELECT tid, data FROM bare WHERE oid = $1', [oid]),
    loadMany: (oids) =>
      query(reader, 'many', 'SELECT oid, tid, data FROM bare WHERE oid = ANY ($1::bigint[])', [
        `{${oids.join()}}`,
      ]),
    end,
    insert: (oids, tid, data) =>
      commit(
        `insert${oids.length}`,
        `INSERT INTO bare VALUES ${oids.map((_, index) => `($${index * 2 + 2}, $1, $${index * 2 + 3})`).join()}`,
        [tid, ...oids.flatMap((oid) => [oid, data])],
      ),
    update: (oids, tid, data) =>
      commit(
        `update${oids.length}`,
        `UPDATE bare SET tid = $1, data = w.data FROM
          (VALUES ${oids.map((_, index) => `($${index * 2 + 2}::bigint, $${index * 2 + 3}::bytea)`).join()}) AS w (oid, data)
          WHERE bare.oid = w.oid`,
        [tid, ...oids.flatMap((oid) => [oid, data])],
      ),
    async close() {
      await reader.end()
      await writer.end()
    },
  }
}

/**
 * @param {Options} options
 * @param {boolean} fresh
 * @returns {Promise<Floor>}
 */
async function mysql({ url, database }, fresh) {
  const { default: driver } = await import('mysql2/promise')
  const [reader, writer] = [
    await driver.createConnection({ uri: url, database }),
    await driver.createConnection({ uri: url, database }),
  ]
  await writer.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
  if (fresh) {
    await writer.query('CREATE TABLE bare (oid BIGINT PRIMARY KEY, tid BIGINT, data LONGBLOB, KEY (tid))')
    const contents = Buffer.alloc(300, 7)
    await writer.query('INSERT INTO bare VALUES ?', [
      Array.from({ length: rowCount }, (_, oid) => [oid, 1, contents]),
    ])
  }
  /** @type {(text: string, values: (number | Buffer)[]) => Promise<void>} */
  const commit = async (text, values) => {
    await writer.query('START TRANSACTION')
    await writer.execute(text, values)
    await writer.query('COMMIT')
  }
  /** @param {readonly number[]} oids */
  const rows = (oids) => oids.map(() => '(?, ?, ?)').join()
  return {
    async begin() {
      await reader.query('COMMIT')
      await reader.query('START TRANSACTION READ ONLY')
    },
    load: (oid) => reader.execute('SELECT tid, data FROM bare WHERE oid = ?', [oid]),
    loadMany: (oids) =>
      reader.execute(
        `SELECT oid, tid, data FROM bare WHERE oid IN (${oids.map(() => '?').join()})`,
        /** @type {number[]} */ (oids),
      ),
    end: () => reader.query('COMMIT'),
    insert: (oids, tid, data) =>
      commit(
        `INSERT INTO bare VALUES ${rows(oids)}`,
        oids.flatMap((oid) => [oid, tid, data]),
      ),
    update: (oids, tid, data) =>
      commit(
        `INSERT INTO bare VALUES ${rows(oids)} ON DUPLICATE KEY UPDATE tid = VALUES (tid), data = VALUES (data)`,
        oids.flatMap((oid) => [oid, tid, data]),
      ),
    async close() {
      await reader.end()
      await writer.end()
    },
  }
}
