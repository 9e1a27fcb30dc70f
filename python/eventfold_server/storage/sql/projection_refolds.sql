-- Statements that compare projections with a fold from scratch, fold the events of parked keys, and
-- try documents out. {table} is the table of the generation, {texts} are its columns as texts, each
-- behind a comma, and the others what `projection_table.py` calls them.

-- fragment: settled
-- Whether no event behind the position of the generation $1 cancels one of the key, a stream or the
-- root of some: what is cancelled may be in the row, or out of it already. $4: the fold skips what
-- is cancelled.
NOT ($4::boolean AND EXISTS (
        SELECT FROM {schema}.streams s
          JOIN {schema}.events c ON c.stream_no = s.stream_no AND c.cancels IS NOT NULL
          JOIN {schema}.projection_progress g ON g.generation_no = $1::bigint
         WHERE (s.name = k.key OR s.root = k.key AND s.predecessor IS NOT NULL)
           AND c.position > g.position))

-- name: projection_sample
-- Position of the generation $1, the number of its rows that are shown and hidden, and of its keys
-- those in $2 and others of the table, $3 in all, with their rows. In one snapshot, since it is one
-- statement. Keys that are parked are left out: their rows are known to be old. With 0 for $3 the
-- table is not looked at.
WITH named AS (
    SELECT k.key COLLATE "C" AS key FROM unnest($2::text[]) AS k (key)
     WHERE NOT EXISTS (SELECT FROM {schema}.projection_parked_keys p
                        WHERE p.generation_no = $1::bigint AND p.key = k.key)
       AND {settled}
), drawn AS (
    SELECT k.key FROM {table} k
     WHERE NOT EXISTS (SELECT FROM {schema}.projection_parked_keys p
                        WHERE p.generation_no = $1::bigint AND p.key = k.key)
       AND {settled}
     ORDER BY random() LIMIT $3::bigint
), sample AS (
    SELECT q.key FROM (SELECT n.key, 1 AS turn FROM named n
                       UNION ALL SELECT d.key, 2 FROM drawn d) q
     GROUP BY q.key ORDER BY min(q.turn) LIMIT $3::bigint
)
SELECT p.position, c.shown, c.hidden, s.key, t._state, t._shown, t.version, t.position{texts}
  FROM {schema}.projection_progress p
 CROSS JOIN (SELECT count(*) FILTER (WHERE _shown) AS shown,
                    count(*) FILTER (WHERE NOT _shown) AS hidden
               FROM {table} WHERE $3::bigint > 0) c
  LEFT JOIN sample s ON TRUE
  LEFT JOIN {table} t ON t.key = s.key
 WHERE p.generation_no = $1::bigint
 ORDER BY s.key;

-- name: projection_key_events
-- Events of the types $1, positions $2 to $3, of the stream $6 or, if $7, of all streams whose root
-- it is; of the categories $5, or of all but the system's; with copies if $8. By the versions of
-- the streams, whatever the planner thinks of positions. With $9 (NULL: all of them) only what no
-- event up to that position cancels, and none that cancels some.
SELECT s.name AS stream, {event}, s.root
  FROM (SELECT x.stream_no, x.name, x.root FROM {schema}.streams x
         WHERE x.name = $6::text AND (NOT $7::boolean OR x.root = x.name)
        UNION ALL
        SELECT x.stream_no, x.name, x.root FROM {schema}.streams x
         WHERE x.root = $6::text AND x.predecessor IS NOT NULL AND $7::boolean) s
 CROSS JOIN LATERAL
       (SELECT * FROM {schema}.events v WHERE v.stream_no = s.stream_no OFFSET 0) e
 WHERE e.position BETWEEN $2::bigint AND $3::bigint AND e.type = ANY ($1::text[])
   AND CASE WHEN $5::text[] IS NULL THEN e.category < '$' OR e.category >= '%'
            ELSE e.category = ANY ($5) END
   AND ($8::boolean OR e.copied_from IS NULL) AND e.deleted_at IS NULL
   AND ($9::bigint IS NULL
        OR e.cancels IS NULL
           AND (SELECT c.position FROM {schema}.events c
                 WHERE c.stream_no = e.stream_no AND c.cancels = e.event_id
                   AND c.position <= $9) IS NULL)
 ORDER BY e.position LIMIT $4::bigint;

-- name: projection_spelled
-- The values of columns, which come as texts, as their types spell them; one row for each of the
-- keys $1, in their order.
SELECT {spelled}
  FROM unnest($1::text[]{arrays}) WITH ORDINALITY AS a (key{aliases}, n)
 ORDER BY a.n;

-- name: note_verification
-- Keeps with the generation $1 what was found of it at the position $2.
UPDATE {schema}.projection_generations g
   SET verification = jsonb_build_object(
           'verified_at', to_char(clock_timestamp() AT TIME ZONE 'UTC',
                                  'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'position', $2::bigint, 'rows_shown', $3::bigint, 'rows_hidden', $4::bigint,
           'keys_checked', $5::bigint, 'table_checksum', $6::text, 'fold_checksum', $7::text,
           'keys_differing', $8::bigint, 'differing', to_jsonb($9::text[]))
 WHERE g.generation_no = $1 AND g.digest = $10
RETURNING g.verification::text;

-- name: take_projection
-- Takes the generation $1 for $2 from whoever has it, who is fenced by that, and has it go on if it
-- stopped.
WITH found AS (
    SELECT p.generation_no, p.stopped IS NOT NULL AS stopped
      FROM {schema}.projection_progress p WHERE p.generation_no = $1 FOR UPDATE
)
UPDATE {schema}.projection_progress p
   SET lease = nextval('{schema}.projection_numbers'), lease_until = clock_timestamp() + $2,
       stopped = NULL
  FROM found f WHERE p.generation_no = f.generation_no
RETURNING p.lease, f.stopped;

-- name: projection_hold
-- Prolongs the lease $2 of the generation $1 by $3 milliseconds while nothing is written.
UPDATE {schema}.projection_progress p
   SET lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
 WHERE p.generation_no = $1::bigint AND p.lease = $2::bigint;

-- name: projection_parked_batch
-- Parked keys of the generation $1 behind the key $2, of those in $3 (NULL: of all), with the
-- lengths of their lists: $4 at the most, and behind the first only as long as their lists have not
-- more than $5 events together.
SELECT r.key, r.events
  FROM (SELECT w.key, w.events, sum(w.events) OVER (ORDER BY w.key) AS running
          FROM (SELECT k.key,
                       (SELECT count(*) FROM {schema}.projection_parked_events e
                         WHERE e.generation_no = k.generation_no AND e.key = k.key) AS events
                  FROM {schema}.projection_parked_keys k
                 WHERE k.generation_no = $1::bigint AND k.key > $2::text
                   AND ($3::text[] IS NULL OR k.key = ANY ($3))
                 ORDER BY k.key LIMIT $4::bigint) w) r
 WHERE r.running <= $5::bigint OR r.running = r.events
 ORDER BY r.key;

-- name: projection_parked_list
-- Events on the lists of the parked keys $1 of the generation $5, positions $2 to $3; without those
-- whose payload was deleted.
SELECT s.name AS stream, {event}, s.root
  FROM (SELECT l.position FROM {schema}.projection_parked_events l
         WHERE l.generation_no = $5::bigint AND l.key = ANY ($1::text[])
           AND l.position BETWEEN $2::bigint AND $3::bigint
         ORDER BY l.position LIMIT $4::bigint) q
  JOIN {schema}.events e ON e.position = q.position AND e.deleted_at IS NULL
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 ORDER BY q.position;

-- name: unpark_keys
-- Takes the keys $2 of the generation $1 off, with their lists.
DELETE FROM {schema}.projection_parked_keys
 WHERE generation_no = $1::bigint AND key = ANY ($2::text[]);

-- name: park_again
-- Gives the parked keys $2 of the generation $1 other errors; their lists stay as they are.
UPDATE {schema}.projection_parked_keys k SET error = a.error::jsonb
  FROM unnest($2::text[], $3::text[]) AS a (key, error)
 WHERE k.generation_no = $1::bigint AND k.key = a.key;

-- name: projection_remove_keys
-- Removes the rows of the keys $3, and takes them off the list of parked ones, if $2 is the lease
-- of the generation $1; how many rows, no answer: somebody else has it, or it is gone.
WITH mine AS (
    SELECT p.generation_no FROM {schema}.projection_progress p
     WHERE p.generation_no = $1::bigint AND p.lease = $2::bigint FOR UPDATE
), unparked AS (
    DELETE FROM {schema}.projection_parked_keys k USING mine m
     WHERE k.generation_no = m.generation_no AND k.key = ANY ($3::text[])
), dropped AS (
    DELETE FROM {table} t USING mine m WHERE t.key = ANY ($3::text[]) RETURNING 1
)
SELECT (SELECT count(*) FROM dropped) AS rows FROM mine;

-- name: projection_refold_keys
-- The same, and puts the keys, streams or roots of some, on the list of parked ones with the error
-- $4 and all of their events up to the position of the generation, from which a retry makes them
-- anew. The events are of the types $5, of the categories $6 (NULL: of all but the system's), with
-- copies if $7; a key stands for all streams whose root it is if $8.
WITH mine AS (
    SELECT p.generation_no, p.position FROM {schema}.projection_progress p
     WHERE p.generation_no = $1::bigint AND p.lease = $2::bigint FOR UPDATE
), dropped AS (
    DELETE FROM {table} t USING mine m WHERE t.key = ANY ($3::text[]) RETURNING 1
), events AS MATERIALIZED (
    SELECT m.generation_no, a.key, e.position
      FROM mine m
     CROSS JOIN unnest($3::text[]) AS a (key)
      JOIN {schema}.streams s ON s.name = a.key OR s.root = a.key AND s.predecessor IS NOT NULL
      JOIN {schema}.events e ON e.stream_no = s.stream_no
     WHERE e.position <= m.position AND e.type = ANY ($5::text[]) AND e.deleted_at IS NULL
       AND CASE WHEN $6::text[] IS NULL THEN e.category < '$' OR e.category >= '%'
                ELSE e.category = ANY ($6) END
       AND ($7::boolean OR e.copied_from IS NULL)
       AND ($8::boolean OR s.name = a.key)
), parked AS (
    INSERT INTO {schema}.projection_parked_keys (generation_no, key, error)
    SELECT DISTINCT e.generation_no, e.key, $4::jsonb FROM events e
        ON CONFLICT (generation_no, key) DO UPDATE SET error = excluded.error
), listed AS (
    INSERT INTO {schema}.projection_parked_events (generation_no, key, position)
    SELECT e.generation_no, e.key, e.position FROM events e
        ON CONFLICT (generation_no, key, position) DO NOTHING
)
SELECT (SELECT count(*) FROM dropped) AS rows FROM mine;

-- name: clock_us
-- PostgreSQL's clock, in microseconds since 1970.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: tried_rows
-- As `queried_rows` of rows that come with the call: $1 are their keys, $2 their versions, and the
-- last ones their positions and columns. Beside the rows stands how many pass the filter.
WITH tried AS MATERIALIZED (
    SELECT a.key COLLATE "C" AS key, TRUE AS _shown, a.version, a.position{values}
      FROM unnest($1::text[], $2::bigint[], {arrays}) AS a (key, version, position{aliases})
)
SELECT (SELECT count(*) FROM tried WHERE {condition}) AS rows_passing,
       r.n, r.key, r.version, r.row_position, r.columns, r.place
  FROM (SELECT) one LEFT JOIN ({queried}) r ON TRUE
 ORDER BY r.n;
