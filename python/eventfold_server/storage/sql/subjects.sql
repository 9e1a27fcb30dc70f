-- Statements on what is stored of a subject, and on how personal data fares.

-- name: subject_streams
-- Events with sealed values of the subject $1 by stream and type, behind the stream $2 and the type
-- $3, in order, $4 of them; not those whose payload was deleted.
SELECT s.name AS stream, e.type AS event_type, count(*) AS events,
       min(e.position) AS first_position, max(e.position) AS last_position,
       min(e.recorded_at) AS first_at, max(e.recorded_at) AS last_at
  FROM {schema}.subject_events q
  JOIN {schema}.events e ON e.position = q.position AND e.sealed_paths IS NOT NULL
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE q.subject_id = $1::uuid
   AND (s.name, e.type) > ($2::text COLLATE "C", $3::text COLLATE "C")
 GROUP BY s.name, e.type ORDER BY s.name, e.type LIMIT $4;

-- name: subject_positions
-- Positions behind $3 and up to $4 of events with sealed values of the subject $1, or in a stream
-- of the numbers $2, in order, $5 of them; with their types.
SELECT e.position, e.type
  FROM (SELECT q.position FROM {schema}.subject_events q
         WHERE q.subject_id = $1::uuid AND q.position > $3 AND q.position <= $4
        UNION
        SELECT e.position FROM {schema}.events e
         WHERE e.stream_no = ANY ($2::bigint[]) AND e.position > $3 AND e.position <= $4
         ORDER BY 1 LIMIT $5) q
  JOIN {schema}.events e ON e.position = q.position
 ORDER BY e.position;

-- name: streams_of_lines
-- All streams of the lines of those that are named $1: number and name.
SELECT s.stream_no, s.name FROM {schema}.streams s
 WHERE s.root IN (SELECT o.root FROM {schema}.streams o WHERE o.name = ANY ($1::text[]))
 ORDER BY s.stream_no;

-- name: add_privacy_count
-- Adds $2 to what servers have counted as $1.
INSERT INTO {schema}.privacy_counters AS c (name, value) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET value = c.value + excluded.value;

-- name: privacy_figures
-- Erasures, the subject index, leases and what servers have counted, in one row.
SELECT c.position AS head, i.position AS indexed_position, e.open, e.done, e.oldest_open_at,
       (SELECT count(*) FROM {schema}.privacy_servers p WHERE p.expires_at > clock_timestamp())
       AS servers,
       coalesce((SELECT k.value FROM {schema}.privacy_counters k WHERE k.name = 'failed_openings'),
                0) AS failed_openings,
       coalesce((SELECT k.value FROM {schema}.privacy_counters k WHERE k.name = 'exports'), 0)
       AS exports
  FROM {schema}.counter c
 CROSS JOIN {schema}.subject_index i
 CROSS JOIN (SELECT count(*) FILTER (WHERE r.state < 6) AS open,
                    count(*) FILTER (WHERE r.state = 6) AS done,
                    min(r.requested_at) FILTER (WHERE r.state < 6) AS oldest_open_at
               FROM {schema}.erasures r) e;
