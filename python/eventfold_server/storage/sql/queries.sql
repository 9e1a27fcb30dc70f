-- Every statement that the server sends, save migrations. A line `-- name: x` begins a statement;
-- {schema} stands for the quoted name of the store's schema, {query_schema} for that of the views
-- of projections, {x} for the fragment x of this file.
--
-- Events come as rows, with the columns that the core expects, in this order. The reader sends
-- these statements: $1 is the key, $2 and $3 the bounds, both inclusive, $4 the most rows. It
-- begins a statement anew where it was left, when a client takes its time or the rows are many.

-- name: settings
-- What the server must know before it trusts a database.
SELECT current_setting('server_version_num')::integer AS server_version,
       current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('server_encoding') AS server_encoding;

-- name: ping
-- Whether PostgreSQL answers.
SELECT 1;

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

-- name: create_query_schema
CREATE SCHEMA {query_schema};

-- name: role_exists
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1);

-- name: create_query_role
-- Makes a role that may log in once somebody gives it a password.
SELECT {schema}.projection_role_v1($1);

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
  FROM {schema}.append_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text[]::timestamptz[], $11, $12,
                          $13, $14, $15, $16);

-- name: append_batch
SELECT append_number, check_number, outcome, first_version, first_position, positions, recorded_at,
       actual_version, successor, differs_at, problem, catalogue_version
  FROM {schema}.append_batch_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
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

-- fragment: newest_fold
-- The newest revision of the fold named $2 (NULL: none is asked for).
(SELECT digest, kept_digest, source FROM {schema}.folds
                      WHERE name = $2 ORDER BY revision DESC LIMIT 1)

-- fragment: head
-- What a fold must know of a stream.
s.stream_no, s.version, s.lifecycle, s.root

-- name: hydrate_head
-- All that a hydration must know before it reads events, in one round trip: the stream $1, the
-- newest revision of the fold named $2 (NULL: none is asked for), and the state that is kept for
-- both under the semantics $3, of a version above $4 and at most $5.
SELECT {head}, f.digest, f.kept_digest, f.source,
       k.version AS kept_version, k.event_id AS kept_event_id, k.alive AS kept_alive,
       k.state AS kept_state
  FROM (SELECT 1) one
  LEFT JOIN {schema}.streams s ON s.name = $1
  LEFT JOIN LATERAL {newest_fold} f ON true
  LEFT JOIN {schema}.kept_states k
         ON k.stream_no = s.stream_no AND k.fold_digest = f.kept_digest AND k.mapping_digest = ''
        AND k.semantics = $3::bigint AND k.version > $4 AND k.version <= $5;

-- name: hydrate_head_alone
-- The same where there is no table of kept states.
SELECT {head}, f.digest, f.kept_digest, f.source, NULL::bigint AS kept_version,
       NULL::uuid AS kept_event_id, NULL::boolean AS kept_alive, NULL::bytea AS kept_state
  FROM (SELECT 1) one
  LEFT JOIN {schema}.streams s ON s.name = $1
  LEFT JOIN LATERAL {newest_fold} f ON true;

-- name: hydrate_heads
-- The same for many streams: those named in $1, with states of versions above $4, an element each.
-- The fold stands in the first row only. $5: kept digest of the fold, where it is known already
-- and not asked for. Ends with the row whose states pass $6 bytes.
SELECT w.name, w.stream_no, w.version, w.lifecycle, w.root, w.digest, w.fold_kept_digest
       AS kept_digest, w.source, w.kept_version, w.kept_event_id, w.kept_alive,
       w.kept_state
  FROM (SELECT a.n, a.name, {head},
               CASE WHEN a.n = 1 THEN f.digest END AS digest,
               CASE WHEN a.n = 1 THEN f.kept_digest END AS fold_kept_digest,
               CASE WHEN a.n = 1 THEN f.source END AS source,
               k.version AS kept_version, k.event_id AS kept_event_id, k.alive AS kept_alive,
               k.state AS kept_state, coalesce(octet_length(k.state), 0) AS own_bytes,
               sum(octet_length(k.state)) OVER (ORDER BY a.n ROWS UNBOUNDED PRECEDING)
                   AS running_bytes
          FROM unnest($1::text[], $4::bigint[]) WITH ORDINALITY AS a (name, kept_above, n)
          LEFT JOIN LATERAL {newest_fold} f ON true
          LEFT JOIN {schema}.streams s ON s.name = a.name
          LEFT JOIN {schema}.kept_states k
                 ON k.stream_no = s.stream_no AND k.fold_digest = coalesce($5, f.kept_digest)
                AND k.mapping_digest = '' AND k.semantics = $3 AND k.version > a.kept_above) w
 WHERE coalesce(w.running_bytes, 0) - w.own_bytes < $6
 ORDER BY w.n;

-- name: hydrate_heads_alone
-- The same where there is no table of kept states.
SELECT a.name, {head},
       CASE WHEN a.n = 1 THEN f.digest END AS digest,
       CASE WHEN a.n = 1 THEN f.kept_digest END AS kept_digest,
       CASE WHEN a.n = 1 THEN f.source END AS source, NULL::bigint AS kept_version
  FROM unnest($1::text[]) WITH ORDINALITY AS a (name, n)
  LEFT JOIN LATERAL {newest_fold} f ON true
  LEFT JOIN {schema}.streams s ON s.name = a.name
 ORDER BY a.n;

-- name: keep_states
-- Keeps states, unless newer ones are kept already. In order of their keys, so that servers that
-- keep the same ones wait for each other in one order.
INSERT INTO {schema}.kept_states AS k
       (stream_no, fold_digest, mapping_digest, semantics, version, event_id, alive, state)
SELECT a.stream_no, a.fold_digest, '', $1, a.version, a.event_id, a.alive, a.state
  FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::uuid[], $6::boolean[], $7::bytea[])
       AS a (stream_no, fold_digest, version, event_id, alive, state)
 ORDER BY a.stream_no, a.fold_digest COLLATE "C"
ON CONFLICT (stream_no, fold_digest, mapping_digest, semantics) DO UPDATE
   SET version = excluded.version, event_id = excluded.event_id, alive = excluded.alive,
       state = excluded.state, kept_at = excluded.kept_at
 WHERE k.version < excluded.version;

-- name: drop_kept_states
-- Drops kept states whose events are not the ones of the log.
DELETE FROM {schema}.kept_states k
 USING unnest($2::bigint[], $3::text[], $4::uuid[]) AS a (stream_no, fold_digest, event_id)
 WHERE k.stream_no = a.stream_no AND k.fold_digest = a.fold_digest AND k.mapping_digest = ''
   AND k.semantics = $1 AND k.event_id = a.event_id;

-- name: sweep_kept_states
-- Drops up to $2 states that no newest revision of a fold asks for, or of other semantics than $1;
-- tells how many. None while another server does. Finds the digests that there are by leaps through
-- the index, not by looking at every state.
WITH RECURSIVE lock AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended('eventfold.sweep:' || $3, 0)) AS mine),
known AS (
    (SELECT fold_digest, semantics FROM {schema}.kept_states
      ORDER BY fold_digest, semantics LIMIT 1)
    UNION ALL
    SELECT n.fold_digest, n.semantics
      FROM known k
      CROSS JOIN LATERAL (SELECT t.fold_digest, t.semantics FROM {schema}.kept_states t
                           WHERE (t.fold_digest, t.semantics) > (k.fold_digest, k.semantics)
                           ORDER BY t.fold_digest, t.semantics LIMIT 1) n),
stale AS (
    SELECT r.ctid
      FROM lock
      CROSS JOIN known k
      CROSS JOIN LATERAL (SELECT t.ctid FROM {schema}.kept_states t
                           WHERE t.fold_digest = k.fold_digest AND t.semantics = k.semantics
                           LIMIT $2) r
     WHERE lock.mine
       AND (k.semantics <> $1
            OR NOT EXISTS (SELECT FROM {schema}.folds f
                            WHERE f.kept_digest = k.fold_digest
                              AND f.keep_every IS DISTINCT FROM 0
                              AND f.revision = (SELECT max(n.revision) FROM {schema}.folds n
                                                 WHERE n.name = f.name)))
     LIMIT $2),
dropped AS (
    DELETE FROM {schema}.kept_states k USING stale WHERE k.ctid = stale.ctid RETURNING 1)
SELECT count(*) AS dropped FROM dropped;

-- name: incomplete_folds
-- Revisions that a server registered which knew no kept digests.
SELECT name, revision, source FROM {schema}.folds WHERE kept_digest IS NULL
 ORDER BY name, revision LIMIT $1;

-- name: complete_fold
-- Adds what such a server left out.
UPDATE {schema}.folds SET kept_digest = $3, keep_every = $4
 WHERE name = $1 AND revision = $2 AND kept_digest IS NULL;

-- name: types_of_category
-- Types of a category's events with their numbers.
SELECT type, count(*) AS events FROM {schema}.events WHERE category = $1 GROUP BY type;

-- name: position_of_version
SELECT position FROM {schema}.events WHERE stream_no = $1 AND version = $2;

-- name: event_ids_at
-- Ids at positions, newest first: the pairs of a resume token.
SELECT position, event_id FROM {schema}.events WHERE position = ANY ($1) ORDER BY position DESC;

-- name: log_tail
-- The head of the log and the id of its event, and the id at position $1; NULL: there is no event.
SELECT c.position, h.event_id AS head_id, k.event_id AS known_id
  FROM {schema}.counter c
  LEFT JOIN {schema}.events h ON h.position = c.position
  LEFT JOIN {schema}.events k ON k.position = $1;

-- name: ids_between
-- Ids at positions $1 to $2, 16 bytes each; NULL: none.
SELECT string_agg(uuid_send(event_id), '' ORDER BY position)
  FROM {schema}.events WHERE position BETWEEN $1 AND $2;

-- name: version_from_position
SELECT {schema}.version_from_v1($1, $2, $3);

-- name: position_from_time
-- The first position, up to $1, whose event was recorded at $2 or after; else the one behind $1.
-- Times never decrease with positions, so it is found by halving. The time comes as a text.
WITH RECURSIVE half (lower, upper) AS (
    SELECT 1::bigint, $1::bigint + 1
    UNION ALL
    SELECT CASE WHEN e.recorded_at < $2::text::timestamptz THEN e.position + 1 ELSE h.lower END,
           CASE WHEN e.recorded_at < $2::text::timestamptz THEN h.upper ELSE e.position END
      FROM half h
      JOIN {schema}.events e ON e.position = (h.lower + h.upper) / 2
     WHERE h.lower < h.upper)
SELECT lower FROM half WHERE lower = upper;

-- name: notify
-- Wakes the servers that listen on the channel $1; $2 is the position that the log has reached.
SELECT pg_notify($1, $2);

-- name: put_fold
SELECT revision, source, put_at, put_by, created FROM {schema}.put_fold_v2($1, $2, $3, $4, $5, $6);

-- name: fold
-- A revision of a fold; revision 0 is the newest.
SELECT name, revision, digest, source, put_at, put_by FROM {schema}.folds
 WHERE name = $1 AND ($2::bigint = 0 OR revision = $2) ORDER BY revision DESC LIMIT 1;

-- name: folds_page
-- Newest revisions of folds whose name is after $1, in byte order.
SELECT DISTINCT ON (name) name, revision, digest, source, put_at, put_by FROM {schema}.folds
 WHERE name > $1 ORDER BY name, revision DESC LIMIT $2;


-- fragment: group
-- A group, and how far it is: up to below its oldest entry of any state, or all it took in.
g.group_no, g.name, g.categories, g.stream, g.types, g.tags, g.condition, g.with_system,
       g.ack_timeout, g.attempts_max, g.retry_initial, g.retry_factor, g.retry_max, g.hold_back,
       g.ordered, g.generation, g.created_at, g.created_by, g.cursor, g.stopped,
       least(g.cursor, (SELECT min(h.head) - 1 FROM unnest(ARRAY[1, 2, 3, 4]) AS s (state)
                         CROSS JOIN LATERAL
                               (SELECT l.head FROM {schema}.group_lanes l
                                 WHERE l.group_no = g.group_no AND l.state = s.state
                                   AND l.head IS NOT NULL
                                 ORDER BY l.head LIMIT 1) h)) AS progress,
       (SELECT c.position FROM {schema}.counter c) AS log_head

-- name: create_group
-- No row: there is a group of this name.
INSERT INTO {schema}.groups (name, categories, stream, types, tags, condition, with_system,
                             ack_timeout, attempts_max, retry_initial, retry_factor, retry_max,
                             hold_back, ordered, created_by, cursor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (name) DO NOTHING RETURNING group_no;

-- name: group
SELECT {group} FROM {schema}.groups g WHERE g.name = $1;

-- name: groups_page
-- Groups whose name is after $1, in byte order.
SELECT {group} FROM {schema}.groups g WHERE g.name > $1 ORDER BY g.name LIMIT $2;

-- name: group_status
-- How the group $1 is doing: one pass over its lanes, and a count of its parked events.
SELECT l.waiting, l.under_way, l.retrying, l.held_back, p.parked, p.oldest_parked,
       (SELECT e.recorded_at FROM {schema}.events e WHERE e.position = l.oldest) AS oldest_at
  FROM (SELECT coalesce(sum(entries) FILTER (WHERE state = 1), 0)::bigint
               + coalesce(sum(entries - under_way) FILTER (WHERE state = 2), 0)::bigint AS waiting,
               coalesce(sum(under_way), 0)::bigint AS under_way,
               coalesce(sum(entries) FILTER (WHERE state = 3), 0)::bigint AS retrying,
               coalesce(sum(entries) FILTER (WHERE state = 4), 0)::bigint AS held_back,
               min(head) AS oldest
          FROM {schema}.group_lanes WHERE group_no = $1) l
 CROSS JOIN (SELECT count(*) AS parked, coalesce(min(position), 0) AS oldest_parked
               FROM {schema}.group_parked WHERE group_no = $1) p;

-- name: group_consumers
-- Sessions of the group $1 that were alive within the last $2, at most $3.
SELECT s.session, s.consumer, s.caller, s.since, count(l.lane) AS streams,
       coalesce(sum(l.under_way), 0)::bigint AS under_way
  FROM {schema}.group_sessions s
  LEFT JOIN LATERAL (SELECT x.lane, x.under_way FROM {schema}.group_lanes x
                      WHERE x.session = s.session AND x.lease IS NOT NULL OFFSET 0) l ON true
 WHERE s.group_no = $1 AND s.seen_at > clock_timestamp() - $2::interval
 GROUP BY s.session ORDER BY s.session LIMIT $3;

-- name: begin_group_session
-- Names the consumer of a session, and forgets those of servers that were killed long ago. No row:
-- there is no group of this name.
WITH old AS (
    DELETE FROM {schema}.group_sessions WHERE seen_at < clock_timestamp() - interval '1 day')
INSERT INTO {schema}.group_sessions (group_no, consumer, caller)
SELECT g.group_no, $2, $3 FROM {schema}.groups g WHERE g.name = $1
RETURNING group_no, session;

-- name: end_group_session
-- Gives back what the session $2 has of the group $1. $3: it failed at it.
SELECT {schema}.group_end_session_v1($1, $2, $3);

-- name: group_next
SELECT cursor, head, up_to, positions, lanes, open_entries
  FROM {schema}.group_next_v1($1, $2, $3, $4);

-- name: group_take_in
SELECT {schema}.group_take_in_v1($1, $2, $3, $4, $5, $6);

-- name: group_claim
SELECT dealt, positions, leases, attempts, due_in FROM {schema}.group_claim_v1($1, $2, $3, $4, $5);

-- name: group_settle
SELECT settlement, pos, lost FROM {schema}.group_settle_v1($1, $2, $3, $4, $5, $6, $7, $8)
 ORDER BY settlement, pos;

-- name: parked_page
-- Parked events of the group $1 behind position $2.
SELECT position, attempts, parked_at, cause, reason, consumer, holds FROM {schema}.group_parked
 WHERE group_no = $1 AND position > $2 ORDER BY position LIMIT $3;

-- name: group_unpark
SELECT {schema}.group_unpark_v1($1, $2, $3, $4, $5) AS done;

-- name: group_reset
SELECT {schema}.group_reset_v1($1, $2) AS found;

-- fragment: generation
-- A generation with its progress: what is shown of it.
g.generation_no, g.generation, g.source, g.fold_source, g.digest, g.state, g.switch,
       g.verification, g.put_at, g.put_by, g.caught_up_at, g.switched_at,
       coalesce(g.fold_name, '') AS fold,
       coalesce(g.fold_revision, 0) AS fold_revision, q.position, q.events, q.rate, q.stopped,
       (SELECT count(*) FROM {schema}.projection_parked_keys k
         WHERE k.generation_no = g.generation_no) AS parked_keys

-- fragment: projection
-- Of projections p: each of their generations, with the head of the log. $2: schema of the views.
p.name, quote_ident($2::text) || '.' || quote_ident(p.name) AS view,
       (SELECT c.position FROM {schema}.counter c) AS head, {generation}
  FROM p
  JOIN {schema}.projection_generations g ON g.projection_no = p.projection_no
  JOIN {schema}.projection_progress q ON q.generation_no = g.generation_no
 ORDER BY p.name, g.generation

-- name: projection
-- The projection $1.
WITH p AS (SELECT * FROM {schema}.projections WHERE name = $1)
SELECT {projection};

-- name: projections_page
-- Projections whose name is after $1, in byte order, $3 of them.
WITH p AS (SELECT * FROM {schema}.projections WHERE name > $1 ORDER BY name LIMIT $3)
SELECT {projection};

-- name: projection_number
-- A number for a new generation, with which its table is named.
SELECT nextval('{schema}.projection_numbers');

-- name: put_projection
SELECT outcome, generation
  FROM {schema}.projection_put_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: replace_projection
SELECT {schema}.projection_replace_v1($1, $2, $3, $4, $5, $6, $7, $8, $9) AS generation;

-- name: switch_projection
SELECT {schema}.projection_switch_v1($1, $2, $3, $4, $5, $6) AS outcome;

-- name: drop_projection
SELECT {schema}.projection_drop_v1($1, $2, $3, $4) AS outcome;

-- name: sweep_projections
SELECT {schema}.projection_sweep_v1($1, $2) AS tables_left;

-- name: show_projection
SELECT {schema}.projection_show_v1($1, $2, $3, $4);

-- name: grant_projections
SELECT {schema}.projection_grant_v1($1, $2);

-- name: projection_parked_page
-- Parked keys of the generation $1 after the key $2, with the events that are set aside.
SELECT k.key, k.error, k.parked_at, e.position, e.events
  FROM {schema}.projection_parked_keys k
 CROSS JOIN LATERAL (SELECT coalesce(min(x.position), 0) AS position, count(*) AS events
                       FROM {schema}.projection_parked_events x
                      WHERE x.generation_no = k.generation_no AND x.key = k.key) e
 WHERE k.generation_no = $1 AND k.key > $2 ORDER BY k.key LIMIT $3;

-- name: claim_projections
-- Takes generations that nobody has for $1: half of them, so that several servers that look at once
-- share them. What stopped rests. Not those in $2, at which this process failed a moment ago. $3:
-- schema of the views.
WITH free AS (
    SELECT p.generation_no FROM {schema}.projection_progress p
     WHERE p.stopped IS NULL AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())
       AND p.generation_no <> ALL ($2::bigint[])
), taken AS (
    SELECT p.generation_no FROM {schema}.projection_progress p
     WHERE p.generation_no IN (SELECT generation_no FROM free)
       AND p.stopped IS NULL AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())
     ORDER BY p.generation_no LIMIT (SELECT (count(*) + 1) / 2 FROM free)
       FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {schema}.projection_progress p
       SET lease = nextval('{schema}.projection_numbers'), lease_until = clock_timestamp() + $1
      FROM taken t WHERE p.generation_no = t.generation_no
    RETURNING p.generation_no, p.lease
)
SELECT p.name, g.generation, g.source, g.fold_source, g.state, c.generation_no, c.lease,
       p.active = g.generation_no
       AND to_regclass(quote_ident($3) || '.' || quote_ident(p.name)) IS NULL AS lacks_view
  FROM claimed c
  JOIN {schema}.projection_generations g ON g.generation_no = c.generation_no
  JOIN {schema}.projections p ON p.projection_no = g.projection_no
 ORDER BY c.generation_no;

-- name: renew_projections
-- Keeps the generations $1 with the leases $2 for another $3. Those under a batch are left out,
-- which renews them itself.
WITH mine AS (
    SELECT p.generation_no FROM {schema}.projection_progress p
      JOIN unnest($1::bigint[], $2::bigint[]) AS m (generation_no, lease)
        ON m.generation_no = p.generation_no AND m.lease = p.lease
     ORDER BY p.generation_no FOR UPDATE OF p SKIP LOCKED
)
UPDATE {schema}.projection_progress p SET lease_until = clock_timestamp() + $3
  FROM mine m WHERE p.generation_no = m.generation_no;

-- name: release_projections
-- Gives the generations $1 with the leases $2 back.
UPDATE {schema}.projection_progress p SET lease_until = NULL
  FROM unnest($1::bigint[], $2::bigint[]) AS m (generation_no, lease)
 WHERE m.generation_no = p.generation_no AND m.lease = p.lease;

-- name: projection_caught_up
-- Notes that the generation $1 has caught up, for who has the lease $2.
UPDATE {schema}.projection_generations g SET state = 2, caught_up_at = clock_timestamp()
  FROM {schema}.projection_progress q
 WHERE g.generation_no = $1 AND g.state = 1 AND q.generation_no = g.generation_no AND q.lease = $2;

-- name: projection_waiting
-- What the generation $1 waits for before queries see it, for who has the lease $2.
SELECT g.switch, p.active IS NOT NULL AS has_active,
       (g.verification ->> 'keys_differing')::bigint AS keys_differing
  FROM {schema}.projection_generations g
  JOIN {schema}.projection_progress q ON q.generation_no = g.generation_no
  JOIN {schema}.projections p ON p.projection_no = g.projection_no
 WHERE g.generation_no = $1 AND g.state = 2 AND q.lease = $2;

-- name: clock
-- PostgreSQL's clock.
SELECT clock_timestamp();

-- fragment: event
-- The columns of an event behind the name of its stream.
e.version, e.position, e.event_id, e.type, e.data, e.metadata, e.tags, e.recorded_at,
       e.occurred_at, e.writer, e.flags, e.copied_from, e.cancels, e.trace_context,
       e.deleted_at IS NOT NULL AS deleted

-- fragment: brief
-- The same for folds that read nothing of the envelope: what they do not need is not sent. The
-- metadata of an event that passed no check is checked again.
NULL::text AS stream, e.version, e.position, e.event_id, e.type, e.data,
       CASE WHEN e.flags & 1 = 0 THEN e.metadata END AS metadata, NULL::text[] AS tags,
       e.recorded_at, NULL::timestamptz AS occurred_at, '' AS writer, e.flags,
       NULL::uuid AS copied_from, NULL::uuid AS cancels, NULL::text AS trace_context,
       e.deleted_at IS NOT NULL AS deleted

-- fragment: named
-- The number of the stream $1.
(SELECT s.stream_no FROM {schema}.streams s WHERE s.name = $1::text)

-- fragment: until
-- Events up to position $5, recorded at or before $6 and occurred at or before $7 (NULL: any).
-- Times come as texts: the driver would write the first and the last microsecond of its calendar as
-- -infinity and infinity.
($5::bigint IS NULL OR e.position <= $5)
   AND ($6::text IS NULL OR e.recorded_at <= $6::text::timestamptz)
   AND ($7::text IS NULL OR e.occurred_at <= $7::text::timestamptz)

-- name: stream_head
-- What a read must know of the stream $1, and where it ends, as far as that is known before: at the
-- stream's version or at $2, whichever is less, $3 before that, but not before $4. The pairs of the
-- resume token: position and id there, and at the distances $5 before it.
SELECT s.stream_no, s.version, s.lifecycle, e.version AS end_version,
       (SELECT string_agg(int8send(p.position) || uuid_send(p.event_id), ''
                          ORDER BY p.position DESC)
          FROM {schema}.events p
         WHERE p.position = ANY (ARRAY(SELECT e.position - d FROM unnest($5::bigint[]) AS d)))
       AS end_pairs
  FROM {schema}.streams s
  LEFT JOIN {schema}.events e
         ON e.stream_no = s.stream_no
        AND e.version = greatest(least(s.version, $2::bigint) - $3::bigint, $4::bigint)
 WHERE s.name = $1::text;

-- name: stream_begin
-- The first page of the stream named $1, as `stream_page`.
SELECT NULL::text AS stream, {event}
  FROM {schema}.events e
 WHERE e.stream_no = {named} AND e.version BETWEEN $2::bigint AND $3::bigint
   AND ($5::text[] IS NULL OR e.type = ANY ($5))
   AND ($6::text[] IS NULL OR e.tags @> $6)
 ORDER BY e.version LIMIT $4::bigint;

-- name: stream_begin_backwards
-- The same from version $3 down to $2.
SELECT NULL::text AS stream, {event}
  FROM {schema}.events e
 WHERE e.stream_no = {named} AND e.version BETWEEN $2::bigint AND $3::bigint
   AND ($5::text[] IS NULL OR e.type = ANY ($5))
   AND ($6::text[] IS NULL OR e.tags @> $6)
 ORDER BY e.version DESC LIMIT $4::bigint;

-- name: stream_page
-- Events of the stream $1, versions $2 to $3, forwards. $5: types, $6: tags (all of them), each
-- NULL for no demand.
SELECT NULL::text AS stream, {event}
  FROM {schema}.events e
 WHERE e.stream_no = $1::bigint AND e.version BETWEEN $2::bigint AND $3::bigint
   AND ($5::text[] IS NULL OR e.type = ANY ($5))
   AND ($6::text[] IS NULL OR e.tags @> $6)
 ORDER BY e.version LIMIT $4::bigint;

-- name: stream_page_backwards
-- The same from version $3 down to $2.
SELECT NULL::text AS stream, {event}
  FROM {schema}.events e
 WHERE e.stream_no = $1::bigint AND e.version BETWEEN $2::bigint AND $3::bigint
   AND ($5::text[] IS NULL OR e.type = ANY ($5))
   AND ($6::text[] IS NULL OR e.tags @> $6)
 ORDER BY e.version DESC LIMIT $4::bigint;

-- name: fold_begin
-- The first events that a hydration of the stream named $1 reads.
SELECT NULL::text AS stream, {event}
  FROM {schema}.events e
 WHERE e.stream_no = {named} AND e.version BETWEEN $2::bigint AND $3::bigint
 ORDER BY e.version LIMIT $4::bigint;

-- name: fold_rest
-- The events behind them, by the number of the stream.
SELECT NULL::text AS stream, {event}
  FROM {schema}.events e
 WHERE e.stream_no = $1::bigint AND e.version BETWEEN $2::bigint AND $3::bigint
 ORDER BY e.version LIMIT $4::bigint;

-- name: fold_begin_brief
SELECT {brief}
  FROM {schema}.events e
 WHERE e.stream_no = {named} AND e.version BETWEEN $2::bigint AND $3::bigint
 ORDER BY e.version LIMIT $4::bigint;

-- name: fold_rest_brief
SELECT {brief}
  FROM {schema}.events e
 WHERE e.stream_no = $1::bigint AND e.version BETWEEN $2::bigint AND $3::bigint
 ORDER BY e.version LIMIT $4::bigint;

-- name: fold_begin_until
-- As `fold_begin`, for states in time.
SELECT NULL::text AS stream, {event}
  FROM {schema}.events e
 WHERE e.stream_no = {named} AND e.version BETWEEN $2::bigint AND $3::bigint AND {until}
 ORDER BY e.version LIMIT $4::bigint;

-- name: fold_rest_until
-- As `fold_rest`, for states in time.
SELECT NULL::text AS stream, {event}
  FROM {schema}.events e
 WHERE e.stream_no = $1::bigint AND e.version BETWEEN $2::bigint AND $3::bigint AND {until}
 ORDER BY e.version LIMIT $4::bigint;

-- fragment: logged
-- Events of the log, positions $2 to $3. $1: with system events.
SELECT s.name AS stream, {event}
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.position BETWEEN $2::bigint AND $3::bigint
   AND ($1::boolean OR e.category < '$' OR e.category >= '%')

-- fragment: filtered
-- $5: categories, $6: types, $7: tags (all of them), each NULL for no demand.
AND ($5::text[] IS NULL OR e.category = ANY ($5))
   AND ($6::text[] IS NULL OR e.type = ANY ($6))
   AND ($7::text[] IS NULL OR e.tags @> $7)

-- name: log_page
-- All of them, forwards. In a statement without the filters: with these PostgreSQL expects so few
-- events that it does not remember the names of streams from one event to the next.
{logged} ORDER BY e.position LIMIT $4::bigint;

-- name: log_page_backwards
-- The same from position $3 down to $2.
{logged} ORDER BY e.position DESC LIMIT $4::bigint;

-- name: log_page_filtered
-- Those that pass the filters, forwards.
{logged} {filtered} ORDER BY e.position LIMIT $4::bigint;

-- name: log_page_filtered_backwards
-- The same from position $3 down to $2.
{logged} {filtered} ORDER BY e.position DESC LIMIT $4::bigint;

-- name: categories_page
-- Events of the categories $1, each there once, positions $2 to $3, forwards. $5: types, $6: tags
-- (all of them), each NULL for no demand. First the positions alone, from the index of categories:
-- rows are compared, so that the planner cannot take the index of positions, which has all other
-- categories too. Lookups stand in subqueries that it cannot turn into joins.
SELECT (SELECT s.name FROM {schema}.streams s WHERE s.stream_no = e.stream_no) AS stream, {event}
  FROM (SELECT p.position
          FROM unnest($1::text[]) AS c (category)
          CROSS JOIN LATERAL
               (SELECT v.position FROM {schema}.events v
                 WHERE (v.category, v.position) >= (c.category, $2::bigint)
                   AND (v.category, v.position) <= (c.category, $3::bigint)
                   AND ($5::text[] IS NULL OR v.type = ANY ($5))
                   AND ($6::text[] IS NULL OR v.tags @> $6)
                 ORDER BY v.category, v.position LIMIT $4::bigint) p
         ORDER BY p.position LIMIT $4::bigint) q
  CROSS JOIN LATERAL
       (SELECT * FROM {schema}.events x WHERE x.position = q.position OFFSET 0) e
 ORDER BY q.position;

-- name: tail_page
-- Events of the log, positions $2 to $3, if the event at position $5 (0: none) still has the id $1:
-- in one snapshot with them, so that they cannot be those of another log.
SELECT s.name AS stream, {event}
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.position BETWEEN $2::bigint AND $3::bigint
   AND ($5::bigint = 0
        OR $1::uuid = (SELECT k.event_id FROM {schema}.events k WHERE k.position = $5))
 ORDER BY e.position LIMIT $4::bigint;

-- name: events_at
-- The events at the positions $1, which lie between $2 and $3, in order.
SELECT s.name AS stream, {event}
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.position = ANY ($1::bigint[]) AND e.position BETWEEN $2::bigint AND $3::bigint
 ORDER BY e.position LIMIT $4::bigint;

-- name: event
-- The event with the id $1.
SELECT s.name AS stream, {event}
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.event_id = $1::uuid AND e.version BETWEEN $2::bigint AND $3::bigint LIMIT $4::bigint;

-- name: streams_events
-- Events of several streams: of the stream $1 the versions $2 to $3, an element of the arrays each;
-- streams in the order of the arrays.
SELECT s.name AS stream, {event}
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY
       AS a (stream_no, lower, upper, n)
  JOIN {schema}.streams s ON s.stream_no = a.stream_no
  CROSS JOIN LATERAL (SELECT * FROM {schema}.events v
                       WHERE v.stream_no = a.stream_no AND v.version BETWEEN a.lower AND a.upper
                       ORDER BY v.version LIMIT $4::bigint) e
 ORDER BY a.n, e.version LIMIT $4::bigint;
