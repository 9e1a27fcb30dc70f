-- Appends, and questions to the log and its streams that are no reads of events.

-- name: append
-- Times come as texts: the driver would write the first and the last microsecond of its calendar as
-- -infinity and infinity.
SELECT outcome, first_version, first_position, positions, recorded_at, actual_version, successor,
       differs_at, problem, catalogue_version
  FROM {schema}.append_v4($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text[]::timestamptz[], $11, $12,
                          $13, $14, $15, $16, $17, $18);

-- name: append_batch
SELECT append_number, check_number, outcome, first_version, first_position, positions, recorded_at,
       actual_version, successor, differs_at, problem, catalogue_version
  FROM {schema}.append_batch_v3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                                $16, $17, $18::text[]::timestamptz[], $19, $20, $21, $22, $23, $24,
                                $25);

-- name: compensate
-- As `append`, and what cannot be cancelled.
SELECT outcome, first_version, first_position, positions, recorded_at, actual_version, successor,
       differs_at, problem, catalogue_version, fact
  FROM {schema}.compensate_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                              $11::text[]::timestamptz[], $12, $13, $14, $15, $16, $17, $18, $19);

-- name: append_copies
-- As `append`, of copies that another server sends; or `cancels`.
SELECT outcome, first_version, first_position, positions, recorded_at, actual_version, successor,
       differs_at, problem, catalogue_version
  FROM {schema}.append_copies_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text[]::timestamptz[],
                                 $11, $12, $13, $14, $15, $16, $17, $18, $19, $20);

-- name: roots
-- The roots of those of the streams $1 that are not their own.
SELECT s.name, s.root FROM {schema}.streams s
 WHERE s.name = ANY ($1::text[]) AND s.root <> s.name;

-- name: type_of_event
SELECT type FROM {schema}.events WHERE event_id = $1;

-- name: check_append
SELECT d.outcome, d.first_version, d.actual_version, d.successor, d.differs_at, d.problem,
       c.catalogue_version
  FROM {schema}.check_append_v1($1, $2, $3, $4) d, {schema}.counter c;

-- name: log_head
SELECT position, catalogue_version FROM {schema}.counter;

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

-- name: types_of_category
-- Types of a category's events with their numbers.
SELECT type, count(*) AS events FROM {schema}.events WHERE category = $1 GROUP BY type;

-- name: position_of_version
SELECT position FROM {schema}.events WHERE stream_no = $1 AND version = $2;

-- name: event_ids_at
-- Ids at positions, newest first: the pairs of a resume token.
SELECT position, event_id, {catalogue}
  FROM {schema}.events WHERE position = ANY ($1) ORDER BY position DESC;

-- name: log_tail
-- The head of the log and the id of its event, and the id at position $1; NULL: there is no event.
SELECT c.position, h.event_id AS head_id, k.event_id AS known_id, c.catalogue_version
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
