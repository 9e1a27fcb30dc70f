-- Queries of projections. What the core makes of filter and order is put in by
-- `projection_rows.py`: {table} is the table of the generation, {names} the columns that the other
-- parts read, each behind a comma, {condition} the filter, {branches} parts of `queried_branch`,
-- the others expressions over a row u.

-- name: queried_generation
-- The generation of the projection $1 that queries see; if there is none, the newest.
SELECT g.generation_no, g.generation, g.digest, p.active IS NOT NULL AS is_active,
       q.position, q.stopped, (SELECT c.position FROM {schema}.counter c) AS head,
       clock_timestamp() AS now
  FROM {schema}.projections p
 CROSS JOIN LATERAL (SELECT * FROM {schema}.projection_generations x
                      WHERE x.projection_no = p.projection_no
                        AND x.generation_no = coalesce(p.active, x.generation_no)
                      ORDER BY x.generation DESC LIMIT 1) g
  JOIN {schema}.projection_progress q ON q.generation_no = g.generation_no
 WHERE p.name = $1;

-- name: queried_document
-- The document of the generation $1, if it has the digest $2 still.
SELECT source, fold_source FROM {schema}.projection_generations
 WHERE generation_no = $1 AND digest = $2;

-- name: sealed_columns
-- Names of the columns of the table $1 whose values are sealed.
SELECT a.attname::text AS name FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
   AND a.atttypid = '{schema}.sealed_text'::regtype
 ORDER BY a.attnum;

-- name: source_has_events
-- Whether an event of the types $1 and the categories $2 (NULL: all but the system's) lies behind
-- position $3, up to $4; $5: copies count; with $6 also one that cancels another.
SELECT EXISTS (SELECT FROM {schema}.events e
                WHERE e.position > $3 AND e.position <= $4
                  AND (e.type = ANY ($1::text[]) OR $6::boolean AND e.cancels IS NOT NULL)
                  AND CASE WHEN $2::text[] IS NULL THEN e.category < '$' OR e.category >= '%'
                           ELSE e.category = ANY ($2) END
                   AND ($5::boolean OR e.copied_from IS NULL));

-- fragment: freshness
-- How fresh the generation $2 is; no row: it is not the one that queries of the projection $1 see.
SELECT g.generation, q.position, q.stopped, (SELECT c.position FROM {schema}.counter c) AS head,
       (SELECT count(*) FROM {schema}.projection_parked_keys k
         WHERE k.generation_no = g.generation_no) AS parked_keys
  FROM {schema}.projections p
  JOIN {schema}.projection_generations g ON g.generation_no = p.active
  JOIN {schema}.projection_progress q ON q.generation_no = g.generation_no
 WHERE p.name = $1::text AND p.active = $2::bigint

-- fragment: queried
-- Rows in their order, one more than the page of $3 holds, where there is one. A row is without
-- columns where the page has ended: after $3 rows, or before the row that would take it above $4
-- bytes; one alone may be larger. What long values take is estimated first, so that few are read in
-- vain. The last row of the page has its place in the order. The parts follow each other as they
-- stand here, which no parallel plan would promise. Columns of a document have no `_` before their
-- names.
SELECT y.n, y.key, y.version, y.position AS row_position,
       CASE WHEN y.has_room THEN y.columns END AS columns,
       CASE WHEN lead(NOT y.has_room, 1, TRUE) OVER (ORDER BY y.n) THEN y.place END AS place
  FROM (SELECT w.*, w.columns IS NOT NULL AND w.n <= $3::bigint
               AND (w.n = 1 OR sum(octet_length(w.columns)) OVER (ORDER BY w.n) <= $4::bigint)
               AS has_room
          FROM (SELECT u._n AS n, u.key, u.version, u.position, {place} AS place,
                       CASE WHEN coalesce(sum({bytes})
                                 OVER (ORDER BY u._n
                                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                                 < $4::bigint
                            THEN {json} END AS columns
                  FROM (SELECT row_number() OVER () AS _n, t.*
                          FROM (SELECT * FROM ({branches}) b LIMIT $3::bigint + 1) t) u) w) y

-- name: queried_branch
-- Some of the rows: what stands at {branch} tells which. Indexes have shown rows only.
(SELECT key, version, position{names} FROM {table}
  WHERE _shown AND {condition} AND {branch} ORDER BY {order} LIMIT $3::bigint + 1)

-- name: queried_rows
-- A page of rows of the generation $2 with its freshness, in one snapshot. No row: queries of the
-- projection $1 see another one. That `set_config` is named, though it is never called, rules a
-- parallel plan out even where a pooler drops the settings of the connection.
WITH serial AS MATERIALIZED (SELECT set_config('max_parallel_workers_per_gather', '0', true)),
     f AS MATERIALIZED ({freshness})
SELECT f.generation, f.position, f.head, f.parked_keys,
       CASE WHEN r.n IS NULL OR r.n = 1 THEN f.stopped END AS stopped,
       r.n, r.key, r.version, r.row_position, r.columns, r.place
  FROM f LEFT JOIN ({queried}) r ON TRUE
 ORDER BY r.n;

-- name: queried_count
-- The number of rows that pass, as `queried_rows`.
SELECT f.generation, f.position, f.head, f.parked_keys, f.stopped,
       (SELECT count(*) FROM {table} WHERE _shown AND {condition}) AS rows
  FROM ({freshness}) f;
