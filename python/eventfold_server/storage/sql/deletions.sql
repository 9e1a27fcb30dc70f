-- Deletions of streams: what would go, the jobs, and what they have to clean up.

-- name: line_stream
SELECT s.stream_no, s.name, s.category, s.version, s.lifecycle, s.root
  FROM {schema}.streams s WHERE s.name = $1;

-- name: line_streams
-- The streams of the lines $1, told by their first streams.
SELECT s.stream_no, s.name, s.category, s.version, s.lifecycle, s.root
  FROM (SELECT x.* FROM {schema}.streams x WHERE x.name = ANY ($1::text[])
        UNION
        SELECT x.* FROM {schema}.streams x
         WHERE x.root = ANY ($1::text[]) AND x.predecessor IS NOT NULL) s
 ORDER BY s.name;

-- name: hold_appends
-- Holds up appends until the transaction ends; the head of the log.
SELECT c.position FROM {schema}.counter c FOR UPDATE;

-- name: deletion_counts
-- Of the streams $1: kept states.
SELECT count(*) AS kept_states FROM {schema}.kept_states k WHERE k.stream_no = ANY ($1::bigint[]);

-- name: deletion_referrers
-- Events of other streams than $1 (names $2) that refer to these streams, or to events of them: how
-- many.
SELECT count(DISTINCT r.position) AS referrers
  FROM (SELECT 's:' || n.name AS target FROM unnest($2::text[]) AS n (name)
        UNION ALL
        SELECT 'e:' || e.event_id::text FROM unnest($1::bigint[]) AS n (stream_no)
          JOIN {schema}.events e ON e.stream_no = n.stream_no) t
  JOIN {schema}.event_references r ON r.target = t.target
  JOIN {schema}.events x ON x.position = r.position
 WHERE x.stream_no <> ALL ($1::bigint[]);

-- name: deletion_copies
-- Streams beside $1 that hold copies of events of these, in byte order; $2 of them.
SELECT s.name
  FROM (SELECT DISTINCT c.stream_no
          FROM unnest($1::bigint[]) AS n (stream_no)
          JOIN {schema}.events e ON e.stream_no = n.stream_no
          JOIN {schema}.events c ON c.copied_from = e.event_id
         WHERE c.stream_no <> ALL ($1::bigint[])) q
  JOIN {schema}.streams s ON s.stream_no = q.stream_no
 WHERE s.lifecycle <> 3 ORDER BY s.name LIMIT $2;

-- name: begin_deletion
SELECT {schema}.deletion_begin_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- fragment: deletion
-- A job as it is shown.
d.deletion_no, d.deletion_id, d.stream, d.reason, d.digest, d.state, d.position, d.events,
       d.kept_states, d.rows, d.waiting, d.requested_at, d.requested_by, d.emptied_at, d.ended_at,
       n.streams, n.events_in_all
  FROM {schema}.deletions d
 CROSS JOIN LATERAL (SELECT count(*) AS streams, coalesce(sum(s.version), 0)::bigint
                            AS events_in_all
                       FROM {schema}.deletion_streams s WHERE s.deletion_no = d.deletion_no) n

-- name: deletion
SELECT {deletion} WHERE d.deletion_id = $1;

-- name: deletions_page
-- Jobs whose number is below $1, the newest first, $2 of them; $3: only those that have deleted
-- this stream, NULL: any.
SELECT {deletion}
 WHERE d.deletion_no < $1
   AND ($3::text IS NULL
        OR d.deletion_no = (SELECT s.deletion_no FROM {schema}.streams x
                              JOIN {schema}.deletion_streams s ON s.stream_no = x.stream_no
                             WHERE x.name = $3))
 ORDER BY d.deletion_no DESC LIMIT $2;

-- name: deletion_streams_page
-- Streams of the job $1 behind the name $2, in byte order, $3 of them.
SELECT s.stream_no, s.stream, s.root, s.owner, s.rule, s.version FROM {schema}.deletion_streams s
 WHERE s.deletion_no = $1 AND s.stream > $2 ORDER BY s.stream LIMIT $3;

-- name: deletion_detached
-- Links that the job $1 has dropped.
SELECT t.stream, t.owner, t.rule FROM {schema}.deletion_detached t
 WHERE t.deletion_no = $1 ORDER BY t.stream, t.owner, t.rule;

-- name: claim_deletions
-- Takes jobs that are not done and that nobody has for $1: half of them, so that several servers
-- that look at once share them. Not those in $2, at which this process failed a moment ago.
WITH free AS (
    SELECT d.deletion_no FROM {schema}.deletions d
     WHERE d.state < 4 AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())
       AND d.deletion_no <> ALL ($2::bigint[])
), taken AS (
    SELECT d.deletion_no FROM {schema}.deletions d
     WHERE d.deletion_no IN (SELECT deletion_no FROM free)
       AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())
     ORDER BY d.deletion_no LIMIT (SELECT (count(*) + 1) / 2 FROM free)
       FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.deletions d
   SET lease = d.lease + 1, lease_until = clock_timestamp() + $1
  FROM taken t WHERE d.deletion_no = t.deletion_no
RETURNING d.deletion_no AS number, d.lease, d.deletion_id, d.stream, d.reason, d.requested_by;

-- name: renew_deletions
UPDATE {schema}.deletions d SET lease_until = clock_timestamp() + $3
  FROM unnest($1::bigint[], $2::bigint[]) AS a (number, lease)
 WHERE d.deletion_no = a.number AND d.lease = a.lease;

-- name: release_deletions
UPDATE {schema}.deletions d SET lease_until = NULL
  FROM unnest($1::bigint[], $2::bigint[]) AS a (number, lease)
 WHERE d.deletion_no = a.number AND d.lease = a.lease;

-- name: deletion_stage
-- Where the job $1 is, for who has the lease $2; no row: somebody else has it.
SELECT d.state, d.generation_mark FROM {schema}.deletions d
 WHERE d.deletion_no = $1 AND d.lease = $2;

-- name: deletion_noted
-- The job $1 is in $audit; its payloads are next.
UPDATE {schema}.deletions d SET state = 2
 WHERE d.deletion_no = $1 AND d.lease = $2 AND d.state = 1 RETURNING d.state;

-- name: delete_payloads
SELECT events, done FROM {schema}.delete_payloads_v1($1, $2, $3);

-- name: deletion_emptied
-- The payloads of the job $1 are gone: generations with a number from here on never saw them.
UPDATE {schema}.deletions d
   SET state = 3, emptied_at = clock_timestamp(),
       generation_mark = nextval('{schema}.projection_numbers')
 WHERE d.deletion_no = $1 AND d.lease = $2 AND d.state = 2 RETURNING d.state;

-- name: deletion_cleaned
-- Notes what cleaning up for the job $1 came to: kept states $3 and rows $4 that were dropped, and
-- the projections $5 that are waited for.
UPDATE {schema}.deletions d
   SET kept_states = d.kept_states + $3, rows = d.rows + $4, waiting = $5
 WHERE d.deletion_no = $1 AND d.lease = $2 AND d.state = 3 RETURNING d.state;

-- name: deletion_done
UPDATE {schema}.deletions d SET state = 4, ended_at = clock_timestamp(), waiting = '{}'
 WHERE d.deletion_no = $1 AND d.lease = $2 AND d.state = 3 RETURNING d.state;

-- name: deletions_since
-- Streams of jobs whose number is above $1, by number of the job, $2 of them: what other servers
-- forget.
SELECT s.deletion_no, s.stream FROM {schema}.deletion_streams s
 WHERE s.deletion_no > $1 ORDER BY s.deletion_no LIMIT $2;

-- name: drop_kept_states_of
SELECT {schema}.drop_kept_states_v1($1) AS dropped;

-- name: touched_events
-- What events of the streams $1 are, or of those only the ones at the positions $2 (NULL: all):
-- their types and categories, the position of the first, and whether others refer to one of them or
-- to one of the streams.
SELECT coalesce(array_agg(DISTINCT e.type), '{}') AS types,
       coalesce(array_agg(DISTINCT e.category), '{}') AS categories,
       min(e.position) AS first_position,
       coalesce(bool_or(EXISTS (SELECT FROM {schema}.event_references r
                                 WHERE r.target = 'e:' || e.event_id::text)), false)
       OR EXISTS (SELECT FROM {schema}.streams s
                    JOIN {schema}.event_references r ON r.target = 's:' || s.name
                   WHERE s.stream_no = ANY ($1::bigint[])) AS referred
  FROM unnest($1::bigint[]) AS n (stream_no)
  JOIN {schema}.events e ON e.stream_no = n.stream_no
 WHERE $2::bigint[] IS NULL OR e.position = ANY ($2);

-- name: generation_at
-- Position of the generation $1; no row: it is gone.
SELECT p.position FROM {schema}.projection_progress p WHERE p.generation_no = $1;
