-- Lines of periods: streams that go on from each other, and how they come about.

-- fragment: line
-- The streams of the line of periods of the stream $1 that had begun up to a point: position $2,
-- recorded time $3, occurred time $4 (NULL: any). Each with the position of its first event, which
-- gives their order.
SELECT s.stream_no, s.name, s.category, s.version, s.lifecycle, s.root, s.predecessor,
       s.successor, s.created_at, e.position AS begun_at
  FROM (SELECT root FROM {schema}.streams WHERE name = $1::text) r
  CROSS JOIN LATERAL
       (SELECT f.* FROM {schema}.streams f WHERE f.name = r.root
         UNION ALL
        SELECT n.* FROM {schema}.streams n WHERE n.root = r.root AND n.predecessor IS NOT NULL) s
  JOIN {schema}.events e ON e.stream_no = s.stream_no AND e.version = 1
 WHERE ($2::bigint IS NULL OR e.position <= $2)
   AND ($3::text IS NULL OR e.recorded_at <= $3::text::timestamptz)
   AND ($4::text IS NULL OR e.occurred_at <= $4::text::timestamptz)

-- name: line_end
-- The last of them.
{line} ORDER BY e.position DESC LIMIT 1;

-- name: line_page
-- The next $6 of them, which begin behind position $5.
{line} AND e.position > $5::bigint ORDER BY e.position LIMIT $6::bigint;

-- name: line_page_backwards
-- The same from the last on, before position $5.
{line} AND e.position < $5::bigint ORDER BY e.position DESC LIMIT $6::bigint;

-- name: stream_of_event
-- The stream of the event $2, if it is of the line of periods of the stream $1.
SELECT s.name
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.event_id = $2
   AND s.root = (SELECT o.root FROM {schema}.streams o WHERE o.name = $1);

-- name: closing
-- The stream $1, its last event, and the first one of the stream that goes on from it.
SELECT s.version, s.lifecycle, s.successor, c.event_id AS closing_id,
       c.position AS closing_position, c.flags,
       coalesce(o.recorded_at, c.recorded_at) AS recorded_at,
       o.event_id AS opening_id, o.position AS opening_position, o.data AS opening_data
  FROM {schema}.streams s
  JOIN {schema}.events c ON c.stream_no = s.stream_no AND c.version = s.version
  LEFT JOIN {schema}.streams n ON n.name = s.successor
  LEFT JOIN {schema}.events o ON o.stream_no = n.stream_no AND o.version = 1
 WHERE s.name = $1;

-- name: close_stream
SELECT outcome, part, closing_position, opening_position, recorded_at, actual_version, successor,
       differs_at, problem, catalogue_version
  FROM {schema}.close_stream_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                                $16);
