-- Statements that compare projections with a fold from scratch, fold the events of parked keys, and
-- try documents out. {table} is the table of the generation, {texts} are its columns as texts, each
-- behind a comma, and the others what `projection_table.py` calls them.

-- name: projection_sample
-- Position of the generation $1, the number of its rows that are shown and hidden, and of its keys
-- those in $2 and others of the table, $3 in all, with their rows. In one snapshot, since it is one
-- statement. Keys that are parked are left out: their rows are known to be old. With 0 for $3 the
-- table is not looked at.
WITH named AS (
    SELECT a.key COLLATE "C" AS key FROM unnest($2::text[]) AS a (key)
     WHERE NOT EXISTS (SELECT FROM {schema}.projection_parked_keys k
                        WHERE k.generation_no = $1::bigint AND k.key = a.key)
), drawn AS (
    SELECT t.key FROM {table} t
     WHERE NOT EXISTS (SELECT FROM {schema}.projection_parked_keys k
                        WHERE k.generation_no = $1::bigint AND k.key = t.key)
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
-- it is; of the categories $5, or of all but the system's. By the versions of the streams, whatever
-- the planner thinks of positions.
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
-- Events on the lists of the parked keys $1 of the generation $5, positions $2 to $3.
SELECT s.name AS stream, {event}, s.root
  FROM (SELECT l.position FROM {schema}.projection_parked_events l
         WHERE l.generation_no = $5::bigint AND l.key = ANY ($1::text[])
           AND l.position BETWEEN $2::bigint AND $3::bigint
         ORDER BY l.position LIMIT $4::bigint) q
  JOIN {schema}.events e ON e.position = q.position
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
