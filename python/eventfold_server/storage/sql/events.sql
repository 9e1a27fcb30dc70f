-- Reads of events: rows with the columns that the core expects, in this order. The reader sends
-- these statements: $1 is the key, $2 and $3 the bounds, both inclusive, $4 the most rows. It
-- starts a statement anew where it was left, when a client takes its time or the rows are many.
--
-- The statement with which a read begins also answers the version of the catalogue: whoever goes by
-- older rules has to begin anew.

-- fragment: before_flags
e.version, e.position, e.event_id, e.type, e.data, e.metadata, e.tags, e.recorded_at,
       e.occurred_at, e.writer

-- fragment: behind_flags
e.copied_from, e.cancels, e.trace_context, e.deleted_at IS NOT NULL AS deleted, e.sealed_paths

-- fragment: event
-- The columns of an event behind the name of its stream.
{before_flags}, e.flags, {behind_flags}

-- fragment: marked
-- The same with EVENT_FLAG_CANCELLED for what another event of the stream cancels.
{before_flags},
       CASE WHEN EXISTS (SELECT FROM {schema}.events c
                          WHERE c.stream_no = e.stream_no AND c.cancels = e.event_id)
            THEN e.flags | 256 ELSE e.flags END AS flags, {behind_flags}

-- fragment: brief
-- The same for folds that read nothing of the envelope: what they do not need is not sent. The
-- metadata of an event that passed no check is checked again.
NULL::text AS stream, e.version, e.position, e.event_id, e.type, e.data,
       CASE WHEN e.flags & 1 = 0 THEN e.metadata END AS metadata, NULL::text[] AS tags,
       e.recorded_at, NULL::timestamptz AS occurred_at, '' AS writer, e.flags,
       NULL::uuid AS copied_from, NULL::uuid AS cancels, NULL::text AS trace_context,
       e.deleted_at IS NOT NULL AS deleted, e.sealed_paths

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
-- resume token: position and id there, and at the distances $5 before it. What it must go by, and
-- which stream it was opened from.
SELECT s.stream_no, s.version, s.lifecycle, e.version AS end_version,
       (SELECT string_agg(int8send(p.position) || uuid_send(p.event_id), ''
                          ORDER BY p.position DESC)
          FROM {schema}.events p
         WHERE p.position = ANY (ARRAY(SELECT e.position - d FROM unnest($5::bigint[]) AS d)))
       AS end_pairs, {catalogue},
       CASE WHEN s.predecessor IS NOT NULL
            THEN (SELECT s.predecessor FROM {schema}.events o
                   WHERE o.stream_no = s.stream_no AND o.version = 1 AND o.flags & 128 <> 0)
       END AS opened_from
  FROM {schema}.streams s
  LEFT JOIN {schema}.events e
         ON e.stream_no = s.stream_no
        AND e.version = greatest(least(s.version, $2::bigint) - $3::bigint, $4::bigint)
 WHERE s.name = $1::text;

-- fragment: begun_at
-- Events of the stream named $1, versions $2 to $3. $5: types, $6: tags (all of them), each NULL
-- for no demand.
  FROM {schema}.events e
 WHERE e.stream_no = {named} AND e.version BETWEEN $2::bigint AND $3::bigint
   AND ($5::text[] IS NULL OR e.type = ANY ($5))
   AND ($6::text[] IS NULL OR e.tags @> $6)

-- fragment: gone_on
-- The same of the stream with the number $1.
  FROM {schema}.events e
 WHERE e.stream_no = $1::bigint AND e.version BETWEEN $2::bigint AND $3::bigint
   AND ($5::text[] IS NULL OR e.type = ANY ($5))
   AND ($6::text[] IS NULL OR e.tags @> $6)

-- name: stream_begin
-- The first page of a stream.
SELECT NULL::text AS stream, {event} {begun_at} ORDER BY e.version LIMIT $4::bigint;

-- name: stream_begin_backwards
-- The same from version $3 down to $2.
SELECT NULL::text AS stream, {event} {begun_at} ORDER BY e.version DESC LIMIT $4::bigint;

-- name: stream_page
-- The pages behind it.
SELECT NULL::text AS stream, {event} {gone_on} ORDER BY e.version LIMIT $4::bigint;

-- name: stream_page_backwards
SELECT NULL::text AS stream, {event} {gone_on} ORDER BY e.version DESC LIMIT $4::bigint;

-- name: stream_begin_marked
-- These four with marks of what is cancelled.
SELECT NULL::text AS stream, {marked} {begun_at} ORDER BY e.version LIMIT $4::bigint;

-- name: stream_begin_backwards_marked
SELECT NULL::text AS stream, {marked} {begun_at} ORDER BY e.version DESC LIMIT $4::bigint;

-- name: stream_page_marked
SELECT NULL::text AS stream, {marked} {gone_on} ORDER BY e.version LIMIT $4::bigint;

-- name: stream_page_backwards_marked
SELECT NULL::text AS stream, {marked} {gone_on} ORDER BY e.version DESC LIMIT $4::bigint;

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
-- Events of the log, positions $2 to $3. $1: with system events, $5: with copies.
SELECT s.name AS stream, {event}
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.position BETWEEN $2::bigint AND $3::bigint
   AND ($1::boolean OR e.category < '$' OR e.category >= '%')
   AND ($5::boolean OR e.copied_from IS NULL)

-- fragment: filtered
-- $6: categories, $7: types, $8: tags (all of them), each NULL for no demand.
AND ($6::text[] IS NULL OR e.category = ANY ($6))
   AND ($7::text[] IS NULL OR e.type = ANY ($7))
   AND ($8::text[] IS NULL OR e.tags @> $8)

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
-- (all of them), each NULL for no demand. $7: with copies. First the positions alone, from the
-- index of categories: rows are compared, so that the planner cannot take the index of positions,
-- which has all other categories too. Lookups stand in subqueries that it cannot turn into joins.
SELECT (SELECT s.name FROM {schema}.streams s WHERE s.stream_no = e.stream_no) AS stream, {event}
  FROM (SELECT p.position
          FROM unnest($1::text[]) AS c (category)
          CROSS JOIN LATERAL
               (SELECT v.position FROM {schema}.events v
                 WHERE (v.category, v.position) >= (c.category, $2::bigint)
                   AND (v.category, v.position) <= (c.category, $3::bigint)
                   AND ($5::text[] IS NULL OR v.type = ANY ($5))
                   AND ($6::text[] IS NULL OR v.tags @> $6)
                   AND ($7::boolean OR v.copied_from IS NULL)
                 ORDER BY v.category, v.position LIMIT $4::bigint) p
         ORDER BY p.position LIMIT $4::bigint) q
  CROSS JOIN LATERAL
       (SELECT * FROM {schema}.events x WHERE x.position = q.position OFFSET 0) e
 ORDER BY q.position;

-- fragment: begun
-- Behind the columns of an event, where the statement is all that a read begins with.
NULL::text AS root, {catalogue}

-- name: tail_page
-- Events of the log, positions $2 to $3, if the event at position $5 (0: none) still has the id $1:
-- in one snapshot with them, so that they cannot be those of another log.
SELECT s.name AS stream, {event}, {begun}
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.position BETWEEN $2::bigint AND $3::bigint
   AND ($5::bigint = 0
        OR $1::uuid = (SELECT k.event_id FROM {schema}.events k WHERE k.position = $5))
 ORDER BY e.position LIMIT $4::bigint;

-- name: events_at
-- The events at the positions $1, which lie between $2 and $3, in order.
SELECT s.name AS stream, {event}, {begun}
  FROM {schema}.events e
  JOIN {schema}.streams s ON s.stream_no = e.stream_no
 WHERE e.position = ANY ($1::bigint[]) AND e.position BETWEEN $2::bigint AND $3::bigint
 ORDER BY e.position LIMIT $4::bigint;

-- name: event
-- The event with the id $1.
SELECT s.name AS stream, {event}, {begun}
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
