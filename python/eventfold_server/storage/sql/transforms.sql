-- Copy-transforms: documents, progress, leases, and the events that they read.

-- name: insert_transform
-- A job that nobody has yet; it is told to others by its id $1.
WITH t AS (
    INSERT INTO {schema}.transforms (transform_id, name, source, digest, dry_run, states_max,
                                     started_by, target)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING transform_no
)
INSERT INTO {schema}.transform_progress (transform_no) SELECT transform_no FROM t;

-- fragment: transform
-- A transform with its progress: what is shown of it.
t.transform_no, t.transform_id, t.name, t.source, t.digest, t.dry_run, t.state, t.states_max,
       t.cutover_ms_max, t.held_ms, t.failure, t.trial, t.counts, t.states, t.started_at,
       t.started_by, t.caught_up_at, t.verified_at, t.cut_over_at, t.ended_at, t.target, t.waiting,
       q.tried, q.position, q.verified, q.events_read, q.events_written, q.events_verified,
       (SELECT c.position FROM {schema}.counter c) AS head,
       (SELECT count(*) FROM {schema}.transform_sources s
         WHERE s.transform_no = t.transform_no) AS sources,
       (SELECT count(*) FROM {schema}.transform_sources s
         WHERE s.transform_no = t.transform_no AND s.closure > 0) AS sources_closed,
       (SELECT count(*) FROM {schema}.transform_sources s
         WHERE s.transform_no = t.transform_no AND s.successor IS NOT NULL) AS successors,
       (SELECT count(*) FROM {schema}.transform_targets k
         WHERE k.transform_no = t.transform_no) AS targets,
       (SELECT count(*) FROM {schema}.transform_targets k
         WHERE k.transform_no = t.transform_no AND k.verified_version = k.version
           AND k.source_hash = k.target_hash) AS targets_equal
  FROM {schema}.transforms t
  JOIN {schema}.transform_progress q ON q.transform_no = t.transform_no

-- name: transform
-- The transform with the id $1.
SELECT {transform} WHERE t.transform_id = $1;

-- name: transforms_page
-- Transforms whose number is below $1, the newest first, $2 of them.
SELECT {transform} WHERE t.transform_no < $1 ORDER BY t.transform_no DESC LIMIT $2;

-- name: transform_streams
-- Sources of the transform $1 behind the name $2, in byte order, $3 of them, each with its targets.
SELECT s.stream, s.version, s.closure, s.successor,
       ARRAY(SELECT l.target FROM {schema}.transform_links l
              WHERE l.transform_no = s.transform_no AND l.source = s.stream
              ORDER BY l.target LIMIT $4) AS targets,
       (SELECT count(*) FROM {schema}.transform_links l
         WHERE l.transform_no = s.transform_no AND l.source = s.stream) AS targets_in_all
  FROM {schema}.transform_sources s
 WHERE s.transform_no = $1 AND s.stream > $2 ORDER BY s.stream LIMIT $3;

-- name: transform_targets
-- Targets of the transform $1 behind the name $2, in byte order, $3 of them.
SELECT k.stream, k.version, k.verified_version, k.source_hash, k.target_hash,
       (SELECT count(*) FROM {schema}.transform_links l
         WHERE l.transform_no = k.transform_no AND l.target = k.stream) AS sources
  FROM {schema}.transform_targets k
 WHERE k.transform_no = $1 AND k.stream > $2 ORDER BY k.stream LIMIT $3;

-- name: move_transform
SELECT {schema}.transform_move_v1($1, $2, $3, $4, $5) AS state;

-- name: claim_transforms
-- Takes transforms that have something to do and that nobody has for $1: half of them, so that
-- several servers that look at once share them. Not those in $2, at which this process failed a
-- moment ago.
WITH free AS (
    SELECT p.transform_no FROM {schema}.transform_progress p
      JOIN {schema}.transforms t ON t.transform_no = p.transform_no
     WHERE t.state IN (1, 3, 4, 5, 6, 7, 9)
       AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())
       AND p.transform_no <> ALL ($2::bigint[])
), taken AS (
    SELECT p.transform_no FROM {schema}.transform_progress p
     WHERE p.transform_no IN (SELECT transform_no FROM free)
       AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())
     ORDER BY p.transform_no LIMIT (SELECT (count(*) + 1) / 2 FROM free)
       FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {schema}.transform_progress p
       SET lease = nextval('{schema}.transform_leases'), lease_until = clock_timestamp() + $1
      FROM taken c WHERE p.transform_no = c.transform_no
    RETURNING p.transform_no, p.lease
)
SELECT c.transform_no AS number, c.lease, t.transform_id, t.name, t.source, t.dry_run, t.started_by,
       t.target, t.target_store
  FROM claimed c JOIN {schema}.transforms t ON t.transform_no = c.transform_no
 ORDER BY c.transform_no;

-- name: renew_transforms
-- Keeps the transforms $1 with the leases $2 for another $3. Those under a chunk are left out,
-- which renews them itself.
WITH mine AS (
    SELECT p.transform_no FROM {schema}.transform_progress p
      JOIN unnest($1::bigint[], $2::bigint[]) AS m (transform_no, lease)
        ON m.transform_no = p.transform_no AND m.lease = p.lease
     ORDER BY p.transform_no FOR UPDATE OF p SKIP LOCKED
)
UPDATE {schema}.transform_progress p SET lease_until = clock_timestamp() + $3
  FROM mine m WHERE p.transform_no = m.transform_no;

-- name: release_transforms
-- Gives the transforms $1 with the leases $2 back.
UPDATE {schema}.transform_progress p SET lease_until = NULL
  FROM unnest($1::bigint[], $2::bigint[]) AS m (transform_no, lease)
 WHERE m.transform_no = p.transform_no AND m.lease = p.lease;

-- name: transform_stage
-- Where the transform $1 is, for who has the lease $2; no row: somebody else has it.
SELECT t.state, t.cutover_ms_max, t.trial, t.counts, t.states, t.states_max, t.held_ms,
       q.tried, q.position, q.verified
  FROM {schema}.transforms t
  JOIN {schema}.transform_progress q ON q.transform_no = t.transform_no
 WHERE t.transform_no = $1 AND q.lease = $2;

-- name: transform_tried
-- Notes for the transform $1 with the lease $2 that it was tried up to position $4, and $5, what
-- that came to; and that another $3 milliseconds are its own.
WITH mine AS (
    UPDATE {schema}.transform_progress p
       SET tried = $4, lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
     WHERE p.transform_no = $1 AND p.lease = $2
    RETURNING p.transform_no
)
UPDATE {schema}.transforms t SET trial = $5::text::jsonb
  FROM mine m WHERE t.transform_no = m.transform_no
RETURNING t.transform_no;

-- name: transform_reached
-- Moves the transform $1 with the lease $2 from the state $3 to $4. $5: why it failed. One that
-- fails with nothing copied leaves no categories of which readers would have to say something.
WITH needless AS (
    DELETE FROM {schema}.transform_categories g USING {schema}.transform_progress p
     WHERE $4 = 11 AND g.transform_no = $1 AND p.transform_no = $1 AND p.lease = $2
       AND p.events_written = 0
)
UPDATE {schema}.transforms t
   SET state = $4::smallint, failure = coalesce($5::text::jsonb, t.failure),
       ends = CASE WHEN $4 = 9 THEN 11 ELSE t.ends END,
       caught_up_at = CASE WHEN $4 = 4 THEN clock_timestamp() ELSE t.caught_up_at END,
       verified_at = CASE WHEN $4 = 5 THEN clock_timestamp() ELSE t.verified_at END,
       cut_over_at = CASE WHEN $4 = 8 THEN clock_timestamp() ELSE t.cut_over_at END,
       ended_at = CASE WHEN $4 IN (2, 8, 10, 11) THEN clock_timestamp() ELSE t.ended_at END
  FROM {schema}.transform_progress p
 WHERE t.transform_no = $1 AND p.transform_no = $1 AND p.lease = $2 AND t.state = $3::smallint
RETURNING t.state;

-- name: note_transform_categories
-- Notes which categories the transform $1 reads, $2, and writes into, $3.
INSERT INTO {schema}.transform_categories (transform_no, category, is_source, is_target)
SELECT $1, c.category, c.category = ANY ($2::text[]), c.category = ANY ($3::text[])
  FROM (SELECT DISTINCT u.category FROM unnest($2::text[] || $3::text[]) AS u (category)) c
    ON CONFLICT (transform_no, category) DO NOTHING;

-- name: transform_circle
-- The first of the categories $1 that transforms under way, but for $3, would write what is written
-- into $2, from one to the next; no row: there is none. The log as a source leaves copies out.
WITH RECURSIVE live AS (
    SELECT c.* FROM {schema}.transform_categories c
      JOIN {schema}.transforms t ON t.transform_no = c.transform_no
     WHERE t.state IN (1, 3, 4, 5, 6, 7) AND t.transform_no <> $3
), reached AS (
    SELECT u.category COLLATE "C" FROM unnest($2::text[]) AS u (category)
     UNION
    SELECT k.category FROM reached r
      JOIN live s ON s.is_source AND s.category = r.category
      JOIN live k ON k.is_target AND k.transform_no = s.transform_no
)
SELECT r.category FROM reached r WHERE r.category = ANY ($1::text[])
 ORDER BY r.category COLLATE "C" LIMIT 1;

-- name: transform_compared
-- Notes what comparing states came to.
UPDATE {schema}.transforms t SET states = $3::text::jsonb
  FROM {schema}.transform_progress p
 WHERE t.transform_no = $1 AND p.transform_no = $1 AND p.lease = $2
RETURNING t.transform_no;

-- name: transform_append
-- Times come as texts: the driver would write the first and the last microsecond of its calendar as
-- -infinity and infinity.
SELECT outcome, stream, expected, actual, head, catalogue_version
  FROM {schema}.transform_append_v2($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, $11, $12,
                                    $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
                                    $24::text[]::timestamptz[], $25, $26, $27, $28, $29, $30, $31,
                                    $32);

-- name: transform_sent
SELECT {schema}.transform_sent_v1($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, $11, $12,
                                  $13, $14) AS mine;

-- name: transform_target_versions
-- Up to which versions the transform $1 has written its targets $2.
SELECT k.stream, k.version FROM {schema}.transform_targets k
 WHERE k.transform_no = $1 AND k.stream = ANY ($2::text[]);

-- name: transform_waits
-- Notes for the transform $1 with the lease $2 why it waits for another server, NULL: it does not;
-- no row: somebody else has it.
UPDATE {schema}.transforms t SET waiting = $3
  FROM {schema}.transform_progress p
 WHERE t.transform_no = $1 AND p.transform_no = $1 AND p.lease = $2
RETURNING t.transform_no;

-- name: transform_target_store
-- Notes for the transform $1 with the lease $2 which store the other server has; no row: somebody
-- else has it.
UPDATE {schema}.transforms t SET target_store = $3
  FROM {schema}.transform_progress p
 WHERE t.transform_no = $1 AND p.transform_no = $1 AND p.lease = $2
RETURNING t.transform_no;

-- name: versions_of
-- At which versions those of the streams $1 are that are there.
SELECT s.name, s.version FROM {schema}.streams s WHERE s.name = ANY ($1::text[]);

-- name: transform_hold
SELECT {schema}.transform_hold_v1($1, $2, $3) AS head;

-- name: transform_close
SELECT {schema}.transform_close_v1($1, $2) AS sources_left;

-- name: transform_held
-- Notes how long a chunk of the cut-over of the transform $1 has held up appends: $2 milliseconds.
UPDATE {schema}.transforms t SET held_ms = greatest(t.held_ms, $2::integer)
 WHERE t.transform_no = $1;

-- name: transform_verified
SELECT {schema}.transform_verified_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS mine;

-- name: transform_verified_targets
-- How far the targets $2 of the transform $1 were compared.
SELECT k.stream, k.verified_version, k.source_hash, k.target_hash
  FROM {schema}.transform_targets k WHERE k.transform_no = $1 AND k.stream = ANY ($2::text[]);

-- name: transform_differing
-- The first target of the transform $1 that holds other events than were compared; no row: none.
SELECT k.stream, k.verified_version AS expected, s.version AS actual
  FROM {schema}.transform_targets k JOIN {schema}.streams s ON s.name = k.stream
 WHERE k.transform_no = $1 AND k.verified_version <> s.version ORDER BY k.stream LIMIT 1;

-- name: transform_succeed
SELECT {schema}.transform_succeed_v1($1, $2, $3, $4) AS last_stream;

-- name: transform_undo
SELECT {schema}.transform_undo_v1($1, $2, $3) AS done;

-- name: transform_existing
-- Those of the streams $1 that are there, in byte order, the first of them.
SELECT s.name FROM {schema}.streams s WHERE s.name = ANY ($1::text[]) ORDER BY s.name LIMIT 1;

-- fragment: paired
-- Of the transform $1 the sources q that went into one target k alone, which came from them alone.
{schema}.transform_sources q
  JOIN {schema}.transform_links l ON l.transform_no = q.transform_no AND l.source = q.stream
  JOIN {schema}.transform_targets k ON k.transform_no = l.transform_no AND k.stream = l.target
 WHERE q.transform_no = $1
   AND NOT EXISTS (SELECT FROM {schema}.transform_links o
                    WHERE o.transform_no = q.transform_no AND o.source = q.stream
                      AND o.target <> l.target)
   AND NOT EXISTS (SELECT FROM {schema}.transform_links o
                    WHERE o.transform_no = q.transform_no AND o.target = l.target
                      AND o.source <> l.source)

-- name: transform_pairs
-- Those behind the source $2, in byte order, $3 of them: how far both were copied.
SELECT q.stream AS source, q.version AS source_version, k.stream AS target,
       k.version AS target_version
  FROM {paired} AND q.stream > $2 ORDER BY q.stream LIMIT $3;

-- name: transform_pairs_count
SELECT count(*) AS pairs FROM {paired};

-- fragment: transform_event
-- The columns of an event, and the root of its stream.
stream, version, position, event_id, type, data, metadata, tags, recorded_at, occurred_at,
       writer, flags, copied_from, cancels, trace_context, deleted, sealed_paths,
       root_name

-- name: transform_categories_page
-- Events of the categories $1, each there once, positions $2 to $3, $4 at the most.
SELECT {transform_event} FROM {schema}.transform_page_v2(1, $1::text[], $2::bigint, $3::bigint, $4);

-- name: transform_streams_page
-- The same of the streams $1.
SELECT {transform_event} FROM {schema}.transform_page_v2(2, $1::text[], $2::bigint, $3::bigint, $4);

-- name: transform_log_page
-- The same of the log, but the system's, copies, and those of the categories $1.
SELECT {transform_event} FROM {schema}.transform_page_v2(3, $1::text[], $2::bigint, $3::bigint, $4);

-- name: transform_copies
-- The same with the ids $1.
SELECT {transform_event} FROM {schema}.transform_page_v2(4, $1::text[], $2::bigint, $3::bigint, $4);
