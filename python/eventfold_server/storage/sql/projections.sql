-- Statements on the tables of projections: each generation has one of its own. `queries.py` says
-- how this file is read. What a document says is put in by `projection_table.py`, quoted: {table}
-- is the table, {names} are its columns, each behind a comma, and the others what they are called.
--
-- Rows, states and the position up to which the log is in them are written in one transaction,
-- whose first statement is `projection_advance`. Whoever writes without the newest lease changes
-- nothing. Locks are taken in one order: the row of progress, then the table.

-- name: projection_table
-- The table of a generation. `_state` is the state of the fold, JSON text, also of rows that
-- `where` hides; `version` and `position` are those of the last event that touched the row. Room is
-- left on each page, so that rows which change keep their place in the index.
CREATE TABLE {table} (
    key      text    COLLATE "C" PRIMARY KEY,
    _state   bytea   NOT NULL,
    _shown   boolean NOT NULL,
    version  bigint  NOT NULL,
    position bigint  NOT NULL{definitions}
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.1,
        autovacuum_analyze_scale_factor = 0.1);

-- name: projection_index
-- An index that a document asks for; queries see shown rows only.
CREATE INDEX {index} ON {table} ({indexed}) WHERE _shown;

-- name: projection_shown
-- What the view of a projection shows.
SELECT key{names}, version, position FROM {table} WHERE _shown;

-- name: analyze_projection
-- Statistics of a table that queries will see in a moment.
ANALYZE {table};

-- name: drop_projection_table
-- To be sent behind the deletion of the generation, which waits for the batch under way.
DROP TABLE IF EXISTS {table};

-- name: projection_progress
-- How far the generation $1 is, for who has the lease $2; no row: somebody else has it, or the
-- generation is gone.
SELECT p.position, p.rate, p.stopped::text AS stopped
  FROM {schema}.projection_progress p
 WHERE p.generation_no = $1::bigint AND p.lease = $2::bigint;

-- name: projection_advance
-- Moves the generation $1 from position $3 to $4 with $5 events, and prolongs the lease $2 by $8
-- milliseconds. No row is changed if somebody else has the lease or has moved it; or if an event
-- at one of the positions $9 has not its id of $10, because a fail-over lost what was read.
UPDATE {schema}.projection_progress p
   SET position = $4::bigint, events = p.events + $5::bigint,
       rate = $6::text::double precision, stopped = $7::text::jsonb,
       lease_until = clock_timestamp() + $8::bigint * interval '1 millisecond'
 WHERE p.generation_no = $1::bigint AND p.lease = $2::bigint AND p.position = $3::bigint
   AND p.stopped IS NULL
   AND NOT EXISTS (SELECT FROM unnest($9::bigint[], $10::uuid[]) AS a (position, event_id)
                    WHERE a.event_id IS DISTINCT FROM
                          (SELECT e.event_id FROM {schema}.events e
                            WHERE e.position = a.position));

-- name: projection_rows
-- What is known of the keys $1: their rows, and whether they are parked in the generation $2; keys
-- of which there is nothing are left out. Ends with the row whose states pass $3 bytes.
SELECT r.n, r._state, r._shown, r.version, r.position, r.parked
  FROM (SELECT a.n, t._state, t._shown, t.version, t.position, p.key IS NOT NULL AS parked,
               coalesce(octet_length(t._state), 0) AS own_bytes,
               sum(octet_length(t._state)) OVER (ORDER BY a.n ROWS UNBOUNDED PRECEDING)
                   AS running_bytes
          FROM unnest($1::text[]) WITH ORDINALITY AS a (key, n)
          LEFT JOIN {table} t ON t.key = a.key
          LEFT JOIN {schema}.projection_parked_keys p
                 ON p.generation_no = $2::bigint AND p.key = a.key
         WHERE t.key IS NOT NULL OR p.key IS NOT NULL) r
 WHERE coalesce(r.running_bytes, 0) - r.own_bytes < $3::bigint
 ORDER BY r.n;

-- name: projection_upsert
-- Writes rows, an element of each array for each; values of columns come as texts.
INSERT INTO {table} AS t (key, _state, _shown, version, position{names})
SELECT a.key, a.state, a.shown, a.version, a.position{values}
  FROM unnest($1::text[], $2::bytea[], $3::boolean[], $4::bigint[], $5::bigint[]{arrays})
       AS a (key, state, shown, version, position{aliases})
ON CONFLICT (key) DO UPDATE
   SET _state = excluded._state, _shown = excluded._shown, version = excluded.version,
       position = excluded.position{assignments};

-- name: projection_delete
-- Removes the rows of the keys $1.
DELETE FROM {table} WHERE key = ANY ($1::text[]);

-- name: park_keys
-- Parks the keys $2 of the generation $1, each with its error.
INSERT INTO {schema}.projection_parked_keys (generation_no, key, error)
SELECT $1::bigint, a.key, a.error::jsonb FROM unnest($2::text[], $3::text[]) AS a (key, error);

-- name: park_events
-- Puts events, told by key and position, onto the lists of parked keys.
INSERT INTO {schema}.projection_parked_events (generation_no, key, position)
SELECT $1::bigint, a.key, a.position FROM unnest($2::text[], $3::bigint[]) AS a (key, position);

-- fragment: folded
-- Events of the types $1, without copies unless $5, and without those whose payload was deleted.
e.type = ANY ($1::text[]) AND ($5::boolean OR e.copied_from IS NULL) AND e.deleted_at IS NULL

-- fragment: not_cancelled
-- The same for folds that skip what is cancelled: of these only those that nothing cancels, and the
-- events that cancel some. A scalar subquery, so that each event is looked up in the index, and no
-- list of all cancellations is made.
(e.type = ANY ($1::text[]) OR e.cancels IS NOT NULL)
   AND ($5::boolean OR e.copied_from IS NULL) AND e.deleted_at IS NULL
   AND (SELECT c.position FROM {schema}.events c
         WHERE c.stream_no = e.stream_no AND c.cancels = e.event_id) IS NULL

-- fragment: of_log
-- Events at positions $2 to $3, save the system's; in place of the name of the stream its number,
-- since the names of many events are one: a join would cost more than all the rest.
SELECT e.stream_no, {event}
  FROM {schema}.events e
 WHERE e.position BETWEEN $2::bigint AND $3::bigint
   AND (e.category < '$' OR e.category >= '%') AND

-- fragment: of_category
-- The same of the one category in $6, along its index.
SELECT e.stream_no, {event}
  FROM {schema}.events e
 WHERE (e.category, e.position) >= (($6::text[])[1], $2::bigint)
   AND (e.category, e.position) <= (($6::text[])[1], $3::bigint) AND

-- fragment: of_categories
-- The same of the categories $6, each there once, as `categories_page`; the two parts around the
-- condition.
SELECT e.stream_no, {event}
  FROM (SELECT p.position
          FROM unnest($6::text[]) AS c (category)
          CROSS JOIN LATERAL
               (SELECT e.position FROM {schema}.events e
                 WHERE (e.category, e.position) >= (c.category, $2::bigint)
                   AND (e.category, e.position) <= (c.category, $3::bigint) AND

-- fragment: in_order
ORDER BY e.category, e.position LIMIT $4::bigint) p
         ORDER BY p.position LIMIT $4::bigint) q
  CROSS JOIN LATERAL
       (SELECT * FROM {schema}.events x WHERE x.position = q.position OFFSET 0) e
 ORDER BY q.position;

-- name: projection_log_page
{of_log} {folded} ORDER BY e.position LIMIT $4::bigint;

-- name: projection_log_page_skipping
{of_log} {not_cancelled} ORDER BY e.position LIMIT $4::bigint;

-- name: projection_category_page
{of_category} {folded} ORDER BY e.category, e.position LIMIT $4::bigint;

-- name: projection_category_page_skipping
{of_category} {not_cancelled} ORDER BY e.category, e.position LIMIT $4::bigint;

-- name: projection_categories_page
{of_categories} {folded} {in_order}

-- name: projection_categories_page_skipping
{of_categories} {not_cancelled} {in_order}

-- name: projection_targets
-- The events with the ids $1, in the order of these; ends with the one whose data and metadata pass
-- $2 bytes.
SELECT s.name AS stream, {event}
  FROM (SELECT x.*, a.n,
               coalesce(octet_length(x.data), 0) + coalesce(octet_length(x.metadata), 0)
                   AS own_bytes,
               sum(coalesce(octet_length(x.data), 0) + coalesce(octet_length(x.metadata), 0))
                   OVER (ORDER BY a.n ROWS UNBOUNDED PRECEDING) AS running_bytes
          FROM unnest($1::uuid[]) WITH ORDINALITY AS a (event_id, n)
          JOIN {schema}.events x ON x.event_id = a.event_id) e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.running_bytes - e.own_bytes < $2::bigint
 ORDER BY e.n;

-- name: projection_streams
-- Names and roots of the streams with the numbers $1; neither ever changes.
SELECT s.stream_no, s.name, s.root FROM {schema}.streams s WHERE s.stream_no = ANY ($1::bigint[]);
