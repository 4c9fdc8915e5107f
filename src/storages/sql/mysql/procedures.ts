/**
 * The stored procedures of a MySQL or MariaDB store: a poll is one call, and a commit is one to vote and one to finish.
 *
 * **Locks.** A vote locks the rows of changed objects in one statement, in ascending order. Objects that do not exist yet
 * get a row with tid 0, which nobody else can see, so that they are locked like any other; finish fills it in. Objects
 * that were only read are share-locked afterwards, skipping what others have locked, so nobody waits for them. The row
 * of `store_state` comes last; who holds it waits for nothing.
 *
 * **Dialects.** The two servers differ in how they say "share lock, skip what is locked"; everything else is common.
 */

export interface Dialect {
  readonly shareSkipLocked: string
}

export const mariadb: Dialect = { shareSkipLocked: 'LOCK IN SHARE MODE SKIP LOCKED' }
export const mysql: Dialect = { shareSkipLocked: 'FOR SHARE SKIP LOCKED' }

const pairs = (list: string, second: string): string =>
  `JSON_TABLE(${list}, '$[*]' COLUMNS (oid BIGINT PATH '$[0]', ${second} BIGINT PATH '$[1]')) AS w`

const oidsOf = (list: string): string => `JSON_TABLE(${list}, '$[*]' COLUMNS (oid BIGINT PATH '$')) AS w`

const begin = 'COMMIT; START TRANSACTION READ ONLY;'

const polls = (changes: string): readonly string[] => [
  `CREATE PROCEDURE poll_first() BEGIN ${begin} SELECT tid, horizon, life FROM store_state; END`,
  `CREATE PROCEDURE poll(seen BIGINT, changes_limit BIGINT) BEGIN
    ${begin}
    SELECT tid, horizon, life FROM store_state;
    SELECT oid, tid FROM ${changes} WHERE tid > seen LIMIT changes_limit;
  END`,
]

const lockRows = (table: string, rows: string): string => `
    INSERT INTO ${table} (oid, tid) SELECT w.oid, 0 FROM ${rows} ON DUPLICATE KEY UPDATE oid = VALUES (oid);`

const vote = (dialect: Dialect, table: string, data: string): string => `
  CREATE PROCEDURE vote(changed LONGTEXT, expected LONGTEXT) BEGIN
    START TRANSACTION;
    IF changed <> '[]' THEN ${lockRows(table, pairs('changed', 'base'))}
    END IF;
    -- Reads of "there is nothing" are locked as new objects are, and their rows removed by finish.
    IF expected <> '[]' THEN
      IF EXISTS (SELECT 1 FROM ${pairs('expected', 'serial')} WHERE w.serial = 0) THEN
        INSERT INTO ${table} (oid, tid) SELECT w.oid, 0 FROM ${pairs('expected', 'serial')} WHERE w.serial = 0
          ON DUPLICATE KEY UPDATE oid = VALUES (oid);
      END IF;
    END IF;
    SELECT w.oid, o.tid, ${data} AS data,
      EXISTS (SELECT 1 FROM object_blob AS b WHERE b.oid = o.oid AND b.tid = o.tid) AS has_blob FROM ${pairs('changed', 'base')} STRAIGHT_JOIN ${table} AS o ON o.oid = w.oid
      WHERE o.tid <> w.base;
    IF expected <> '[]' THEN
      SELECT o.oid FROM ${pairs('expected', 'serial')} STRAIGHT_JOIN ${table} AS o ON o.oid = w.oid ${dialect.shareSkipLocked};
      SELECT w.oid, COALESCE(o.tid, 0) AS tid, w.serial, ${data} IS NULL AS is_deleted
        FROM ${pairs('expected', 'serial')} LEFT JOIN ${table} AS o ON o.oid = w.oid;
    END IF;
  END`

const chooseTid = `
    SELECT GREATEST(s.tid, s.horizon) INTO previous FROM store_state AS s FOR UPDATE;
    SET chosen = GREATEST(previous + 1, clock);
    UPDATE store_state SET tid = chosen;`

const log = (tid: string): string => `
    INSERT INTO transaction_log (tid, user_name, description, extension)
      VALUES (${tid}, user_name_given, description_given, extension_given);`

const triples = `JSON_TABLE(rows_given, '$[*]' COLUMNS (
      oid BIGINT PATH '$[0]', start BIGINT PATH '$[1]', length BIGINT PATH '$[2]')) AS w`
const slice = 'IF(w.length < 0, NULL, SUBSTRING(contents, w.start, w.length))'

const putFree = (tid: string): string => `
    INSERT INTO object_state (oid, tid, data) SELECT w.oid, ${tid}, ${slice} FROM ${triples}
      ON DUPLICATE KEY UPDATE tid = VALUES (tid), data = VALUES (data);`
const putHistory = (tid: string): string => `
    INSERT INTO revision (oid, tid, data) SELECT w.oid, ${tid}, ${slice} FROM ${triples};
    INSERT INTO current_object (oid, tid) SELECT w.oid, ${tid} FROM ${triples} ON DUPLICATE KEY UPDATE tid = VALUES (tid);`

const raiseOids = `
    IF oid_max IS NOT NULL THEN
      UPDATE oid_state SET next_oid = oid_max + 1 WHERE next_oid <= oid_max;
    END IF;`

const metadata = 'user_name_given LONGTEXT, description_given LONGTEXT, extension_given LONGBLOB'

function commits(history: boolean): readonly string[] {
  const put = history ? putHistory : putFree
  const logged = (tid: string): string => (history ? log(tid) : '')
  const table = history ? 'current_object' : 'object_state'
  const end = `
      IF missing <> '[]' THEN
        DELETE o FROM ${oidsOf('missing')} STRAIGHT_JOIN ${table} AS o ON o.oid = w.oid WHERE o.tid = 0;
      END IF;
      COMMIT;`
  return [
    `CREATE PROCEDURE finish(
      clock BIGINT, rows_given LONGTEXT, contents LONGBLOB, oid_max BIGINT, missing LONGTEXT, ${metadata}) BEGIN
      DECLARE previous, chosen BIGINT;${chooseTid}${logged('chosen')}${put('chosen')}${raiseOids}
${end}
      SELECT chosen AS tid, previous;
    END`,
    `CREATE PROCEDURE finish_begin(clock BIGINT, ${metadata}) BEGIN
      DECLARE previous, chosen BIGINT;${chooseTid}${logged('chosen')}
      SELECT chosen AS tid, previous;
    END`,
    `CREATE PROCEDURE put_rows(tid_given BIGINT, rows_given LONGTEXT, contents LONGBLOB, oid_max BIGINT) BEGIN
      ${put('tid_given')}${raiseOids}
    END`,
    `CREATE PROCEDURE finish_end(missing LONGTEXT) BEGIN ${end} END`,
    `CREATE PROCEDURE restore_begin(tid_given BIGINT, oids_given LONGTEXT, ${metadata}) BEGIN
      DECLARE previous BIGINT;
      ${lockRows(table, oidsOf('oids_given'))}
      SELECT s.tid INTO previous FROM store_state AS s FOR UPDATE;
      IF tid_given > previous THEN
        -- Who has seen the horizon cannot see older tids come, so it is raised above them.
        UPDATE store_state SET horizon = horizon + (horizon >= tid_given), tid = tid_given;${logged('tid_given')}
      END IF;
      SELECT previous;
    END`,
  ]
}

/** One statement for each procedure. */
export function procedures(history: boolean, dialect: Dialect): readonly string[] {
  return history
    ? [
        ...polls('revision'),
        vote(
          dialect,
          'current_object',
          '(SELECT r.data FROM revision AS r WHERE r.oid = o.oid AND r.tid = o.tid)',
        ),
        ...commits(true),
      ]
    : [...polls('object_state'), vote(dialect, 'object_state', 'o.data'), ...commits(false)]
}
