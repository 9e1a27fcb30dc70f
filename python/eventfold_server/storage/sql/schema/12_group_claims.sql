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
