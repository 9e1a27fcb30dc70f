-- Statements on the subject index: which events hold sealed values of a subject.

-- name: follow_subjects
SELECT followed, head FROM {schema}.subject_index_follow_v1($1, $2);

-- name: subject_index_at
-- How far the log was looked through, the head of the log, and listed paths without a sealed value.
SELECT i.position, c.position AS head, i.unreadable
  FROM {schema}.subject_index i CROSS JOIN {schema}.counter c;

-- name: subject_events_page
-- Events with sealed values of the subjects $1 behind the position $2 and the subject $3, in order,
-- $4 of them; not those whose payload was deleted since.
SELECT q.position, q.subject_id, q.paths, e.stream_no, s.name AS stream, s.root, e.type, e.version
  FROM {schema}.subject_events q
  JOIN {schema}.events e ON e.position = q.position AND e.sealed_paths IS NOT NULL
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE q.subject_id = ANY ($1::uuid[]) AND (q.position, q.subject_id) > ($2, $3::uuid)
 ORDER BY q.position, q.subject_id LIMIT $4;

-- name: subject_event_types
-- Events with sealed values of the subjects $1 by type: how many, and in how many streams.
SELECT e.type, count(DISTINCT e.position) AS events, count(DISTINCT e.stream_no) AS streams
  FROM {schema}.subject_events q
  JOIN {schema}.events e ON e.position = q.position AND e.sealed_paths IS NOT NULL
 WHERE q.subject_id = ANY ($1::uuid[])
 GROUP BY e.type ORDER BY e.type;

-- name: drop_subject_events
-- Forgets the next events of the subject $1 in the index, $2 of them.
DELETE FROM {schema}.subject_events q
 WHERE q.subject_id = $1::uuid
   AND q.position IN (SELECT d.position FROM {schema}.subject_events d
                       WHERE d.subject_id = $1::uuid ORDER BY d.position LIMIT $2)
RETURNING q.position;
