-- Numbers of leases and sessions. A later lease has a higher number, whatever becomes of its group.
CREATE SEQUENCE {schema}.group_numbers AS bigint;

-- Consumer groups. What a group has taken in from the log, and what is not settled of it, stands in
-- the tables below, which only these functions write to. They fill and empty all the time, so that
-- what the planner knows of their sizes is never true. So the functions leave it no choice: single
-- rows are looked up in subqueries that it cannot turn into joins, and changed by their ctid, which
-- stays the same while their lane is locked.
CREATE TABLE {schema}.groups (
    group_no      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        COLLATE "C" NOT NULL UNIQUE
                              CHECK (octet_length(name) BETWEEN 1 AND 128),
    -- Sorted sets; NULL: no demand.
    categories    text[]      COLLATE "C" CHECK (cardinality(categories) >= 1),
    stream        text        COLLATE "C" CHECK (octet_length(stream) BETWEEN 1 AND 255),
    types         text[]      COLLATE "C" CHECK (cardinality(types) >= 1),
    tags          text[]      COLLATE "C" CHECK (cardinality(tags) >= 1),
    -- A CEL expression; NULL: no demand.
    condition     text        CHECK (octet_length(condition) BETWEEN 1 AND 4096),
    with_system   boolean     NOT NULL,
    ack_timeout   interval    NOT NULL CHECK (ack_timeout BETWEEN '1 s' AND '12 h'),
    attempts_max  integer     NOT NULL CHECK (attempts_max BETWEEN 1 AND 1000000),
    retry_initial interval    NOT NULL CHECK (retry_initial >= '0 s'),
    retry_factor  double precision NOT NULL CHECK (retry_factor BETWEEN 1 AND 100),
    retry_max     interval    NOT NULL CHECK (retry_max <= '24 h'),
    -- Whether a parked event holds back the later ones of its stream.
    hold_back     boolean     NOT NULL,
    ordered       boolean     NOT NULL,
    generation    bigint      NOT NULL DEFAULT 1 CHECK (generation >= 1),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by    text        NOT NULL,
    -- Position up to which the log was taken in.
    cursor        bigint      NOT NULL CHECK (cursor >= 0),
    -- Why the event behind the cursor could not be told to pass the condition or not: reason,
    -- message and facts of the error; NULL: nothing stands in the way.
    stopped       jsonb,
    CHECK (categories IS NULL OR stream IS NULL),
    CHECK (retry_initial <= retry_max),
    CHECK (ordered OR NOT hold_back)
) WITH (fillfactor = 50);

-- A lane is what is with one consumer at a time: of an ordered group the stream with that number,
-- of another the event at that position. It has a row for as long as it has entries, or is held.
CREATE TABLE {schema}.group_lanes (
    group_no  bigint      NOT NULL,
    lane      bigint      NOT NULL,
    -- 1 ready, 2 leased, 3 waiting for a retry, 4 held back by a parked event.
    state     smallint    NOT NULL CHECK (state BETWEEN 1 AND 4),
    -- Position of its oldest entry; NULL: it has none.
    head      bigint      CHECK (head >= 1),
    -- How many entries it has.
    entries   bigint      NOT NULL CHECK (entries >= 0),
    -- When the lease runs out, or the wait ends; by PostgreSQL's clock.
    due_at    timestamptz,
    -- The fencing token: it goes up with each consumer that the lane is given to.
    lease     bigint,
    -- Session of the consumer that has it.
    session   bigint,
    -- Entries up to this position were delivered under the lease, and so many are not settled yet.
    up_to     bigint,
    under_way bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (group_no, lane),
    CHECK ((head IS NULL) = (entries = 0)),
    CHECK (entries > 0 OR state = 4),
    CHECK ((due_at IS NOT NULL) = (state IN (2, 3))),
    CHECK ((state = 2) = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (session IS NULL) AND (lease IS NULL) = (up_to IS NULL)),
    CHECK ((lease IS NULL) = (under_way = 0) AND under_way BETWEEN 0 AND entries)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- In order of the oldest entry: which lane is next, and how far the group is.
CREATE INDEX group_lanes_head ON {schema}.group_lanes (group_no, state, head);
-- What a session has.
CREATE UNIQUE INDEX group_lanes_lease ON {schema}.group_lanes (session, lease)
    WHERE lease IS NOT NULL;
CREATE INDEX group_lanes_due ON {schema}.group_lanes (group_no, due_at) WHERE due_at IS NOT NULL;

-- Events that were taken in, and are neither settled nor parked.
CREATE TABLE {schema}.group_entries (
    group_no bigint  NOT NULL,
    lane     bigint  NOT NULL,
    position bigint  NOT NULL CHECK (position >= 1),
    -- How often it was delivered in vain.
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- It was replayed while the lane had this lease, which it does not belong to; 0: it was not.
    fence    bigint  NOT NULL DEFAULT 0 CHECK (fence >= 0),
    PRIMARY KEY (group_no, lane, position)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE TABLE {schema}.group_parked (
    group_no  bigint      NOT NULL,
    position  bigint      NOT NULL CHECK (position >= 1),
    lane      bigint      NOT NULL,
    attempts  integer     NOT NULL CHECK (attempts >= 1),
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The numbers of the proto's ParkCause.
    cause     smallint    NOT NULL CHECK (cause BETWEEN 1 AND 3),
    reason    text        NOT NULL CHECK (octet_length(reason) <= 1024),
    consumer  text        NOT NULL,
    -- Whether it holds back the later events of its lane.
    holds     boolean     NOT NULL,
    PRIMARY KEY (group_no, position)
);
CREATE INDEX group_parked_holds ON {schema}.group_parked (group_no, lane) WHERE holds;

-- Sessions: one that has ended, or has no row, is given nothing any more.
CREATE TABLE {schema}.group_sessions (
    session  bigint      PRIMARY KEY DEFAULT nextval('{schema}.group_numbers'),
    ended    boolean     NOT NULL DEFAULT false,
    group_no bigint      NOT NULL,
    consumer text        NOT NULL CHECK (octet_length(consumer) <= 128),
    caller   text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
CREATE INDEX group_sessions_group ON {schema}.group_sessions (group_no);

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

-- Gives lanes that are ready to sessions, the oldest first and one session after the other, up to
-- the credits of each, and at most p_lane_max entries of a lane. Answers a row for each session
-- that got something, and one with dealt = 0 that tells how long nothing more can be given unless
-- something happens (NULL: for ever). Notes too that the sessions p_alive are alive.
CREATE FUNCTION {schema}.group_claim_v1(
    p_group    bigint,
    p_sessions bigint[],
    p_credits  bigint[],
    p_lane_max bigint,
    p_alive    bigint[]
) RETURNS TABLE (
    dealt     bigint,
    positions bigint[],
    leases    bigint[],
    attempts  bigint[],
    due_in    interval
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_now     timestamptz := clock_timestamp();
    v_timeout interval;
    v_lanes   bigint[];
    v_leases  bigint[];
    v_credits bigint[];
BEGIN
    SELECT g.ack_timeout INTO v_timeout FROM {schema}.groups g WHERE g.group_no = p_group;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE {schema}.group_sessions s SET seen_at = v_now WHERE s.session = ANY (p_alive);
    -- A session may end at this very moment: what it is given now, its end waits to give back.
    v_credits := ARRAY(
        SELECT CASE WHEN EXISTS (SELECT FROM {schema}.group_sessions t
                                  WHERE t.session = c.session AND NOT t.ended FOR SHARE)
                    THEN c.credits ELSE 0 END
          FROM unnest(p_sessions, p_credits) WITH ORDINALITY AS c (session, credits, n)
         ORDER BY c.n);

    -- Nobody takes over what nobody wants.
    IF 0 < ANY (v_credits)
       AND EXISTS (SELECT FROM {schema}.group_lanes l
                    WHERE l.group_no = p_group AND l.due_at <= v_now) THEN
        PERFORM {schema}.group_end_leases_v1(p_group, NULL, true);
        UPDATE {schema}.group_lanes l SET state = 1, due_at = NULL
         WHERE l.ctid = ANY (ARRAY(
               SELECT x.id
                 FROM (SELECT w.lane FROM {schema}.group_lanes w
                        WHERE w.group_no = p_group AND w.due_at <= v_now OFFSET 0) o
                CROSS JOIN LATERAL
                      (SELECT w.ctid AS id FROM {schema}.group_lanes w
                        WHERE w.group_no = p_group AND w.lane = o.lane AND w.state = 3
                          AND w.due_at <= v_now FOR UPDATE SKIP LOCKED) x));
    END IF;

    -- In a statement of its own: entries are read and leases numbered after the lanes were locked.
    SELECT array_agg(o.lane ORDER BY o.head) INTO v_lanes
      FROM (SELECT l.lane, l.head FROM {schema}.group_lanes l
             WHERE l.group_no = p_group AND l.state = 1
             ORDER BY l.head
             LIMIT (SELECT coalesce(sum(c.credits), 0) FROM unnest(v_credits) AS c (credits))
               FOR UPDATE SKIP LOCKED) o;
    v_leases := ARRAY(SELECT nextval('{schema}.group_numbers') FROM unnest(v_lanes));
    RETURN QUERY
    WITH offered AS (
        SELECT o.session, o.lane, o.lease, e.position, e.attempts,
               row_number() OVER (PARTITION BY o.session ORDER BY o.n, e.position) AS nth
          FROM (SELECT v.lane, v.lease, v.n, 1 + (v.n - 1) % cardinality(p_sessions) AS session
                  FROM unnest(v_lanes, v_leases) WITH ORDINALITY AS v (lane, lease, n)) o
         CROSS JOIN LATERAL
               (SELECT x.position, x.attempts FROM {schema}.group_entries x
                 WHERE x.group_no = p_group AND x.lane = o.lane
                 ORDER BY x.position LIMIT least(p_lane_max, v_credits[o.session])) e),
    taken AS MATERIALIZED (SELECT * FROM offered f WHERE f.nth <= v_credits[f.session]),
    moved AS (
        UPDATE {schema}.group_lanes l
           SET state = 2, due_at = clock_timestamp() + v_timeout, lease = g.lease,
               session = p_sessions[g.session], up_to = g.up_to, under_way = g.under_way
          FROM (SELECT m.*, o.id
                  FROM (SELECT k.session, k.lane, k.lease, max(k.position) AS up_to,
                               count(*) AS under_way
                          FROM taken k GROUP BY k.session, k.lane, k.lease) m
                 CROSS JOIN LATERAL
                       (SELECT x.ctid AS id FROM {schema}.group_lanes x
                         WHERE x.group_no = p_group AND x.lane = m.lane OFFSET 0) o) g
         WHERE l.ctid = g.id)
    SELECT t.session, array_agg(t.position ORDER BY t.position),
           array_agg(t.lease ORDER BY t.position),
           array_agg(t.attempts::bigint + 1 ORDER BY t.position), NULL::interval
      FROM taken t GROUP BY t.session;

    dealt := 0; positions := '{}'; leases := '{}'; attempts := '{}';
    SELECT min(l.due_at) - v_now INTO due_in FROM {schema}.group_lanes l
     WHERE l.group_no = p_group AND l.due_at IS NOT NULL;
    RETURN NEXT;
END
$function$;

-- Settles events. A settlement is an element of p_actions (the numbers of the proto's
-- SettleAction), p_sessions, p_reasons, p_waits (NULL: what the group says) and p_ends, the number
-- of the last of its events; these are the elements of p_positions and p_leases. Settlements take
-- effect one after the other, and all in one transaction. Answers a row for each event that is not
-- settled because its lease is lost, or was parked because its attempts are used up. No group: all
-- is lost.
CREATE FUNCTION {schema}.group_settle_v1(
    p_group     bigint,
    p_actions   bigint[],
    p_sessions  bigint[],
    p_reasons   text[],
    p_waits     interval[],
    p_ends      bigint[],
    p_positions bigint[],
    p_leases    bigint[]
) RETURNS TABLE (settlement bigint, pos bigint, lost boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_group       {schema}.groups%ROWTYPE;
    -- By event, the number of its settlement.
    v_settlements bigint[];
    -- Lanes of them, and what becomes of each.
    v_lanes       bigint[];
    v_removed     bigint[];
    v_ends        boolean[];
    v_waits       interval[];
    -- Events whose lease holds: number of the settlement, lane, position.
    v_n           bigint[];
    v_lane        bigint[];
    v_position    bigint[];
    v_ids         tid[];
    -- Those of them that are retried, and how often they were delivered in vain.
    v_retried_n   bigint[];
    v_retried     bigint[];
    v_retried_at  bigint[];
    v_attempts    bigint[];
BEGIN
    SELECT * INTO v_group FROM {schema}.groups g WHERE g.group_no = p_group;
    v_settlements := ARRAY(
        SELECT s.n FROM generate_subscripts(p_ends, 1) AS s (n)
         CROSS JOIN generate_series(coalesce(p_ends[s.n - 1], 0) + 1, p_ends[s.n]) AS e (n)
         ORDER BY e.n);
    -- In order of the lanes, so that nobody waits for each other.
    PERFORM FROM (SELECT k.lane, d.session, d.lease
                    FROM (SELECT DISTINCT p_sessions[u.n] AS session, u.lease
                            FROM unnest(v_settlements, p_leases) AS u (n, lease)) d
                   CROSS JOIN LATERAL
                         (SELECT l.lane FROM {schema}.group_lanes l
                           WHERE l.session = d.session AND l.lease = d.lease OFFSET 0) k
                   ORDER BY k.lane OFFSET 0) o
           CROSS JOIN LATERAL
                 (SELECT FROM {schema}.group_lanes l
                   WHERE l.session = o.session AND l.lease = o.lease FOR UPDATE) x;

    -- In a statement of its own, after the lanes were locked. Of an event that is settled twice the
    -- first counts; of a lane, what comes behind a settlement that gives it back is lost.
    WITH named AS (
        SELECT DISTINCT u.n, p_actions[u.n] AS action, l.lane, u.position, e.id
          FROM unnest(v_settlements, p_positions, p_leases) AS u (n, position, lease)
         CROSS JOIN LATERAL
               (SELECT x.lane, x.up_to, x.lease FROM {schema}.group_lanes x
                 WHERE x.session = p_sessions[u.n] AND x.lease = u.lease OFFSET 0) l
         CROSS JOIN LATERAL
               (SELECT x.ctid AS id, x.fence FROM {schema}.group_entries x
                 WHERE x.group_no = p_group AND x.lane = l.lane AND x.position = u.position
                OFFSET 0) e
         WHERE u.position <= l.up_to AND e.fence < l.lease),
    firsts AS (
        SELECT m.*, min(m.n) FILTER (WHERE m.action <> 5)
                    OVER (PARTITION BY m.lane, m.position) AS first
          FROM named m),
    ends AS (
        SELECT f.*, min(f.n) FILTER (WHERE f.n = f.first
                                       AND (f.action = 2 OR f.action = 3 AND v_group.hold_back))
                    OVER (PARTITION BY f.lane) AS giving_back
          FROM firsts f)
    SELECT coalesce(array_agg(d.n), '{}'), coalesce(array_agg(d.lane), '{}'),
           coalesce(array_agg(d.position), '{}'), array_agg(d.id)
      INTO v_n, v_lane, v_position, v_ids
      FROM ends d
     WHERE (d.first IS NULL OR d.n <= d.first)
       AND (d.giving_back IS NULL OR d.n <= d.giving_back);
    RETURN QUERY
    SELECT u.n, u.position, true
      FROM (SELECT * FROM unnest(v_settlements, p_positions) AS v (n, position)
            EXCEPT SELECT * FROM unnest(v_n, v_position)) u;
    IF v_n = '{}' THEN
        RETURN;
    END IF;

    DELETE FROM {schema}.group_entries e
     WHERE e.ctid = ANY (ARRAY(SELECT g.id FROM unnest(v_n, v_ids) AS g (n, id)
                                WHERE p_actions[g.n] IN (1, 4)));
    WITH counted AS (
        UPDATE {schema}.group_entries e SET attempts = e.attempts + 1
          FROM unnest(v_n, v_ids) AS g (n, id)
         WHERE e.ctid = g.id AND p_actions[g.n] = 2
        RETURNING g.n, e.lane, e.position, e.attempts)
    SELECT array_agg(c.n), array_agg(c.lane), array_agg(c.position), array_agg(c.attempts)
      INTO v_retried_n, v_retried, v_retried_at, v_attempts
      FROM counted c;
    PERFORM {schema}.group_park_v1(
                p_group, array_agg(k.lane), array_agg(k.position), k.cause,
                array_agg(p_reasons[k.n]), array_agg(coalesce(s.consumer, '')), v_group.hold_back)
       FROM (SELECT g.n, g.lane, g.position, 1 AS cause
               FROM unnest(v_n, v_lane, v_position) AS g (n, lane, position)
              WHERE p_actions[g.n] = 3
              UNION ALL
             SELECT g.n, g.lane, g.position, 2
               FROM unnest(v_retried_n, v_retried, v_retried_at, v_attempts)
                    AS g (n, lane, position, attempts)
              WHERE g.attempts >= v_group.attempts_max) k
       LEFT JOIN LATERAL (SELECT t.consumer FROM {schema}.group_sessions t
                           WHERE t.session = p_sessions[k.n] OFFSET 0) s ON true
      GROUP BY k.cause;
    RETURN QUERY
    SELECT g.n, g.position, false
      FROM unnest(v_retried_n, v_retried_at, v_attempts) AS g (n, position, attempts)
     WHERE g.attempts >= v_group.attempts_max;

    -- A lane waits for the oldest of its events that are tried again.
    SELECT array_agg(t.lane), array_agg(t.removed), array_agg(t.ends),
           array_agg(coalesce(t.wait, '0 s'))
      INTO v_lanes, v_removed, v_ends, v_waits
      FROM (SELECT k.lane, count(*) FILTER (WHERE k.removed) AS removed, bool_or(k.ends) AS ends,
                   (array_agg(k.wait ORDER BY k.position) FILTER (WHERE NOT k.removed))[1] AS wait
              FROM (SELECT g.lane, g.position, p_actions[g.n] <> 5 AS removed,
                           p_actions[g.n] = 3 AND v_group.hold_back AS ends, NULL::interval AS wait
                      FROM unnest(v_n, v_lane, v_position) AS g (n, lane, position)
                     WHERE p_actions[g.n] <> 2
                     UNION ALL
                    SELECT g.lane, g.position, g.attempts >= v_group.attempts_max, true,
                           coalesce(p_waits[g.n], {schema}.group_wait_v1(v_group, g.attempts))
                      FROM unnest(v_retried_n, v_retried, v_retried_at, v_attempts)
                           AS g (n, lane, position, attempts)) k
             GROUP BY k.lane) t;
    PERFORM {schema}.group_move_lanes_v1(
        p_group, v_lanes, v_removed, v_ends, v_waits, v_group.ack_timeout);
END
$function$;

-- Delivers parked events again (p_positions, NULL: all; those parked before p_before, at most
-- p_limit, the oldest first), or with p_purge gives them up; answers how many. NULL: there is no
-- such group.
CREATE FUNCTION {schema}.group_unpark_v1(
    p_group     bigint,
    p_positions bigint[],
    p_before    timestamptz,
    p_limit     bigint,
    p_purge     boolean
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
AS $function$
DECLARE
    v_lanes bigint[];
    v_at    bigint[];
BEGIN
    -- One at a time of what changes a group as a whole; consumers go on.
    PERFORM FROM {schema}.groups g WHERE g.group_no = p_group FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF p_positions IS NULL THEN
        SELECT array_agg(o.lane), array_agg(o.position) INTO v_lanes, v_at
          FROM (SELECT p.lane, p.position FROM {schema}.group_parked p
                 WHERE p.group_no = p_group AND p.parked_at < p_before
                 ORDER BY p.position LIMIT p_limit) o;
    ELSE
        SELECT array_agg(p.lane), array_agg(p.position) INTO v_lanes, v_at
          FROM {schema}.group_parked p
         WHERE p.group_no = p_group AND p.position = ANY (p_positions);
    END IF;
    IF v_at IS NULL THEN
        RETURN 0;
    END IF;
    IF p_purge THEN
        PERFORM FROM (SELECT DISTINCT u.lane FROM unnest(v_lanes) AS u (lane)
                       ORDER BY u.lane OFFSET 0) o
               CROSS JOIN LATERAL
                     (SELECT FROM {schema}.group_lanes l
                       WHERE l.group_no = p_group AND l.lane = o.lane FOR UPDATE) x;
    ELSE
        INSERT INTO {schema}.group_lanes AS l (group_no, lane, state, head, entries)
        SELECT p_group, n.lane, 1, min(n.position), count(*)
          FROM unnest(v_lanes, v_at) AS n (lane, position)
         GROUP BY n.lane ORDER BY n.lane
        ON CONFLICT (group_no, lane) DO UPDATE
           SET entries = l.entries + excluded.entries, head = least(l.head, excluded.head);
        -- The lane may be leased, to whoever parked the event; that lease is not for it any more.
        INSERT INTO {schema}.group_entries (group_no, lane, position, fence)
        SELECT p_group, n.lane, n.position, coalesce(l.lease, 0)
          FROM unnest(v_lanes, v_at) AS n (lane, position)
         CROSS JOIN LATERAL
               (SELECT x.lease FROM {schema}.group_lanes x
                 WHERE x.group_no = p_group AND x.lane = n.lane OFFSET 0) l;
    END IF;
    DELETE FROM {schema}.group_parked p
     WHERE p.ctid = ANY (ARRAY(
           SELECT x.id FROM unnest(v_at) AS n (position)
            CROSS JOIN LATERAL
                  (SELECT y.ctid AS id FROM {schema}.group_parked y
                    WHERE y.group_no = p_group AND y.position = n.position OFFSET 0) x));
    -- Lanes that nothing holds any more.
    WITH n AS MATERIALIZED (
        SELECT l.id, l.entries
          FROM (SELECT DISTINCT u.lane FROM unnest(v_lanes) AS u (lane)) d
         CROSS JOIN LATERAL
               (SELECT x.ctid AS id, x.entries, x.state FROM {schema}.group_lanes x
                 WHERE x.group_no = p_group AND x.lane = d.lane OFFSET 0) l
         WHERE l.state = 4
           AND NOT EXISTS (SELECT FROM {schema}.group_parked p
                            WHERE p.group_no = p_group AND p.lane = d.lane AND p.holds)),
    over AS (
        DELETE FROM {schema}.group_lanes l
         WHERE l.ctid = ANY (ARRAY(SELECT n.id FROM n WHERE n.entries = 0)))
    UPDATE {schema}.group_lanes l SET state = 1
     WHERE l.ctid = ANY (ARRAY(SELECT n.id FROM n WHERE n.entries > 0));
    RETURN cardinality(v_at);
END
$function$;

-- Lets a group begin anew behind a position (NULL: deletes it); false: there is no such group.
CREATE FUNCTION {schema}.group_reset_v1(p_group bigint, p_cursor bigint)
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
AS $function$
BEGIN
    PERFORM FROM {schema}.groups g WHERE g.group_no = p_group FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_cursor IS NULL THEN
        -- Before the lanes, as sessions that end and claims do.
        PERFORM FROM {schema}.group_sessions s WHERE s.group_no = p_group
          ORDER BY s.session FOR UPDATE;
    END IF;
    -- In the order in which settlements lock them.
    PERFORM FROM {schema}.group_lanes l WHERE l.group_no = p_group ORDER BY l.lane FOR UPDATE;
    DELETE FROM {schema}.group_entries e WHERE e.group_no = p_group;
    DELETE FROM {schema}.group_lanes l WHERE l.group_no = p_group;
    DELETE FROM {schema}.group_parked p
     WHERE p.group_no = p_group AND (p_cursor IS NULL OR p.position > p_cursor);
    IF p_cursor IS NULL THEN
        DELETE FROM {schema}.group_sessions s WHERE s.group_no = p_group;
        DELETE FROM {schema}.groups g WHERE g.group_no = p_group;
    ELSE
        INSERT INTO {schema}.group_lanes (group_no, lane, state, entries)
        SELECT DISTINCT p_group, p.lane, 4, 0 FROM {schema}.group_parked p
         WHERE p.group_no = p_group AND p.holds;
        UPDATE {schema}.groups g
           SET cursor = p_cursor, stopped = NULL, generation = g.generation + 1
         WHERE g.group_no = p_group;
    END IF;
    RETURN true;
END
$function$;
