-- What folds begin with: heads of streams, and the states that are kept.

-- fragment: newest_fold
-- The newest revision of the fold named $2 (NULL: none is asked for).
(SELECT digest, kept_digest, source FROM {schema}.folds
                      WHERE name = $2 ORDER BY revision DESC LIMIT 1)

-- fragment: head
-- What a fold must know of a stream.
s.stream_no, s.version, s.lifecycle, s.root

-- name: cancellations
-- What is cancelled in the streams $1, up to the versions $2 (an element each), by events up to
-- position $3, recorded at or before $4 and occurred at or before $5 (NULL: any): for each stream
-- the versions of the cancellations, and the ids of what they cancel, in order; NULL: none.
SELECT c.versions, c.ids
  FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS a (stream_no, up_to, n)
  CROSS JOIN LATERAL
       (SELECT array_agg(e.version ORDER BY e.version) AS versions,
               array_agg(e.cancels ORDER BY e.version) AS ids
          FROM {schema}.events e
         WHERE e.stream_no = a.stream_no AND e.cancels IS NOT NULL AND e.version <= a.up_to
           AND ($3::bigint IS NULL OR e.position <= $3)
           AND ($4::text IS NULL OR e.recorded_at <= $4::text::timestamptz)
           AND ($5::text IS NULL OR e.occurred_at <= $5::text::timestamptz)) c
 ORDER BY a.n;

-- name: hydrate_head
-- All that a hydration must know before it reads events, in one round trip: the stream $1, the
-- newest revision of the fold named $2 (NULL: none is asked for), and the state that is kept for
-- both under the semantics $3 and the mappings $6, of a version above $4 and at most $5.
SELECT {head}, f.digest, f.kept_digest, f.source,
       k.version AS kept_version, k.event_id AS kept_event_id, k.alive AS kept_alive,
       k.state AS kept_state, {catalogue}
  FROM (SELECT 1) one
  LEFT JOIN {schema}.streams s ON s.name = $1
  LEFT JOIN LATERAL {newest_fold} f ON true
  LEFT JOIN {schema}.kept_states k
         ON k.stream_no = s.stream_no AND k.fold_digest = f.kept_digest AND k.mapping_digest = $6
        AND k.semantics = $3::bigint AND k.version > $4 AND k.version <= $5;

-- name: hydrate_head_alone
-- The same where there is no table of kept states.
SELECT {head}, f.digest, f.kept_digest, f.source, NULL::bigint AS kept_version,
       NULL::uuid AS kept_event_id, NULL::boolean AS kept_alive, NULL::bytea AS kept_state,
       {catalogue}
  FROM (SELECT 1) one
  LEFT JOIN {schema}.streams s ON s.name = $1
  LEFT JOIN LATERAL {newest_fold} f ON true;

-- name: hydrate_heads
-- The same for many streams: those named in $1, with states of versions above $4, an element each.
-- The fold stands in the first row only. $5: kept digest of the fold, where it is known already
-- and not asked for. Ends with the row whose states pass $6 bytes. $7: digest of the mappings.
SELECT w.name, w.stream_no, w.version, w.lifecycle, w.root, w.digest, w.fold_kept_digest
       AS kept_digest, w.source, w.kept_version, w.kept_event_id, w.kept_alive,
       w.kept_state, {catalogue}
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
                AND k.mapping_digest = $7 AND k.semantics = $3 AND k.version > a.kept_above) w
 WHERE coalesce(w.running_bytes, 0) - w.own_bytes < $6
 ORDER BY w.n;

-- name: hydrate_heads_alone
-- The same where there is no table of kept states.
SELECT a.name, {head},
       CASE WHEN a.n = 1 THEN f.digest END AS digest,
       CASE WHEN a.n = 1 THEN f.kept_digest END AS kept_digest,
       CASE WHEN a.n = 1 THEN f.source END AS source, NULL::bigint AS kept_version, {catalogue}
  FROM unnest($1::text[]) WITH ORDINALITY AS a (name, n)
  LEFT JOIN LATERAL {newest_fold} f ON true
  LEFT JOIN {schema}.streams s ON s.name = a.name
 ORDER BY a.n;

-- name: keep_states
-- Keeps states, unless newer ones are kept already, or their stream was deleted meanwhile. In order
-- of their keys, so that servers that keep the same ones wait for each other in one order.
INSERT INTO {schema}.kept_states AS k
       (stream_no, fold_digest, mapping_digest, semantics, version, event_id, alive, state)
SELECT a.stream_no, a.fold_digest, a.mapping_digest, $1, a.version, a.event_id, a.alive, a.state
  FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::uuid[], $7::boolean[],
              $8::bytea[])
       AS a (stream_no, fold_digest, mapping_digest, version, event_id, alive, state)
 WHERE NOT EXISTS (SELECT FROM {schema}.streams s
                    WHERE s.stream_no = a.stream_no AND s.lifecycle = 3)
 ORDER BY a.stream_no, a.fold_digest COLLATE "C", a.mapping_digest COLLATE "C"
ON CONFLICT (stream_no, fold_digest, mapping_digest, semantics) DO UPDATE
   SET version = excluded.version, event_id = excluded.event_id, alive = excluded.alive,
       state = excluded.state, kept_at = excluded.kept_at
 WHERE k.version < excluded.version;

-- name: drop_kept_states
-- Drops kept states whose events are not the ones of the log.
DELETE FROM {schema}.kept_states k
 USING unnest($2::bigint[], $3::text[], $4::text[], $5::uuid[])
       AS a (stream_no, fold_digest, mapping_digest, event_id)
 WHERE k.stream_no = a.stream_no AND k.fold_digest = a.fold_digest
   AND k.mapping_digest = a.mapping_digest AND k.semantics = $1 AND k.event_id = a.event_id;

-- name: kept_keys
-- The keys under which states are kept, but for their streams, each with the text of a fold whose
-- newest revision asks for them; NULL: none does. Found by leaps through the index, not by looking
-- at every state.
WITH RECURSIVE known AS (
    (SELECT fold_digest, semantics, mapping_digest FROM {schema}.kept_states
      ORDER BY fold_digest, semantics, mapping_digest LIMIT 1)
    UNION ALL
    SELECT n.fold_digest, n.semantics, n.mapping_digest
      FROM known k
      CROSS JOIN LATERAL (SELECT t.fold_digest, t.semantics, t.mapping_digest
                            FROM {schema}.kept_states t
                           WHERE (t.fold_digest, t.semantics, t.mapping_digest)
                                 > (k.fold_digest, k.semantics, k.mapping_digest)
                           ORDER BY t.fold_digest, t.semantics, t.mapping_digest LIMIT 1) n)
SELECT k.fold_digest, k.semantics, k.mapping_digest, {catalogue},
       (SELECT f.source FROM {schema}.folds f
         WHERE f.kept_digest = k.fold_digest AND f.keep_every IS DISTINCT FROM 0
           AND f.revision = (SELECT max(n.revision) FROM {schema}.folds n WHERE n.name = f.name)
         LIMIT 1) AS source
  FROM known k;

-- name: sweep_kept_states
-- Drops up to $4 states of the keys $1 to $3, an element each; tells how many. None while another
-- server does; $5: name of the schema.
WITH lock AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended('eventfold.sweep:' || $5, 0)) AS mine),
stale AS (
    SELECT r.ctid
      FROM lock
      CROSS JOIN unnest($1::text[], $2::integer[], $3::text[])
              AS a (fold_digest, semantics, mapping_digest)
      CROSS JOIN LATERAL (SELECT t.ctid FROM {schema}.kept_states t
                           WHERE t.fold_digest = a.fold_digest AND t.semantics = a.semantics
                             AND t.mapping_digest = a.mapping_digest
                           LIMIT $4) r
     WHERE lock.mine
     LIMIT $4),
dropped AS (
    DELETE FROM {schema}.kept_states k USING stale WHERE k.ctid = stale.ctid RETURNING 1)
SELECT count(*) AS dropped FROM dropped;
