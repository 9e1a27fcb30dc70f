-- Consumer groups.

-- fragment: group
-- A group, and how far it is: up to below its oldest entry of any state, or all it took in.
g.group_no, g.name, g.categories, g.stream, g.types, g.tags, g.condition, g.with_system,
       g.copies, g.ack_timeout, g.attempts_max, g.retry_initial, g.retry_factor, g.retry_max,
       g.hold_back, g.ordered, g.generation, g.created_at, g.created_by, g.cursor, g.stopped,
       least(g.cursor, (SELECT min(h.head) - 1 FROM unnest(ARRAY[1, 2, 3, 4]) AS s (state)
                         CROSS JOIN LATERAL
                               (SELECT l.head FROM {schema}.group_lanes l
                                 WHERE l.group_no = g.group_no AND l.state = s.state
                                   AND l.head IS NOT NULL
                                 ORDER BY l.head LIMIT 1) h)) AS progress,
       (SELECT c.position FROM {schema}.counter c) AS log_head

-- name: create_group
-- No row: there is a group of this name.
INSERT INTO {schema}.groups (name, categories, stream, types, tags, condition, with_system,
                             copies, ack_timeout, attempts_max, retry_initial, retry_factor,
                             retry_max, hold_back, ordered, created_by, cursor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (name) DO NOTHING RETURNING group_no;

-- name: group
SELECT {group} FROM {schema}.groups g WHERE g.name = $1;

-- name: groups_page
-- Groups whose name is after $1, in byte order.
SELECT {group} FROM {schema}.groups g WHERE g.name > $1 ORDER BY g.name LIMIT $2;

-- name: group_status
-- How the group $1 is doing: one pass over its lanes, and a count of its parked events.
SELECT l.waiting, l.under_way, l.retrying, l.held_back, p.parked, p.oldest_parked,
       (SELECT e.recorded_at FROM {schema}.events e WHERE e.position = l.oldest) AS oldest_at
  FROM (SELECT coalesce(sum(entries) FILTER (WHERE state = 1), 0)::bigint
               + coalesce(sum(entries - under_way) FILTER (WHERE state = 2), 0)::bigint AS waiting,
               coalesce(sum(under_way), 0)::bigint AS under_way,
               coalesce(sum(entries) FILTER (WHERE state = 3), 0)::bigint AS retrying,
               coalesce(sum(entries) FILTER (WHERE state = 4), 0)::bigint AS held_back,
               min(head) AS oldest
          FROM {schema}.group_lanes WHERE group_no = $1) l
 CROSS JOIN (SELECT count(*) AS parked, coalesce(min(position), 0) AS oldest_parked
               FROM {schema}.group_parked WHERE group_no = $1) p;

-- name: group_consumers
-- Sessions of the group $1 that were alive within the last $2, at most $3.
SELECT s.session, s.consumer, s.caller, s.since, count(l.lane) AS streams,
       coalesce(sum(l.under_way), 0)::bigint AS under_way
  FROM {schema}.group_sessions s
  LEFT JOIN LATERAL (SELECT x.lane, x.under_way FROM {schema}.group_lanes x
                      WHERE x.session = s.session AND x.lease IS NOT NULL OFFSET 0) l ON true
 WHERE s.group_no = $1 AND s.seen_at > clock_timestamp() - $2::interval
 GROUP BY s.session ORDER BY s.session LIMIT $3;

-- name: begin_group_session
-- Names the consumer of a session, and forgets those of servers that were killed long ago. No row:
-- there is no group of this name.
WITH old AS (
    DELETE FROM {schema}.group_sessions WHERE seen_at < clock_timestamp() - interval '1 day')
INSERT INTO {schema}.group_sessions (group_no, consumer, caller)
SELECT g.group_no, $2, $3 FROM {schema}.groups g WHERE g.name = $1
RETURNING group_no, session;

-- name: end_group_session
-- Gives back what the session $2 has of the group $1. $3: it failed at it.
SELECT {schema}.group_end_session_v1($1, $2, $3);

-- name: group_next
SELECT cursor, head, up_to, positions, lanes, open_entries
  FROM {schema}.group_next_v2($1, $2, $3, $4);

-- name: group_take_in
SELECT {schema}.group_take_in_v1($1, $2, $3, $4, $5, $6);

-- name: group_claim
SELECT dealt, positions, leases, attempts, due_in FROM {schema}.group_claim_v1($1, $2, $3, $4, $5);

-- name: group_settle
SELECT settlement, pos, lost FROM {schema}.group_settle_v1($1, $2, $3, $4, $5, $6, $7, $8)
 ORDER BY settlement, pos;

-- name: parked_page
-- Parked events of the group $1 behind position $2.
SELECT position, attempts, parked_at, cause, reason, consumer, holds FROM {schema}.group_parked
 WHERE group_no = $1 AND position > $2 ORDER BY position LIMIT $3;

-- name: group_unpark
SELECT {schema}.group_unpark_v1($1, $2, $3, $4, $5) AS done;

-- name: group_reset
SELECT {schema}.group_reset_v1($1, $2) AS found;

-- name: ambiguous_transform
SELECT transform_no, source, target FROM {schema}.ambiguous_transform_v1($1);
