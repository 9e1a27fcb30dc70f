-- Every statement that the server sends, save migrations. A line `-- name: x` begins a statement;
-- {schema} stands for the quoted name of the store's schema, {x} for the fragment x of this file.
--
-- Pages of events come as one row: a column of the page is one binary array (array_send), which
-- the core decodes, so that no Python object is made for an event. A page ends after its row
-- limit, or with the row that passes the limit of bytes, so that it holds one row at the least.
-- 300 bytes stand for the fixed fields of an event, so that a page stays below gRPC's 4 MiB.

-- name: settings
-- What the server must know before it trusts a database.
SELECT current_setting('server_version_num')::integer AS server_version,
       current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('server_encoding') AS server_encoding;

-- name: schema_exists
-- Whether the store's schema has its table of migrations.
SELECT to_regclass($1 || '.migrations') IS NOT NULL;

-- name: kept_states_exists
-- Whether the cache of states is there, which may be dropped.
SELECT to_regclass($1 || '.kept_states') IS NOT NULL;

-- name: lock_migrations
-- One server at a time migrates; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('eventfold.migrations:' || $1, 0));

-- name: namespace_exists
-- CREATE SCHEMA IF NOT EXISTS needs its permission even for a schema that exists, which the owner
-- of a database may have made for a store that may not make its own.
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1);

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: applied_migrations
SELECT number, name, digest FROM {schema}.migrations ORDER BY number;

-- name: note_migration
INSERT INTO {schema}.migrations (number, name, digest) VALUES ($1, $2, $3);

-- name: analyze
-- Statistics of the tables that plans depend on, after they were created.
ANALYZE {schema}.events, {schema}.streams;

-- name: store
SELECT store_id, incarnation, created_at FROM {schema}.store;

-- name: catalogue_version
SELECT catalogue_version FROM {schema}.counter;

-- name: append
-- Times come as texts: the driver would write the first and the last microsecond of its calendar as
-- -infinity and infinity.
SELECT outcome, first_version, first_position, positions, recorded_at, actual_version, successor,
       differs_at, problem, catalogue_version
  FROM {schema}.append_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text[]::timestamptz[], $11, $12,
                          $13, $14, $15, $16);

-- name: append_batch
SELECT append_number, check_number, outcome, first_version, first_position, positions, recorded_at,
       actual_version, successor, differs_at, problem, catalogue_version
  FROM {schema}.append_batch_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                                $16, $17, $18::text[]::timestamptz[], $19, $20, $21, $22, $23);

-- name: check_append
SELECT outcome, first_version, positions, recorded_at, actual_version, successor, differs_at,
       problem
  FROM {schema}.check_append_v1($1, $2, $3, $4);

-- name: log_head
SELECT position FROM {schema}.counter;

-- name: stream
SELECT stream_no, name, category, version, lifecycle, root, predecessor, successor, created_at
  FROM {schema}.streams WHERE name = $1;

-- name: streams_page
-- Streams whose name is after $1 and starts with $2 (all names from $2 up to below $3; NULL: no
-- upper bound), in byte order. $4: lifecycle or NULL; $5: leave out the system's; $6: how many.
SELECT stream_no, name, category, version, lifecycle, root, predecessor, successor, created_at
  FROM {schema}.streams
 WHERE name > $1 AND name >= $2 AND ($3::text IS NULL OR name < $3)
   AND ($4::smallint IS NULL OR lifecycle = $4)
   AND NOT ($5 AND name >= '$' AND name < '%')
 ORDER BY name LIMIT $6;

-- name: hydrate_head
-- All that a hydration must know before it reads events, in one round trip: the stream $1, the
-- newest revision of the fold named $2 (NULL: none is asked for), and the state that is kept for
-- both under the semantics $3, of a version above $4 and at most $5.
SELECT s.stream_no, s.version, s.lifecycle, s.root, f.digest, f.source,
       k.version AS kept_version, k.event_id AS kept_event_id, k.alive AS kept_alive,
       k.state AS kept_state
  FROM (SELECT 1) one
  LEFT JOIN {schema}.streams s ON s.name = $1
  LEFT JOIN LATERAL (SELECT digest, source FROM {schema}.folds
                      WHERE name = $2 ORDER BY revision DESC LIMIT 1) f ON true
  LEFT JOIN {schema}.kept_states k
         ON k.stream_no = s.stream_no AND k.fold_digest = f.digest AND k.mapping_digest = ''
        AND k.semantics = $3 AND k.version > $4 AND k.version <= $5;

-- name: hydrate_head_alone
-- The same where there is no table of kept states.
SELECT s.stream_no, s.version, s.lifecycle, s.root, f.digest, f.source,
       NULL::bigint AS kept_version
  FROM (SELECT 1) one
  LEFT JOIN {schema}.streams s ON s.name = $1
  LEFT JOIN LATERAL (SELECT digest, source FROM {schema}.folds
                      WHERE name = $2 ORDER BY revision DESC LIMIT 1) f ON true;

-- name: hydrate_heads
-- The streams named in $1, in no order.
SELECT stream_no, name, version, lifecycle, root FROM {schema}.streams WHERE name = ANY ($1);

-- name: keep_state
-- Keeps a state, unless a newer one is kept already.
INSERT INTO {schema}.kept_states AS k
       (stream_no, fold_digest, mapping_digest, semantics, version, event_id, alive, state)
VALUES ($1, $2, '', $3, $4, $5, $6, $7)
ON CONFLICT (stream_no, fold_digest, mapping_digest, semantics) DO UPDATE
   SET version = excluded.version, event_id = excluded.event_id, alive = excluded.alive,
       state = excluded.state, kept_at = excluded.kept_at
 WHERE k.version < excluded.version;

-- name: drop_kept_state
-- Drops a kept state whose event is not the one of the log.
DELETE FROM {schema}.kept_states
 WHERE stream_no = $1 AND fold_digest = $2 AND mapping_digest = '' AND semantics = $3
   AND event_id = $4;

-- name: sweep_kept_states
-- Drops up to $2 states that no newest revision of a fold asks for, or of other semantics than $1.
WITH stale AS (
    SELECT ctid FROM {schema}.kept_states k
     WHERE semantics <> $1
        OR NOT EXISTS (SELECT FROM {schema}.folds f
                        WHERE f.digest = k.fold_digest
                          AND f.revision = (SELECT max(n.revision) FROM {schema}.folds n
                                             WHERE n.name = f.name))
     LIMIT $2)
DELETE FROM {schema}.kept_states k USING stale WHERE k.ctid = stale.ctid;

-- name: types_of_category
-- Types of a category's events with their numbers.
SELECT type, count(*) AS events FROM {schema}.events WHERE category = $1 GROUP BY type;

-- name: position_of_version
SELECT position FROM {schema}.events WHERE stream_no = $1 AND version = $2;

-- name: event_ids_at
-- Ids at positions, newest first: the pairs of a resume token.
SELECT position, event_id FROM {schema}.events WHERE position = ANY ($1) ORDER BY position DESC;

-- name: put_fold
SELECT revision, source, put_at, put_by, created FROM {schema}.put_fold_v1($1, $2, $3, $4);

-- name: fold
-- A revision of a fold; revision 0 is the newest.
SELECT name, revision, digest, source, put_at, put_by FROM {schema}.folds
 WHERE name = $1 AND ($2::bigint = 0 OR revision = $2) ORDER BY revision DESC LIMIT 1;

-- name: folds_page
-- Newest revisions of folds whose name is after $1, in byte order.
SELECT DISTINCT ON (name) name, revision, digest, source, put_at, put_by FROM {schema}.folds
 WHERE name > $1 ORDER BY name, revision DESC LIMIT $2;


-- fragment: page
-- The columns of a page, from rows named e, in the order that the core expects.
count(*) AS row_count,
       max(e.running_bytes) AS page_bytes,
       array_send(array_agg(e.stream)) AS stream,
       array_send(array_agg(e.version)) AS version,
       array_send(array_agg(e.position)) AS position,
       array_send(array_agg(e.event_id)) AS event_id,
       array_send(array_agg(e.type)) AS type,
       array_send(array_agg(e.data)) AS data,
       array_send(array_agg(e.metadata)) AS metadata,
       array_send(array_agg(array_send(e.tags))) AS tags,
       array_send(array_agg(e.recorded_at)) AS recorded_at,
       array_send(array_agg(e.occurred_at)) AS occurred_at,
       array_send(array_agg(e.writer)) AS writer,
       array_send(array_agg(e.flags)) AS flags,
       array_send(array_agg(e.copied_from)) AS copied_from,
       array_send(array_agg(e.cancels)) AS cancels,
       array_send(array_agg(e.trace_context)) AS trace_context,
       array_send(array_agg(e.deleted_at IS NOT NULL)) AS deleted

-- fragment: event
-- What a page takes from an event.
e.position, e.version, e.event_id, e.type, e.data, e.metadata, e.tags, e.recorded_at,
               e.occurred_at, e.writer, e.flags, e.copied_from, e.cancels, e.trace_context,
               e.deleted_at, size.own_bytes

-- fragment: sized
-- Events with the bytes that they take on the wire, about.
{schema}.events e
         CROSS JOIN LATERAL (SELECT 300 + octet_length(e.data) + octet_length(e.metadata)
                                 + coalesce(octet_length(e.tags::text), 0) AS own_bytes) size

-- name: stream_page
-- A page of the stream $1, versions $2 to $3, forwards; at most $4 rows, and below $5 bytes but for
-- the last row. $6: types, or NULL for all.
SELECT {page}
  FROM (SELECT NULL::text AS stream, {event},
               sum(size.own_bytes) OVER (ORDER BY e.version ROWS UNBOUNDED PRECEDING)
                   AS running_bytes
          FROM {sized}
         WHERE e.stream_no = $1 AND e.version BETWEEN $2 AND $3
           AND ($6::text[] IS NULL OR e.type = ANY ($6))
         ORDER BY e.version
         LIMIT $4) e
 WHERE e.running_bytes - e.own_bytes < $5;

-- name: stream_page_backwards
-- The same from version $3 down to $2.
SELECT {page}
  FROM (SELECT NULL::text AS stream, {event},
               sum(size.own_bytes) OVER (ORDER BY e.version DESC ROWS UNBOUNDED PRECEDING)
                   AS running_bytes
          FROM {sized}
         WHERE e.stream_no = $1 AND e.version BETWEEN $2 AND $3
           AND ($6::text[] IS NULL OR e.type = ANY ($6))
         ORDER BY e.version DESC
         LIMIT $4) e
 WHERE e.running_bytes - e.own_bytes < $5;

-- name: stream_page_until
-- The same forwards, of the events up to position $6, recorded at or before $7 and occurred at or
-- before $8 (NULL: any): for states in time. Times come as texts, as in `append`.
SELECT {page}
  FROM (SELECT NULL::text AS stream, {event},
               sum(size.own_bytes) OVER (ORDER BY e.version ROWS UNBOUNDED PRECEDING)
                   AS running_bytes
          FROM {sized}
         WHERE e.stream_no = $1 AND e.version BETWEEN $2 AND $3
           AND ($6::bigint IS NULL OR e.position <= $6)
           AND ($7::text IS NULL OR e.recorded_at <= $7::text::timestamptz)
           AND ($8::text IS NULL OR e.occurred_at <= $8::text::timestamptz)
         ORDER BY e.version
         LIMIT $4) e
 WHERE e.running_bytes - e.own_bytes < $5;

-- name: log_page
-- A page of the log, positions $2 to $3, forwards. $1: with system events; $4 and $5 as above;
-- $6: categories, $7: types, $8: tags (all of them), each NULL for no demand.
SELECT {page}
  FROM (SELECT s.name AS stream, {event},
               sum(size.own_bytes) OVER (ORDER BY e.position ROWS UNBOUNDED PRECEDING)
                   AS running_bytes
          FROM {sized}
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
         WHERE e.position BETWEEN $2 AND $3 AND ($1 OR e.category < '$' OR e.category >= '%')
           AND ($6::text[] IS NULL OR e.category = ANY ($6))
           AND ($7::text[] IS NULL OR e.type = ANY ($7))
           AND ($8::text[] IS NULL OR e.tags @> $8)
         ORDER BY e.position
         LIMIT $4) e
 WHERE e.running_bytes - e.own_bytes < $5;

-- name: log_page_backwards
-- The same from position $3 down to $2.
SELECT {page}
  FROM (SELECT s.name AS stream, {event},
               sum(size.own_bytes) OVER (ORDER BY e.position DESC ROWS UNBOUNDED PRECEDING)
                   AS running_bytes
          FROM {sized}
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
         WHERE e.position BETWEEN $2 AND $3 AND ($1 OR e.category < '$' OR e.category >= '%')
           AND ($6::text[] IS NULL OR e.category = ANY ($6))
           AND ($7::text[] IS NULL OR e.type = ANY ($7))
           AND ($8::text[] IS NULL OR e.tags @> $8)
         ORDER BY e.position DESC
         LIMIT $4) e
 WHERE e.running_bytes - e.own_bytes < $5;

-- name: event
-- The event with the id $1, as a page of one row.
SELECT {page}
  FROM (SELECT s.name AS stream, {event}, size.own_bytes AS running_bytes
          FROM {sized}
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
         WHERE e.event_id = $1) e;

-- name: streams_events_page
-- A page of the events of the streams $1, in order of stream and version, from version $3 of the
-- stream $2 on.
SELECT {page}
  FROM (SELECT s.name AS stream, {event},
               sum(size.own_bytes) OVER (ORDER BY e.stream_no, e.version ROWS UNBOUNDED PRECEDING)
                   AS running_bytes
          FROM {sized}
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
         WHERE e.stream_no = ANY ($1) AND (e.stream_no, e.version) >= ($2, $3)
         ORDER BY e.stream_no, e.version
         LIMIT $4) e
 WHERE e.running_bytes - e.own_bytes < $5;
