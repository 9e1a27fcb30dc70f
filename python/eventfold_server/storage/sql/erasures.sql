-- Erasures of subjects: what would go, the jobs, and legal holds.

-- name: personal_category
-- Whether all that events of the category $1 hold is personal.
SELECT FROM {schema}.privacy_rules p WHERE p.category = $1 AND p.dropped_version IS NULL;

-- name: plaintext_rules
-- Rules that were put although stored events held plaintext, by type and category; the newest
-- revisions last.
SELECT p.type, p.category, p.normal_form, p.plaintext_until FROM {schema}.privacy_rules p
 WHERE p.plaintext_until > 0 ORDER BY p.type, p.category, p.revision;

-- name: erasure_plaintext
-- Events of the type $1 or the category $2 up to the position $3 that hold plaintext of the subject
-- $4 at the pointers $5, whose subjects stand at $6 with the categories $7 (NULL: the root).
SELECT count(*) AS events
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE (e.type = $1::text OR e.category = $2::text) AND e.position <= $3
   AND e.deleted_at IS NULL AND e.flags & 1 <> 0
   AND EXISTS (SELECT FROM unnest($5::text[], $6::text[], $7::text[]) AS f (pointer, at, category)
                WHERE NOT EXISTS (SELECT FROM unnest(e.sealed_paths) AS p (path)
                                   WHERE p.path LIKE replace(replace(replace(replace(
                                             f.pointer, '\', '\\'), '_', '\_'), '%', '\%'),
                                             '*', '%'))
                  AND CASE WHEN f.at IS NULL THEN s.root = $4
                           ELSE $4 IN (SELECT coalesce(f.category || '-', '') || v.value
                                         FROM {schema}.link_values_v1(
                                                  e.data, {schema}.pointer_parts_v1(f.at))
                                              AS v (value)) END
                  AND {schema}.json_has_v1(e.data, {schema}.pointer_parts_v1(f.pointer)));

-- name: erasure_events
-- Of the events with sealed values of the subjects $1: in how many streams they are, and how many
-- states are kept of these.
SELECT count(*) AS streams, coalesce(sum(q.kept), 0)::bigint AS kept_states
  FROM (SELECT n.stream_no, (SELECT count(*) FROM {schema}.kept_states k
                              WHERE k.stream_no = n.stream_no) AS kept
          FROM (SELECT DISTINCT e.stream_no FROM {schema}.subject_events s
                  JOIN {schema}.events e ON e.position = s.position AND e.sealed_paths IS NOT NULL
                 WHERE s.subject_id = ANY ($1::uuid[])) n) q;

-- name: holds_on_subject
-- Legal holds on the subject with the hash $1, on lines of the streams $3, and on lines with sealed
-- values of the subjects $2.
SELECT h.name, h.stream FROM {schema}.legal_holds h
 WHERE h.subject_hash = $1::bytea OR h.stream = ANY ($3::text[])
    OR EXISTS (SELECT FROM {schema}.streams s
                 JOIN {schema}.events e ON e.stream_no = s.stream_no AND e.sealed_paths IS NOT NULL
                 JOIN {schema}.subject_events q ON q.position = e.position
                WHERE s.root = h.stream AND q.subject_id = ANY ($2::uuid[]))
 ORDER BY h.name;

-- name: holds_on_streams
-- Legal holds on lines of the streams $1, and on subjects with the hashes $2.
SELECT h.name, h.stream FROM {schema}.legal_holds h
 WHERE h.stream = ANY ($1::text[]) OR h.subject_hash = ANY ($2::bytea[]) ORDER BY h.name;

-- name: put_legal_hold
-- Holds the subject with the hash $2 or the line of the stream $3 under the name $1; `held`: no row
-- yet of that name, or the same. $6 is how many there may be.
INSERT INTO {schema}.legal_holds AS h (name, subject_hash, stream, reason, put_by)
SELECT $1, $2::bytea, coalesce((SELECT s.root FROM {schema}.streams s WHERE s.name = $3::text), $3),
       $4, $5
 WHERE (SELECT count(*) FROM {schema}.legal_holds) < $6
    ON CONFLICT (name) DO NOTHING
RETURNING h.name;

-- name: legal_hold
SELECT h.name, h.subject_hash, h.stream, h.reason, h.put_at, h.put_by
  FROM {schema}.legal_holds h WHERE h.name = $1;

-- name: legal_holds_page
-- Legal holds named above $1, in byte order, $2 of them.
SELECT h.name, h.subject_hash, h.stream, h.reason, h.put_at, h.put_by
  FROM {schema}.legal_holds h WHERE h.name > $1 ORDER BY h.name LIMIT $2;

-- name: release_legal_hold
DELETE FROM {schema}.legal_holds h WHERE h.name = $1 RETURNING h.name;

-- name: begin_erasure
-- Stores the erasure $1 of the subject with the hash $2, that deletes the streams $7.
WITH begun AS (
    INSERT INTO {schema}.erasures AS e
           (erasure_id, subject_hash, reason, plan_digest, plan, requested_by)
    VALUES ($1::uuid, $2::bytea, $3, $4, $5, $6)
    RETURNING e.erasure_no
)
INSERT INTO {schema}.erasure_streams (erasure_no, stream)
SELECT b.erasure_no, s.name FROM begun b CROSS JOIN unnest($7::text[]) AS s (name);

-- name: erase_restored
-- Stores an erasure for each fence that was done again from the ledger, and of which this log knows
-- no erasure: what was made of the values of the subject may stand in it again.
INSERT INTO {schema}.erasures AS e
       (erasure_id, subject_hash, subject_id, reason, state, requested_by, ledger_no, ledger_digest,
        catalogue_version, fenced_at)
SELECT gen_random_uuid(), f.subject_hash, f.subject_id, $1, 2, $2, f.ledger_no, f.ledger_digest,
       f.catalogue_version, f.fenced_at
  FROM {schema}.fences f
 WHERE f.erasure_no IS NULL AND f.subject_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM {schema}.erasures x
                    WHERE x.ledger_no = f.ledger_no
                       OR x.subject_hash = f.subject_hash AND x.state < 6)
    ON CONFLICT DO NOTHING
RETURNING e.erasure_id;

-- fragment: erasure
-- A job as it is shown.
e.erasure_no, e.erasure_id, e.subject_hash, e.subject_id, e.reason, e.plan_digest, e.plan, e.state,
       e.requested_at, e.requested_by, e.ledger_no, e.ledger_digest, e.fenced_at,
       e.keys_destroyed_at, e.keys_destroyed, e.evicted_at, e.acknowledged, e.expired, e.events,
       e.kept_states, e.rows, e.projections, e.waiting, e.projections_dropped, e.scrubbed_at,
       e.announced_at, e.ended_at, e.receipt
  FROM {schema}.erasures e

-- name: erasure
SELECT {erasure} WHERE e.erasure_id = $1;

-- name: open_erasure
-- The erasure of the subject with the hash $1 that is not done.
SELECT {erasure} WHERE e.subject_hash = $1 AND e.state < 6;

-- name: erasures_page
-- Jobs whose number is below $1, the newest first, $2 of them; of the subject with the hash $3
-- (NULL: any), and only those that are not done, if $4.
SELECT {erasure}
 WHERE e.erasure_no < $1 AND ($3::bytea IS NULL OR e.subject_hash = $3)
   AND (NOT $4 OR e.state < 6)
 ORDER BY e.erasure_no DESC LIMIT $2;

-- name: erasure_deletions
-- Deletions of streams with the ids $1: how many streams and events they delete.
SELECT d.deletion_id, d.stream, d.state,
       (SELECT count(*) FROM {schema}.deletion_streams s WHERE s.deletion_no = d.deletion_no)
       AS streams,
       d.events, d.kept_states, d.rows
  FROM {schema}.deletions d WHERE d.deletion_id = ANY ($1::uuid[]) ORDER BY d.stream;

-- name: claim_erasures
-- Takes jobs that are not done and that nobody has for $1: half of them, so that several servers
-- that look at once share them. Not those in $2, at which this process failed a moment ago.
WITH free AS (
    SELECT e.erasure_no FROM {schema}.erasures e
     WHERE e.state < 6 AND (e.lease_until IS NULL OR e.lease_until < clock_timestamp())
       AND e.erasure_no <> ALL ($2::bigint[])
), taken AS (
    SELECT e.erasure_no FROM {schema}.erasures e
     WHERE e.erasure_no IN (SELECT erasure_no FROM free)
       AND (e.lease_until IS NULL OR e.lease_until < clock_timestamp())
     ORDER BY e.erasure_no LIMIT (SELECT (count(*) + 1) / 2 FROM free)
       FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.erasures e
   SET lease = e.lease + 1, lease_until = clock_timestamp() + $1
  FROM taken t WHERE e.erasure_no = t.erasure_no
RETURNING e.erasure_no AS number, e.lease, e.erasure_id, e.subject_hash, e.requested_by;

-- name: renew_erasures
UPDATE {schema}.erasures e SET lease_until = clock_timestamp() + $3
  FROM unnest($1::bigint[], $2::bigint[]) AS a (number, lease)
 WHERE e.erasure_no = a.number AND e.lease = a.lease;

-- name: release_erasures
UPDATE {schema}.erasures e SET lease_until = NULL
  FROM unnest($1::bigint[], $2::bigint[]) AS a (number, lease)
 WHERE e.erasure_no = a.number AND e.lease = a.lease;

-- name: erasure_stage
-- Where the job $1 is, for who has the lease $2; no row: somebody else has it.
SELECT e.state, e.subject_id, e.catalogue_version, e.generation_mark,
       ARRAY(SELECT s.stream FROM {schema}.erasure_streams s
              WHERE s.erasure_no = e.erasure_no ORDER BY s.stream) AS streams
  FROM {schema}.erasures e WHERE e.erasure_no = $1 AND e.lease = $2;

-- name: erasure_destroyed
-- The fence $4, $5 of the job $1 stands everywhere since $7, and the $8 keys of the subject $3 are
-- gone; servers know with the version $6 of the catalogue.
UPDATE {schema}.erasures e
   SET state = 2, subject_id = $3, ledger_no = $4, ledger_digest = $5, catalogue_version = $6,
       fenced_at = $7, keys_destroyed = $8, keys_destroyed_at = clock_timestamp()
 WHERE e.erasure_no = $1 AND e.lease = $2 AND e.state = 1 RETURNING e.state;

-- name: erasure_servers
-- Servers that have seen the version $1 of the catalogue, and those that have not, whose leases ran
-- out; those that ended are in neither.
SELECT count(*) FILTER (WHERE s.seen_catalogue_version >= $1) AS acknowledged,
       count(*) FILTER (WHERE s.seen_catalogue_version < $1) AS expired
  FROM {schema}.privacy_servers s;

-- name: erasure_evicted
-- Nobody has a key any more: generations with a number from here on never saw a value.
UPDATE {schema}.erasures e
   SET state = 3, acknowledged = $3, expired = $4, evicted_at = clock_timestamp(),
       keys_destroyed_at = coalesce(e.keys_destroyed_at, clock_timestamp()),
       generation_mark = nextval('{schema}.projection_numbers')
 WHERE e.erasure_no = $1 AND e.lease = $2 AND e.state = 2 RETURNING e.state;

-- name: erasure_cleaned
-- Notes what cleaning up for the job $1 came to: kept states $3 and rows $4 that were dropped or
-- made anew, in the projections $5, the projections $6 that are waited for, and those that are
-- dropped, $7.
UPDATE {schema}.erasures e
   SET kept_states = e.kept_states + $3, rows = e.rows + $4, waiting = $6,
       projections = ARRAY(SELECT DISTINCT p FROM unnest(e.projections || $5::text[]) AS p
                            ORDER BY p),
       projections_dropped = ARRAY(
           SELECT DISTINCT p FROM unnest(e.projections_dropped || $7::text[]) AS p ORDER BY p)
 WHERE e.erasure_no = $1 AND e.lease = $2 AND e.state = 3 RETURNING e.state;

-- name: erasure_counted
-- Notes that $3 events have values of the subject, which nobody can open. Done again when some were
-- forgotten, it counts fewer.
UPDATE {schema}.erasures e SET events = greatest(e.events, $3)
 WHERE e.erasure_no = $1 AND e.lease = $2 AND e.state = 3 RETURNING e.state;

-- name: erasure_scrubbed
-- Nothing is left of the values but ciphertext.
UPDATE {schema}.erasures e SET state = 4, waiting = '{}', scrubbed_at = clock_timestamp()
 WHERE e.erasure_no = $1 AND e.lease = $2 AND e.state = 3 RETURNING e.state;

-- name: erasure_announced
UPDATE {schema}.erasures e SET state = 5, announced_at = clock_timestamp()
 WHERE e.erasure_no = $1 AND e.lease = $2 AND e.state = 4 RETURNING e.state;

-- name: erasure_done
UPDATE {schema}.erasures e SET state = 6, ended_at = $3, receipt = $4
 WHERE e.erasure_no = $1 AND e.lease = $2 AND e.state = 5 RETURNING e.state;
