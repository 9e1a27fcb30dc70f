-- Statements on references.

-- name: missing_references
-- Which of the events $1 are not stored, and which of the streams $2 never had an event.
SELECT ARRAY(SELECT a.id FROM unnest($1::uuid[]) AS a (id)
              WHERE (SELECT true FROM {schema}.events e WHERE e.event_id = a.id) IS NULL)
       AS events,
       ARRAY(SELECT a.name FROM unnest($2::text[]) AS a (name)
              WHERE (SELECT true FROM {schema}.streams s WHERE s.name = a.name) IS NULL)
       AS streams;

-- name: referenced_events
-- Those of the events $1 that are stored, in this order. Looked up one by one in a subquery that
-- the planner cannot turn into a join.
SELECT (SELECT s.name FROM {schema}.streams s WHERE s.stream_no = e.stream_no) AS stream, {event}
  FROM unnest($1::uuid[]) WITH ORDINALITY AS a (id, n)
  CROSS JOIN LATERAL
       (SELECT * FROM {schema}.events x WHERE x.event_id = a.id OFFSET 0) e
 ORDER BY a.n;

-- name: referenced_streams
-- Those of the streams $1 that had an event.
SELECT s.stream_no, s.name, s.category, s.version, s.lifecycle, s.root, s.predecessor, s.successor,
       s.created_at
  FROM unnest($1::text[]) AS a (name)
  CROSS JOIN LATERAL (SELECT * FROM {schema}.streams x WHERE x.name = a.name OFFSET 0) s;

-- name: referrers
-- Positions of the first $3 events behind $2 that refer to the target $1.
SELECT r.position FROM {schema}.event_references r
 WHERE r.target = $1::text AND r.position > $2::bigint ORDER BY r.position LIMIT $3::bigint;
