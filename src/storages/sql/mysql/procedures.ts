/**
 * The stored procedures of a MySQL or MariaDB store: a poll is one call, and so is a commit, or where somebody is in its
 * way one to vote and one to finish.
 *
 * **Locks.** Objects that do not exist yet have no row to lock, so their numbers are locked, in groups of sixteen, by the
 * rows of `lock_slot`; reads that found nothing are locked alike. Then a vote locks the rows of changed objects. Both go
 * in ascending order. Objects that were only read are share-locked afterwards, skipping what others have locked, so nobody
 * waits for them. The row of `store_state` comes last; who holds it waits for nothing. Sessions get their object ids in
 * whole groups, so they do not meet. (Rows with tid 0 in place of slots doubled the time of adding many objects: each
 * moves in the index of tids when it is filled in.)
 *
 * **In one call** the same locks are taken, but none is waited for except the row of `store_state`. Whoever finds one
 * taken, or an object at another revision, changes nothing and tells so.
 *
 * **Dialects.** The two servers differ in how they lock rows of one table among several, and in sizes; everything else is
 * common.
 */

import type { Oid } from '../../../core/ids.ts'

export interface Dialect {
  /** Of a query whose table of rows is called `o`. MySQL would take it for the JSON_TABLE beside that, too, and fails. */
  readonly forUpdate: string
  readonly forUpdateSkipLocked: string
  readonly shareSkipLocked: string
  /** So that the sizes of tables are not those of yesterday. */
  readonly freshSizes: readonly string[]
}

export const mariadb: Dialect = {
  forUpdate: 'FOR UPDATE',
  forUpdateSkipLocked: 'FOR UPDATE SKIP LOCKED',
  shareSkipLocked: 'LOCK IN SHARE MODE SKIP LOCKED',
  freshSizes: [],
}
export const mysql: Dialect = {
  forUpdate: 'FOR UPDATE OF o',
  forUpdateSkipLocked: 'FOR UPDATE OF o SKIP LOCKED',
  shareSkipLocked: 'FOR SHARE OF o SKIP LOCKED',
  freshSizes: ['SET SESSION information_schema_stats_expiry = 0'],
}

/** log2 of the numbers in a group. */
export const groupBits = 4

/** Groups share slots, but only those that are far apart. */
const slotCount = 4096

export function slotOf(oid: Oid): number {
  return Math.floor(oid / 2 ** groupBits) % slotCount
}

const digits = `(SELECT 0 AS d${Array.from({ length: 15 }, (_, index) => ` UNION ALL SELECT ${index + 1}`).join('')})`

export const fillSlots = `
  INSERT INTO lock_slot (id, turn) SELECT a.d + 16 * b.d + 256 * c.d, 0 FROM ${digits} AS a, ${digits} AS b, ${digits} AS c`

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

// MySQL would scan a table of few rows instead of looking for those it wants, and so wait for locks of others.
export const byKey = 'FORCE INDEX (PRIMARY)'

const slotList = "JSON_TABLE(slots, '$[*]' COLUMNS (id BIGINT PATH '$')) AS w"

/** Set in sessions that write to a cluster. */
export const clusterVariable = '@shootout_cluster'

// Once they are locked. Other nodes do not see the locks, but whoever holds one there is told by the change.
const takeTurns = `
      IF ${clusterVariable} THEN
        UPDATE ${slotList} STRAIGHT_JOIN lock_slot AS o ON o.id = w.id SET o.turn = o.turn + 1;
      END IF;`

// All rows count, so that none is let go again.
const lockSlots = (dialect: Dialect): string => `
    IF slots <> '[]' THEN
      SELECT COUNT(*) INTO counted FROM ${slotList}
        STRAIGHT_JOIN lock_slot AS o ${byKey} ON o.id = w.id ${dialect.forUpdate};${takeTurns}
    END IF;`

const vote = (dialect: Dialect, table: string, data: string): string => `
  CREATE PROCEDURE vote(changed LONGTEXT, expected LONGTEXT, slots LONGTEXT) BEGIN
    DECLARE counted, differing BIGINT DEFAULT 0;
    START TRANSACTION;${lockSlots(dialect)}
    IF changed <> '[]' THEN
      SELECT SUM(COALESCE(o.tid, 0) <> w.base) INTO differing
        FROM ${pairs('changed', 'base')} LEFT JOIN ${table} AS o ${byKey} ON o.oid = w.oid ${dialect.forUpdate};
    END IF;
    IF differing > 0 OR expected <> '[]' THEN
      SELECT w.oid, COALESCE(o.tid, 0) AS tid, ${data} AS data,
        EXISTS (SELECT 1 FROM object_blob AS b WHERE b.oid = o.oid AND b.tid = o.tid) AS has_blob
        FROM ${pairs('changed', 'base')} LEFT JOIN ${table} AS o ON o.oid = w.oid
        WHERE COALESCE(o.tid, 0) <> w.base;
    END IF;
    IF expected <> '[]' THEN
      SELECT o.oid FROM ${pairs('expected', 'serial')} STRAIGHT_JOIN ${table} AS o ${byKey} ON o.oid = w.oid ${dialect.shareSkipLocked};
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
      UPDATE oid_state SET next_oid = ((oid_max >> ${groupBits}) + 1) << ${groupBits} WHERE next_oid <= oid_max;
    END IF;`

const metadata = 'user_name_given LONGTEXT, description_given LONGTEXT, extension_given LONGBLOB'

function commits(history: boolean, dialect: Dialect): readonly string[] {
  const put = history ? putHistory : putFree
  const logged = (tid: string): string => (history ? log(tid) : '')
  const table = history ? 'current_object' : 'object_state'
  return [
    commitInOne(history, dialect),
    `CREATE PROCEDURE finish(
      clock BIGINT, rows_given LONGTEXT, contents LONGBLOB, oid_max BIGINT, ${metadata}) BEGIN
      DECLARE previous, chosen BIGINT;${chooseTid}${logged('chosen')}${put('chosen')}${raiseOids}
      COMMIT;
      SELECT chosen AS tid, previous;
    END`,
    `CREATE PROCEDURE finish_begin(clock BIGINT, ${metadata}) BEGIN
      DECLARE previous, chosen BIGINT;${chooseTid}${logged('chosen')}
      SELECT chosen AS tid, previous;
    END`,
    `CREATE PROCEDURE put_rows(tid_given BIGINT, rows_given LONGTEXT, contents LONGBLOB, oid_max BIGINT) BEGIN
      ${put('tid_given')}${raiseOids}
    END`,
    `CREATE PROCEDURE restore_begin(tid_given BIGINT, oids_given LONGTEXT, slots LONGTEXT, ${metadata}) BEGIN
      DECLARE previous, counted BIGINT;${lockSlots(dialect)}
      SELECT COUNT(*) INTO counted FROM ${oidsOf('oids_given')} STRAIGHT_JOIN ${table} AS o ${byKey} ON o.oid = w.oid ${dialect.forUpdate};
      SELECT s.tid INTO previous FROM store_state AS s FOR UPDATE;
      IF tid_given > previous THEN
        -- Who has seen the horizon cannot see older tids come, so it is raised above them.
        UPDATE store_state SET horizon = horizon + (horizon >= tid_given), tid = tid_given;${logged('tid_given')}
      END IF;
      SELECT previous;
    END`,
  ]
}

const quadruples = `JSON_TABLE(rows_given, '$[*]' COLUMNS (
      oid BIGINT PATH '$[0]', base BIGINT PATH '$[1]', start BIGINT PATH '$[2]', length BIGINT PATH '$[3]')) AS w`

/** Takes the locks of a vote, all or none. New objects have the base 0, and inserting one that exists is an error. */
function commitInOne(history: boolean, dialect: Dialect): string {
  const table = history ? 'current_object' : 'object_state'
  const giveUp = 'ROLLBACK; SELECT NULL AS tid, NULL AS previous;'
  const unlessAll = (count: string): string => `IF counted < ${count} THEN ${giveUp} LEAVE attempt; END IF;`
  const [columns, values] = history
    ? ['oid, tid', 'w.oid, chosen']
    : ['oid, tid, data', `w.oid, chosen, ${slice}`]
  const replaced = history ? 'tid = VALUES (tid)' : 'tid = VALUES (tid), data = VALUES (data)'
  const put = `INSERT INTO ${table} (${columns}) SELECT ${values} FROM ${quadruples}`
  const revisions = `INSERT INTO revision (oid, tid, data) SELECT w.oid, chosen, ${slice} FROM ${quadruples};`
  return `CREATE PROCEDURE commit_in_one(
      rows_given LONGTEXT, changed INT, fresh INT, slots LONGTEXT, slots_count INT, expected LONGTEXT, expected_count INT,
      contents LONGBLOB, clock BIGINT, oid_max BIGINT, ${metadata})
    attempt: BEGIN
      DECLARE counted, previous, chosen BIGINT;
      DECLARE EXIT HANDLER FOR 1062 BEGIN ${giveUp} END;
      START TRANSACTION;
      IF fresh > 0 THEN
        SELECT COUNT(*) INTO counted FROM ${slotList}
          STRAIGHT_JOIN lock_slot AS o ${byKey} ON o.id = w.id ${dialect.forUpdateSkipLocked};
        ${unlessAll('slots_count')}${takeTurns}
      END IF;
      IF changed > 0 THEN
        SELECT COUNT(*) INTO counted FROM ${pairs('rows_given', 'base')}
          STRAIGHT_JOIN ${table} AS o ${byKey} ON o.oid = w.oid AND o.tid = w.base ${dialect.forUpdateSkipLocked};
        ${unlessAll('changed')}
      END IF;
      IF expected_count > 0 THEN
        SELECT COUNT(*) INTO counted FROM ${pairs('expected', 'serial')}
          STRAIGHT_JOIN ${table} AS o ${byKey} ON o.oid = w.oid AND o.tid = w.serial ${dialect.shareSkipLocked};
        ${unlessAll('expected_count')}
      END IF;${chooseTid}${history ? log('chosen') + revisions : ''}
      IF fresh > 0 THEN ${put} WHERE w.base = 0; END IF;
      IF changed > 0 THEN ${put} WHERE w.base > 0 ON DUPLICATE KEY UPDATE ${replaced}; END IF;${raiseOids}
      COMMIT;
      SELECT chosen AS tid, previous;
    END`
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
        ...commits(true, dialect),
      ]
    : [...polls('object_state'), vote(dialect, 'object_state', 'o.data'), ...commits(false, dialect)]
}
