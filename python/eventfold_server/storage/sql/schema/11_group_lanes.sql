-- The first version of a stream, up to p_version, whose event has the position or a higher one;
-- else the one behind p_version. NULL: the stream has not all of these versions. Positions grow
-- with versions, so it is found by halving.
CREATE FUNCTION {schema}.version_from_v1(p_stream_no bigint, p_version bigint, p_position bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $function$
DECLARE
    v_low   bigint := 1;
    v_high  bigint := p_version + 1;
    v_half  bigint;
    v_found bigint;
BEGIN
    WHILE v_low < v_high LOOP
        v_half := (v_low + v_high) / 2;
        v_found := (SELECT e.position FROM {schema}.events e
                     WHERE e.stream_no = p_stream_no AND e.version = v_half);
        IF v_found IS NULL THEN
            RETURN NULL;
        ELSIF v_found < p_position THEN
            v_low := v_half + 1;
        ELSE
            v_high := v_half;
        END IF;
    END LOOP;
    RETURN v_low;
END
$function$;

-- The next events of the log for a group: at most p_page of those that it looks at through an
-- index of theirs, or all that pass its filter among the next p_positions. No row: there is no such
-- group. up_to is the cursor when p_open or more entries wait or are under way, or the log is at
-- its end. Its condition is not looked at.
CREATE FUNCTION {schema}.group_next_v1(
    p_group     bigint,
    p_page      bigint,
    p_positions bigint,
    p_open      bigint
) RETURNS TABLE (
    cursor       bigint,
    head         bigint,
    up_to        bigint,
    positions    bigint[],
    lanes        bigint[],
    open_entries bigint
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_group   {schema}.groups%ROWTYPE;
    v_stream  bigint;
    v_version bigint;
    v_looked  bigint;
    v_last    bigint;
BEGIN
    SELECT * INTO v_group FROM {schema}.groups g WHERE g.group_no = p_group;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT c.position INTO head FROM {schema}.counter c;
    cursor := v_group.cursor;
    up_to := cursor;
    open_entries := (
        SELECT coalesce(sum(o.entries), 0)
          FROM unnest(ARRAY[1, 2, 3]) AS s (state)
         CROSS JOIN LATERAL (SELECT l.entries FROM {schema}.group_lanes l
                              WHERE l.group_no = p_group AND l.state = s.state OFFSET 0) o);
    -- Both columns of an index are compared as one, so that no other gives the order asked for.
    IF cursor < head AND open_entries < p_open THEN
        IF v_group.stream IS NOT NULL THEN
            SELECT s.stream_no, s.version INTO v_stream, v_version
              FROM {schema}.streams s WHERE s.name = v_group.stream;
            v_version := {schema}.version_from_v1(v_stream, v_version, v_group.cursor + 1);
            SELECT count(*), max(e.position),
                   array_agg(e.position ORDER BY e.position) FILTER (WHERE e.passes),
                   array_agg(e.lane ORDER BY e.position) FILTER (WHERE e.passes)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane,
                           (v_group.types IS NULL OR v.type = ANY (v_group.types))
                           AND (v_group.tags IS NULL OR v.tags @> v_group.tags) AS passes
                      FROM {schema}.events v
                     WHERE (v.stream_no, v.version) >= (v_stream, v_version)
                       AND (v.stream_no, v.version) < (v_stream + 1, 0)
                     ORDER BY v.stream_no, v.version LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN head ELSE v_last END;
        ELSIF v_group.categories IS NOT NULL THEN
            SELECT count(*), max(e.position),
                   array_agg(e.position ORDER BY e.position) FILTER (WHERE e.passes),
                   array_agg(e.lane ORDER BY e.position) FILTER (WHERE e.passes)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane,
                           (v_group.types IS NULL OR v.type = ANY (v_group.types))
                           AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                           AND (v_group.with_system OR v.category < '$' OR v.category >= '%')
                           AS passes
                      FROM unnest(v_group.categories) AS c (category)
                     CROSS JOIN LATERAL
                           (SELECT * FROM {schema}.events x
                             WHERE (x.category, x.position) > (c.category, v_group.cursor)
                               AND (x.category, x.position) <= (c.category, head)
                             ORDER BY x.category, x.position LIMIT p_page) v
                     ORDER BY v.position LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN head ELSE v_last END;
        ELSE
            SELECT count(*), max(e.position), array_agg(e.position ORDER BY e.position),
                   array_agg(e.lane ORDER BY e.position)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane
                      FROM {schema}.events v
                     WHERE v.position > v_group.cursor
                       AND v.position <= least(head, v_group.cursor + p_positions)
                       AND (v_group.with_system OR v.category < '$' OR v.category >= '%')
                       AND (v_group.types IS NULL OR v.type = ANY (v_group.types))
                       AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                     ORDER BY v.position LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN least(head, v_group.cursor + p_positions)
                          ELSE v_last END;
        END IF;
    END IF;
    positions := coalesce(positions, '{}');
    lanes := coalesce(lanes, '{}');
    RETURN NEXT;
END
$function$;

-- The next events of the log for a group: at most p_page of those that it looks at through an
-- index of theirs, or all that pass its filter among the next p_positions. No row: there is no such
-- group. up_to is the cursor when p_open or more entries wait or are under way, or the log is at
-- its end. Its condition is not looked at. Copies do not pass if the group says so, or reads the
-- whole log and says nothing.
CREATE FUNCTION {schema}.group_next_v2(
    p_group     bigint,
    p_page      bigint,
    p_positions bigint,
    p_open      bigint
) RETURNS TABLE (
    cursor       bigint,
    head         bigint,
    up_to        bigint,
    positions    bigint[],
    lanes        bigint[],
    open_entries bigint
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_group   {schema}.groups%ROWTYPE;
    v_copies  boolean;
    v_stream  bigint;
    v_version bigint;
    v_looked  bigint;
    v_last    bigint;
BEGIN
    SELECT * INTO v_group FROM {schema}.groups g WHERE g.group_no = p_group;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_copies := CASE WHEN v_group.copies IS NULL
                     THEN v_group.stream IS NOT NULL OR v_group.categories IS NOT NULL
                     ELSE v_group.copies = 1 END;
    SELECT c.position INTO head FROM {schema}.counter c;
    cursor := v_group.cursor;
    up_to := cursor;
    open_entries := (
        SELECT coalesce(sum(o.entries), 0)
          FROM unnest(ARRAY[1, 2, 3]) AS s (state)
         CROSS JOIN LATERAL (SELECT l.entries FROM {schema}.group_lanes l
                              WHERE l.group_no = p_group AND l.state = s.state OFFSET 0) o);
    -- Both columns of an index are compared as one, so that no other gives the order asked for.
    IF cursor < head AND open_entries < p_open THEN
        IF v_group.stream IS NOT NULL THEN
            SELECT s.stream_no, s.version INTO v_stream, v_version
              FROM {schema}.streams s WHERE s.name = v_group.stream;
            v_version := {schema}.version_from_v1(v_stream, v_version, v_group.cursor + 1);
            SELECT count(*), max(e.position),
                   array_agg(e.position ORDER BY e.position) FILTER (WHERE e.passes),
                   array_agg(e.lane ORDER BY e.position) FILTER (WHERE e.passes)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane,
                           (v_group.types IS NULL OR v.type = ANY (v_group.types))
                           AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                           AND (v_copies OR v.copied_from IS NULL) AS passes
                      FROM {schema}.events v
                     WHERE (v.stream_no, v.version) >= (v_stream, v_version)
                       AND (v.stream_no, v.version) < (v_stream + 1, 0)
                     ORDER BY v.stream_no, v.version LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN head ELSE v_last END;
        ELSIF v_group.categories IS NOT NULL THEN
            SELECT count(*), max(e.position),
                   array_agg(e.position ORDER BY e.position) FILTER (WHERE e.passes),
                   array_agg(e.lane ORDER BY e.position) FILTER (WHERE e.passes)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane,
                           (v_group.types IS NULL OR v.type = ANY (v_group.types))
                           AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                           AND (v_group.with_system OR v.category < '$' OR v.category >= '%')
                           AND (v_copies OR v.copied_from IS NULL) AS passes
                      FROM unnest(v_group.categories) AS c (category)
                     CROSS JOIN LATERAL
                           (SELECT * FROM {schema}.events x
                             WHERE (x.category, x.position) > (c.category, v_group.cursor)
                               AND (x.category, x.position) <= (c.category, head)
                             ORDER BY x.category, x.position LIMIT p_page) v
                     ORDER BY v.position LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN head ELSE v_last END;
        ELSE
            SELECT count(*), max(e.position), array_agg(e.position ORDER BY e.position),
                   array_agg(e.lane ORDER BY e.position)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane
                      FROM {schema}.events v
                     WHERE v.position > v_group.cursor
                       AND v.position <= least(head, v_group.cursor + p_positions)
                       AND (v_group.with_system OR v.category < '$' OR v.category >= '%')
                       AND (v_group.types IS NULL OR v.type = ANY (v_group.types))
                       AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                       AND (v_copies OR v.copied_from IS NULL)
                     ORDER BY v.position LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN least(head, v_group.cursor + p_positions)
                          ELSE v_last END;
        END IF;
    END IF;
    positions := coalesce(positions, '{}');
    lanes := coalesce(lanes, '{}');
    RETURN NEXT;
END
$function$;

-- Takes events into a group and moves its cursor, with why it stops there if it does; false: the
-- cursor has moved since, or another session is at it.
CREATE FUNCTION {schema}.group_take_in_v1(
    p_group     bigint,
    p_cursor    bigint,
    p_up_to     bigint,
    p_positions bigint[],
    p_lanes     bigint[],
    p_stopped   jsonb
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
AS $function$
BEGIN
    PERFORM FROM {schema}.groups g WHERE g.group_no = p_group AND g.cursor = p_cursor
        FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- Lanes before entries, here and everywhere, and in order of their numbers: whoever has locked
    -- a lane sees all entries of it with its next statement.
    INSERT INTO {schema}.group_lanes AS l (group_no, lane, state, head, entries)
    SELECT p_group, n.lane, 1, min(n.position), count(*)
      FROM unnest(p_lanes, p_positions) AS n (lane, position)
     GROUP BY n.lane ORDER BY n.lane
    ON CONFLICT (group_no, lane) DO UPDATE
       SET entries = l.entries + excluded.entries, head = coalesce(l.head, excluded.head);
    INSERT INTO {schema}.group_entries (group_no, lane, position)
    SELECT p_group, n.lane, n.position FROM unnest(p_lanes, p_positions) AS n (lane, position);
    UPDATE {schema}.groups g SET cursor = p_up_to, stopped = p_stopped WHERE g.group_no = p_group;
    RETURN true;
END
$function$;

-- Moves entries of locked lanes to the parked events, an element of the arrays each.
CREATE FUNCTION {schema}.group_park_v1(
    p_group     bigint,
    p_lanes     bigint[],
    p_positions bigint[],
    p_cause     bigint,
    p_reasons   text[],
    p_consumers text[],
    p_hold_back boolean
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
BEGIN
    WITH found AS MATERIALIZED (
        SELECT n.lane, n.position, n.reason, n.consumer, e.id, e.attempts
          FROM unnest(p_lanes, p_positions, p_reasons, p_consumers)
               AS n (lane, position, reason, consumer)
         CROSS JOIN LATERAL
               (SELECT x.ctid AS id, x.attempts FROM {schema}.group_entries x
                 WHERE x.group_no = p_group AND x.lane = n.lane AND x.position = n.position
                OFFSET 0) e),
    taken AS (
        DELETE FROM {schema}.group_entries e WHERE e.ctid = ANY (ARRAY(SELECT f.id FROM found f)))
    INSERT INTO {schema}.group_parked
           (group_no, position, lane, attempts, cause, reason, consumer, holds)
    -- One that a consumer parks has failed in the attempt under way.
    SELECT p_group, f.position, f.lane, f.attempts + CASE WHEN p_cause = 1 THEN 1 ELSE 0 END,
           p_cause, f.reason, f.consumer, p_hold_back
      FROM found f;
END
$function$;

-- Brings locked lanes to the state that they are in after entries of theirs were settled or parked:
-- so many were removed; whether the lease ends; and how long the lane waits after that.
CREATE FUNCTION {schema}.group_move_lanes_v1(
    p_group       bigint,
    p_lanes       bigint[],
    p_removed     bigint[],
    p_ends        boolean[],
    p_waits       interval[],
    p_ack_timeout interval
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    WITH n AS MATERIALIZED (
        SELECT o.id, u.removed, u.wait, h.head,
               CASE WHEN EXISTS (SELECT FROM {schema}.group_parked p
                                  WHERE p.group_no = p_group AND p.lane = u.lane AND p.holds)
                    THEN 4
                    WHEN u.ends AND u.wait > '0 s' THEN 3
                    WHEN u.ends OR o.under_way = u.removed THEN 1
                    ELSE 2 END AS state
          FROM unnest(p_lanes, p_removed, p_ends, p_waits) AS u (lane, removed, ends, wait)
         CROSS JOIN LATERAL
               (SELECT l.ctid AS id, l.under_way FROM {schema}.group_lanes l
                 WHERE l.group_no = p_group AND l.lane = u.lane OFFSET 0) o
          LEFT JOIN LATERAL
               (SELECT e.position AS head FROM {schema}.group_entries e
                 WHERE e.group_no = p_group AND e.lane = u.lane ORDER BY e.position LIMIT 1) h
               ON true),
    -- A lane without entries that nothing holds is over.
    over AS (
        DELETE FROM {schema}.group_lanes l
         WHERE l.ctid = ANY (ARRAY(SELECT n.id FROM n WHERE n.head IS NULL AND n.state <> 4)))
    UPDATE {schema}.group_lanes l
       SET state = n.state, head = n.head, entries = l.entries - n.removed,
           due_at = CASE n.state WHEN 2 THEN v_now + p_ack_timeout WHEN 3 THEN v_now + n.wait END,
           lease = CASE WHEN n.state = 2 THEN l.lease END,
           session = CASE WHEN n.state = 2 THEN l.session END,
           up_to = CASE WHEN n.state = 2 THEN l.up_to END,
           under_way = CASE WHEN n.state = 2 THEN l.under_way - n.removed ELSE 0 END
      FROM n WHERE l.ctid = n.id AND (n.head IS NOT NULL OR n.state = 4);
END
$function$;

-- How long an event waits that was delivered in vain so often.
CREATE FUNCTION {schema}.group_wait_v1(p_group {schema}.groups, p_attempts bigint)
RETURNS interval LANGUAGE sql IMMUTABLE AS $function$
    -- The power is cut off before it leaves the range of its type.
    SELECT make_interval(secs => least(
               extract(epoch FROM p_group.retry_max),
               extract(epoch FROM p_group.retry_initial)
               * p_group.retry_factor ^ least(p_attempts - 1, 100)));
$function$;

-- Ends leases: those of a session, or (NULL) those that have run out. With p_failed the oldest
-- entry of each lane, which the consumer was at, counts as delivered in vain.
CREATE FUNCTION {schema}.group_end_leases_v1(p_group bigint, p_session bigint, p_failed boolean)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_group     {schema}.groups%ROWTYPE;
    v_lanes     bigint[];
    v_heads     bigint[];
    v_sessions  bigint[];
    v_leases    bigint[];
    v_spent     bigint[] := '{}';
    v_at        bigint[];
    v_consumers text[];
BEGIN
    SELECT * INTO v_group FROM {schema}.groups g WHERE g.group_no = p_group;
    -- Those that somebody has locked at the moment are looked at again soon, if they ran out.
    IF p_session IS NULL THEN
        SELECT array_agg(x.lane), array_agg(x.head), array_agg(x.session),
               array_agg(x.lease)
          INTO v_lanes, v_heads, v_sessions, v_leases
          FROM (SELECT l.lane FROM {schema}.group_lanes l
                 WHERE l.group_no = p_group AND l.due_at <= clock_timestamp() OFFSET 0) o
         CROSS JOIN LATERAL
               (SELECT l.lane, l.head, l.session, l.lease FROM {schema}.group_lanes l
                 WHERE l.group_no = p_group AND l.lane = o.lane AND l.state = 2
                   AND l.due_at <= clock_timestamp() FOR UPDATE SKIP LOCKED) x;
    ELSE
        SELECT array_agg(x.lane), array_agg(x.head), array_agg(x.session),
               array_agg(x.lease)
          INTO v_lanes, v_heads, v_sessions, v_leases
          FROM (SELECT l.lane FROM {schema}.group_lanes l
                 WHERE l.session = p_session AND l.lease IS NOT NULL ORDER BY l.lane OFFSET 0) o
         CROSS JOIN LATERAL
               (SELECT l.lane, l.head, l.session, l.lease FROM {schema}.group_lanes l
                 WHERE l.group_no = p_group AND l.lane = o.lane AND l.session = p_session
                   FOR UPDATE) x;
    END IF;
    IF v_lanes IS NULL THEN
        RETURN;
    END IF;
    IF p_failed THEN
        WITH counted AS (
            UPDATE {schema}.group_entries e SET attempts = e.attempts + 1
              FROM (SELECT n.session, x.id
                      FROM unnest(v_lanes, v_heads, v_sessions, v_leases)
                           AS n (lane, head, session, lease)
                     CROSS JOIN LATERAL
                           (SELECT y.ctid AS id FROM {schema}.group_entries y
                             WHERE y.group_no = p_group AND y.lane = n.lane AND y.position = n.head
                               -- One that was replayed meanwhile is not the consumer's.
                               AND y.fence < n.lease OFFSET 0) x) n
             WHERE e.ctid = n.id
            RETURNING e.lane, e.position, e.attempts, n.session)
        SELECT array_agg(c.lane), array_agg(c.position), array_agg(coalesce(s.consumer, ''))
          INTO v_spent, v_at, v_consumers
          FROM counted c
          LEFT JOIN LATERAL (SELECT t.consumer FROM {schema}.group_sessions t
                              WHERE t.session = c.session OFFSET 0) s ON true
         WHERE c.attempts >= v_group.attempts_max;
        IF v_spent IS NOT NULL THEN
            PERFORM {schema}.group_park_v1(
                p_group, v_spent, v_at, 3, array_fill(''::text, ARRAY[cardinality(v_spent)]),
                v_consumers, v_group.hold_back);
        END IF;
    END IF;
    PERFORM {schema}.group_move_lanes_v1(
        p_group, v_lanes,
        ARRAY(SELECT (n.lane = ANY (coalesce(v_spent, '{}')))::integer::bigint
                FROM unnest(v_lanes) WITH ORDINALITY AS n (lane, n) ORDER BY n.n),
        array_fill(true, ARRAY[cardinality(v_lanes)]),
        array_fill(interval '0 s', ARRAY[cardinality(v_lanes)]), v_group.ack_timeout);
END
$function$;

-- Ends a session and gives back what it has; p_failed as above.
CREATE FUNCTION {schema}.group_end_session_v1(p_group bigint, p_session bigint, p_failed boolean)
RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
    -- Waits for a claim under way, the last one that gives it something.
    UPDATE {schema}.group_sessions s SET ended = true WHERE s.session = p_session;
    PERFORM {schema}.group_end_leases_v1(p_group, p_session, p_failed);
    DELETE FROM {schema}.group_sessions s WHERE s.session = p_session;
END
$function$;
