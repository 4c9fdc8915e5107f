/** The floor: the same statements by hand, on the bare driver, in a table of their own beside the store. */

/**
 * @typedef {object} Floor
 * @property {(oid: number) => unknown} load
 * @property {(oids: readonly number[]) => unknown} loadMany
 * @property {(oids: readonly number[], tid: number, data: Buffer) => unknown} commit
 * @property {() => unknown} close
 *
 * @typedef {{ path: string, url: string, schema: string, database: string }} Options of the store
 */

/**
 * @param {string} name
 * @param {Options} options
 * @returns {Promise<Floor>}
 */
export async function open(name, options) {
  if (name === 'sqlite') return await sqlite(options)
  return name === 'postgres' ? await postgres(options) : await mysql(options)
}

/**
 * @param {Options} options
 * @returns {Promise<Floor>}
 */
async function sqlite({ path }) {
  const { default: Database } = await import('better-sqlite3')
  const database = new Database(`${path}-bare`)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec(
    'CREATE TABLE bare (oid INTEGER PRIMARY KEY, tid INTEGER, data BLOB); CREATE INDEX t ON bare (tid)',
  )
  const put = database.prepare(
    'INSERT INTO bare VALUES (?, ?, ?) ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid, data = excluded.data',
  )
  const fill = database.transaction((/** @type {number} */ tid) => {
    for (let oid = 1; oid <= 5000; oid++) put.run(oid, tid, Buffer.alloc(300))
  })
  fill(1)
  const load = database.prepare('SELECT tid, data FROM bare WHERE oid = ?')
  const many = database.prepare(
    'SELECT oid, tid, data FROM bare WHERE oid IN (SELECT value FROM json_each(?))',
  )
  const commit = database.transaction(
    (/** @type {readonly number[]} */ oids, /** @type {number} */ tid, /** @type {Buffer} */ data) => {
      for (const oid of oids) put.run(oid, tid, data)
    },
  )
  return {
    load: (oid) => load.get(oid),
    loadMany: (oids) => many.all(JSON.stringify(oids)),
    commit: (oids, tid, data) => commit.immediate(oids, tid, data),
    close: () => database.close(),
  }
}

/**
 * @param {Options} options
 * @returns {Promise<Floor>}
 */
async function postgres({ url, schema }) {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString: url, options: `-c search_path=${schema}` })
  await client.connect()
  await client.query('CREATE TABLE bare (oid bigint PRIMARY KEY, tid bigint, data bytea)')
  await client.query('CREATE INDEX bare_tid ON bare (tid)')
  await client.query(
    `INSERT INTO bare SELECT oid, 1, decode(repeat('07', 300), 'hex') FROM generate_series(0, 5100) AS oid`,
  )
  /**
   * @param {string} name
   * @param {string} text
   * @param {unknown[]} [values]
   */
  const query = (name, text, values) =>
    client.query({ name, text, rowMode: 'array', ...(values && { values }) })
  return {
    load: (oid) => query('load', 'SELECT tid, data FROM bare WHERE oid = $1', [oid]),
    loadMany: (oids) =>
      query('many', 'SELECT oid, tid, data FROM bare WHERE oid = ANY ($1::bigint[])', [`{${oids.join()}}`]),
    async commit(oids, tid, data) {
      const rows = oids.map((_, index) => `($${index * 2 + 2}, $1, $${index * 2 + 3})`).join()
      await query('begin', 'BEGIN')
      await query(
        `put${oids.length}`,
        `INSERT INTO bare VALUES ${rows} ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid, data = excluded.data`,
        [
          tid,
          ...([...new Set(oids)].length === oids.length
            ? oids.flatMap((oid) => [oid, data])
            : distinct(oids, data)),
        ],
      )
      await query('commit', 'COMMIT')
    },
    close: () => client.end(),
  }
}

/**
 * As many different objects as were asked for: one statement cannot touch a row twice.
 * @param {readonly number[]} oids
 * @param {Buffer} data
 */
function distinct(oids, data) {
  const chosen = new Set(oids)
  for (let oid = 1; chosen.size < oids.length; oid++) chosen.add(oid)
  return [...chosen].flatMap((oid) => [oid, data])
}

/**
 * @param {Options} options
 * @returns {Promise<Floor>}
 */
async function mysql({ url, database }) {
  const { default: driver } = await import('mysql2/promise')
  const connection = await driver.createConnection({ uri: url, database })
  await connection.query('CREATE TABLE bare (oid BIGINT PRIMARY KEY, tid BIGINT, data LONGBLOB, KEY (tid))')
  const empty = Buffer.alloc(300)
  const all = Array.from({ length: 5100 }, (_, oid) => [oid, 1, empty])
  await connection.query('INSERT INTO bare VALUES ?', [all])
  return {
    load: (oid) => connection.execute('SELECT tid, data FROM bare WHERE oid = ?', [oid]),
    loadMany: (oids) => connection.query('SELECT oid, tid, data FROM bare WHERE oid IN (?)', [oids]),
    async commit(oids, tid, data) {
      await connection.query('BEGIN')
      const rows = oids.map(() => '(?, ?, ?)').join()
      await connection.execute(
        `INSERT INTO bare VALUES ${rows} ON DUPLICATE KEY UPDATE tid = VALUES (tid), data = VALUES (data)`,
        oids.flatMap((oid) => [oid, tid, data]),
      )
      await connection.query('COMMIT')
    },
    close: () => connection.end(),
  }
}
