/**
 * The stored functions of a PostgreSQL store: a commit is one call, or where somebody is in its way one to vote and one to
 * finish.
 *
 * **No deadlocks.** A vote waits for locks in two ascending passes: first for groups of new objects, then for rows of
 * existing ones. Then it tries the objects that were only read, and never waits for those. Whoever waits holds only
 * locks that come before the one he waits for, so no circle can close. The row of `store_state` comes last; who holds it
 * waits for nothing. A pack takes the same locks in the same order, those of groups too: else who makes an object anew
 * would find its row and wait, with `store_state` in hand, until the pack has removed it.
 *
 * **New objects** have no row to lock, and finish must not find one that somebody else has made meanwhile. So their
 * numbers are locked, in groups of sixteen, by advisory locks: a commit of many new objects would fill the server's lock
 * table if each took one. Sessions get their object ids in whole groups, so they do not meet.
 *
 * **In one call** the same locks are taken, but none is waited for except the row of `store_state`. Whoever finds one
 * taken, or an object at another revision, changes nothing and tells so.
 */

import type { Oid } from '../../../core/ids.ts'

/** log2 of the numbers in a group. */
export const groupBits = 4

/** The group of an object, as locks name it. */
export function groupOf(oid: Oid): number {
  return Math.floor(oid / 2 ** groupBits) % 2 ** 31
}

// The first key is the schema: locks of different stores of one database never meet.
const lockSpace = '(current_schema()::regnamespace::oid::bigint % 2147483648)::int'
const group = `((w.oid >> ${groupBits}) % 2147483648)::int`

/** Locks the groups of these objects, in ascending order. */
const lockGroups = (oids: string): string => `pg_advisory_xact_lock(${lockSpace}, g.id) FROM (
        SELECT DISTINCT ${group} AS id FROM unnest(${oids}) AS w (oid) ORDER BY 1
      ) AS g`

/** For a pack, which removes rows: before it locks those, as in a vote. */
export const lockGroupsOf = `SELECT ${lockGroups('$1::bigint[]')}`

const vote = (table: string, current: string): string => `
  CREATE FUNCTION vote(changed bigint[], bases bigint[], fresh bigint[], read bigint[], serials bigint[])
  RETURNS TABLE (oid bigint, tid bigint, data bytea, is_locked boolean, has_blob boolean)
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  DECLARE current_oids bigint[]; current_tids bigint[];
  BEGIN
    IF cardinality(fresh) > 0 THEN
      PERFORM ${lockGroups('fresh')};
    END IF;
    SELECT array_agg(o.oid), array_agg(o.tid) INTO current_oids, current_tids FROM (
      SELECT oid, tid FROM ${table} WHERE oid = ANY (changed || fresh) ORDER BY oid FOR NO KEY UPDATE
    ) AS o;
    -- Almost always exactly what is changed is there, as it was. If not, a new statement looks for what is current.
    IF coalesce(current_oids, '{}') <> changed OR coalesce(current_tids, '{}') <> bases THEN
      RETURN QUERY
        SELECT w.oid, coalesce(c.tid, 0), c.data, false,
          EXISTS (SELECT 1 FROM object_blob AS b WHERE b.oid = w.oid AND b.tid = c.tid)
        FROM unnest(changed || fresh, bases) AS w (oid, base) LEFT JOIN LATERAL (${current}) AS c ON true
        WHERE coalesce(c.tid, 0) <> coalesce(w.base, 0);
    END IF;
    IF cardinality(read) > 0 THEN
      RETURN QUERY
        WITH shared AS MATERIALIZED (
          SELECT o.oid FROM ${table} AS o WHERE o.oid = ANY (read) ORDER BY o.oid FOR SHARE SKIP LOCKED
        )
        SELECT w.oid, w.serial, NULL::bytea, true, false
        FROM unnest(read, serials) AS w (oid, serial)
        WHERE CASE WHEN EXISTS (SELECT 1 FROM ${table} AS o WHERE o.oid = w.oid)
          THEN NOT EXISTS (SELECT 1 FROM shared WHERE shared.oid = w.oid)
          ELSE NOT pg_try_advisory_xact_lock_shared(${lockSpace}, ${group}) END;
      -- A new statement: it sees what was committed until the locks were taken.
      RETURN QUERY
        SELECT w.oid, coalesce(c.tid, 0), c.data, false, false
        FROM unnest(read, serials) AS w (oid, base) LEFT JOIN LATERAL (${current}) AS c ON true
        WHERE coalesce(c.tid, 0) <> w.base;
    END IF;
  END $$;`

// The row lock is the commit lock: it is held until the commit is visible, so tid order is visibility order.
const chooseTid = `
    UPDATE store_state SET previous = greatest(tid, horizon), tid = greatest(tid + 1, horizon + 1, clock)
      RETURNING tid, previous INTO tid, previous;`

const raiseOids = `
    IF oid_max IS NOT NULL THEN
      UPDATE oid_state AS s SET next_oid = ((oid_max >> ${groupBits}) + 1) << ${groupBits}
        WHERE s.next_oid <= oid_max;
    END IF;`

const rows = `unnest(oids, starts, lengths) AS w (oid, start, length)`
const slice = `CASE WHEN w.length >= 0 THEN substring(contents FROM w.start FOR w.length) END`

/**
 * Each object's current row. New objects have none, and nobody else can have made one since the vote, so they need not be
 * looked for; that saves a quarter of the time.
 * @param put begins the statement, and ends with the rows to put in. @param replace says what to do where there is a row
 */
const putCurrent = (put: string, replace: string): string => `
    IF oids[1] < fresh_from THEN ${put} WHERE w.oid < fresh_from
      ON CONFLICT (oid) DO UPDATE SET ${replace};
    END IF;
    IF oids[cardinality(oids)] >= fresh_from THEN ${put} WHERE w.oid >= fresh_from;
    END IF;`

const finishFree = `
  CREATE FUNCTION finish(
    oids bigint[], starts int[], lengths int[], contents bytea, fresh_from bigint, clock bigint, oid_max bigint,
    OUT tid bigint, OUT previous bigint)
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  BEGIN${chooseTid}${putCurrent(
    `INSERT INTO object_state (oid, tid, data) SELECT w.oid, finish.tid, ${slice} FROM ${rows}`,
    'tid = excluded.tid, data = excluded.data',
  )}${raiseOids}
  END $$;`

/**
 * Takes the locks of a vote, all or none. New objects have the base 0, and inserting one that exists is an error.
 * @param put begins with the choice of the tid
 */
const commitInOne = (table: string, more: string, put: string): string => `
  CREATE FUNCTION commit_in_one(
    oids bigint[], bases bigint[], changes int, groups int[], read bigint[], serials bigint[],
    starts int[], lengths int[], contents bytea, clock bigint, oid_max bigint${more},
    OUT tid bigint, OUT previous bigint)
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  DECLARE locked bigint;
  BEGIN
    IF cardinality(groups) > 0 THEN
      SELECT count(*) INTO locked FROM unnest(groups) AS g (id) WHERE pg_try_advisory_xact_lock(${lockSpace}, g.id);
      IF locked < cardinality(groups) THEN RETURN; END IF;
    END IF;
    IF changes > 0 THEN
      SELECT count(*) INTO locked FROM (
        SELECT 1 FROM unnest(oids, bases) AS w (oid, base) JOIN ${table} AS o ON o.oid = w.oid AND o.tid = w.base
          FOR NO KEY UPDATE OF o SKIP LOCKED
      ) AS l;
      IF locked < changes THEN RETURN; END IF;
    END IF;
    IF cardinality(read) > 0 THEN
      SELECT count(*) INTO locked FROM (
        SELECT 1 FROM unnest(read, serials) AS w (oid, serial) JOIN ${table} AS o ON o.oid = w.oid AND o.tid = w.serial
          FOR SHARE OF o SKIP LOCKED
      ) AS l;
      IF locked < cardinality(read) THEN RETURN; END IF;
    END IF;${put}${raiseOids}
  END $$;`

const all = 'unnest(oids, bases, starts, lengths) AS w (oid, base, start, length)'

const commitFree = commitInOne(
  'object_state',
  '',
  `${chooseTid}
    IF changes > 0 THEN
      UPDATE object_state AS o SET tid = commit_in_one.tid, data = ${slice} FROM ${all} WHERE o.oid = w.oid AND w.base > 0;
    END IF;
    IF changes < cardinality(oids) THEN
      INSERT INTO object_state (oid, tid, data) SELECT w.oid, commit_in_one.tid, ${slice} FROM ${all} WHERE w.base = 0;
    END IF;`,
)

const insertHistory = (tid: string): string => `
    INSERT INTO transaction_log (tid, user_name, description, extension)
      VALUES (${tid}, user_name_given, description_given, extension_given);
    INSERT INTO revision (oid, tid, data) SELECT w.oid, ${tid}, ${slice} FROM ${rows};
${putCurrent(
  `INSERT INTO current_object (oid, tid) SELECT w.oid, ${tid} FROM ${rows}`,
  'tid = excluded.tid',
)}${raiseOids}`

const metadata = 'user_name_given text, description_given text, extension_given bytea'

const finishHistory = `
  CREATE FUNCTION finish(
    oids bigint[], starts int[], lengths int[], contents bytea, fresh_from bigint, clock bigint, oid_max bigint,
    ${metadata},
    OUT tid bigint, OUT previous bigint)
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  BEGIN${chooseTid}${insertHistory('finish.tid')}
  END $$;

  CREATE FUNCTION restore(
    given bigint, oids bigint[], starts int[], lengths int[], contents bytea, fresh_from bigint, oid_max bigint,
    ${metadata})
  RETURNS bigint
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  DECLARE previous bigint;
  BEGIN
    -- The locks of a vote, in the same order; what is current does not matter.
    PERFORM 1 FROM vote('{}', '{}', oids, '{}', '{}');
    SELECT s.tid INTO previous FROM store_state AS s FOR UPDATE;
    IF given <= previous THEN RETURN previous; END IF;
    -- Who has seen the horizon cannot see older tids come, so it is raised above them.
    UPDATE store_state AS s SET tid = given, horizon = s.horizon + (s.horizon >= given)::int;${insertHistory('given')}
    RETURN previous;
  END $$;`

const commitHistory = commitInOne(
  'current_object',
  `, ${metadata}`,
  `${chooseTid}
    INSERT INTO transaction_log (tid, user_name, description, extension)
      VALUES (commit_in_one.tid, user_name_given, description_given, extension_given);
    INSERT INTO revision (oid, tid, data) SELECT w.oid, commit_in_one.tid, ${slice} FROM ${all};
    IF changes > 0 THEN
      UPDATE current_object AS o SET tid = commit_in_one.tid FROM ${all} WHERE o.oid = w.oid AND w.base > 0;
    END IF;
    IF changes < cardinality(oids) THEN
      INSERT INTO current_object (oid, tid) SELECT w.oid, commit_in_one.tid FROM ${all} WHERE w.base = 0;
    END IF;`,
)

export const functionsFree =
  vote('object_state', 'SELECT o.tid, o.data FROM object_state AS o WHERE o.oid = w.oid') +
  finishFree +
  commitFree

export const functionsHistory =
  vote(
    'current_object',
    'SELECT r.tid, r.data FROM revision AS r WHERE r.oid = w.oid ORDER BY r.tid DESC LIMIT 1',
  ) +
  finishHistory +
  commitHistory
