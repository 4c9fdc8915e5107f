/**
 * The stored functions of a PostgreSQL store: a commit is one call to vote and one to finish.
 *
 * **No deadlocks.** A vote waits for locks in two ascending passes: first for groups of new objects, then for rows of
 * existing ones. Then it tries the objects that were only read, and never waits for those. Whoever waits holds only
 * locks that come before the one he waits for, so no circle can close. The row of `store_state` comes last; who holds it
 * waits for nothing.
 *
 * **New objects** have no row to lock, and finish must not find one that somebody else has made meanwhile. So their
 * numbers are locked, in groups of sixteen, by advisory locks: a commit of many new objects would fill the server's lock
 * table if each took one. Sessions get their object ids in whole groups, so they do not meet.
 */

/** log2 of the numbers in a group. */
export const groupBits = 4

// The first key is the schema: locks of different stores of one database never meet.
const lockSpace = '(current_schema()::regnamespace::oid::bigint % 2147483648)::int'
const group = `((w.oid >> ${groupBits}) % 2147483648)::int`

const vote = (table: string, current: string): string => `
  CREATE FUNCTION vote(changed bigint[], bases bigint[], read bigint[], serials bigint[])
  RETURNS TABLE (oid bigint, tid bigint, data bytea, is_locked boolean, has_blob boolean)
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  BEGIN
    IF 0 = ANY (bases) THEN
      PERFORM pg_advisory_xact_lock(${lockSpace}, g.id) FROM (
        SELECT DISTINCT ${group} AS id FROM unnest(changed, bases) AS w (oid, base) WHERE w.base = 0 ORDER BY 1
      ) AS g;
    END IF;
    PERFORM 1 FROM ${table} AS o WHERE o.oid = ANY (changed) ORDER BY o.oid FOR NO KEY UPDATE;
    RETURN QUERY
      SELECT w.oid, coalesce(c.tid, 0), c.data, false,
        EXISTS (SELECT 1 FROM object_blob AS b WHERE b.oid = w.oid AND b.tid = c.tid)
      FROM unnest(changed, bases) AS w (oid, base) LEFT JOIN LATERAL (${current}) AS c ON true
      WHERE coalesce(c.tid, 0) <> w.base;
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
    SELECT greatest(s.tid, s.horizon) INTO previous FROM store_state AS s FOR UPDATE;
    tid := greatest(previous + 1, clock);
    UPDATE store_state AS s SET tid = finish.tid;`

const raiseOids = `
    IF oid_max IS NOT NULL THEN
      UPDATE oid_state AS s SET next_oid = ((oid_max >> ${groupBits}) + 1) << ${groupBits}
        WHERE s.next_oid <= oid_max;
    END IF;`

const rows = `
      unnest(oids, starts, lengths) AS w (oid, start, length)`
const slice = `CASE WHEN w.length >= 0 THEN substring(contents FROM w.start FOR w.length) END`

const finishFree = `
  CREATE FUNCTION finish(
    oids bigint[], starts int[], lengths int[], contents bytea, clock bigint, oid_max bigint,
    OUT tid bigint, OUT previous bigint)
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  BEGIN${chooseTid}
    INSERT INTO object_state (oid, tid, data) SELECT w.oid, finish.tid, ${slice} FROM ${rows}
      ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid, data = excluded.data;${raiseOids}
  END $$;`

const insertHistory = (tid: string): string => `
    INSERT INTO transaction_log (tid, user_name, description, extension)
      VALUES (${tid}, user_name_given, description_given, extension_given);
    INSERT INTO revision (oid, tid, data) SELECT w.oid, ${tid}, ${slice} FROM ${rows};
    INSERT INTO current_object (oid, tid) SELECT w.oid, ${tid} FROM ${rows}
      ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid;${raiseOids}`

const metadata = 'user_name_given text, description_given text, extension_given bytea'

const finishHistory = `
  CREATE FUNCTION finish(
    oids bigint[], starts int[], lengths int[], contents bytea, clock bigint, oid_max bigint, ${metadata},
    OUT tid bigint, OUT previous bigint)
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  BEGIN${chooseTid}${insertHistory('finish.tid')}
  END $$;

  CREATE FUNCTION restore(
    given bigint, oids bigint[], starts int[], lengths int[], contents bytea, oid_max bigint, ${metadata})
  RETURNS bigint
  LANGUAGE plpgsql VOLATILE AS $$
  #variable_conflict use_column
  DECLARE previous bigint;
  BEGIN
    -- The locks of a vote, in the same order; what is current does not matter.
    PERFORM 1 FROM vote(oids, array_fill(0::bigint, ARRAY[cardinality(oids)]), '{}', '{}');
    SELECT s.tid INTO previous FROM store_state AS s FOR UPDATE;
    IF given <= previous THEN RETURN previous; END IF;
    -- Who has seen the horizon cannot see older tids come, so it is raised above them.
    UPDATE store_state AS s SET tid = given, horizon = s.horizon + (s.horizon >= given)::int;${insertHistory('given')}
    RETURN previous;
  END $$;`

export const functionsFree =
  vote('object_state', 'SELECT o.tid, o.data FROM object_state AS o WHERE o.oid = w.oid') + finishFree

export const functionsHistory =
  vote(
    'current_object',
    'SELECT r.tid, r.data FROM revision AS r WHERE r.oid = w.oid ORDER BY r.tid DESC LIMIT 1',
  ) + finishHistory
