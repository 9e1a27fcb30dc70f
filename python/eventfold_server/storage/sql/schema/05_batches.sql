-- Appends a batch in one transaction, group by group, and decides on each append as
-- check_append_v1 does. If p_plain, the first group holds appends that stand for themselves: each
-- of them is stored or refused, no two of them are on one stream, and no id stands in two. Every
-- other group is one append to several streams: stored whole or not at all, on condition of its
-- checks, and it sees what the groups before it stored.
--
-- Arrays hold one element a group (p_append_ends, p_check_ends: its last append and check), an
-- append (p_streams to p_catalogue_versions; append i has the events from p_event_ends[i - 1] + 1
-- to p_event_ends[i]), an event (from p_appends, the number of its append, to p_stored; tags as in
-- append_v1) or a check. Call it in READ COMMITTED, as append_v1.
--
-- Answers a row for each append, with the outcomes of append_v1, but in a group that is stored
-- whole or not at all only for those that did not pass, unless all did. A check that failed has a
-- row with check_number in place of append_number. Numbers count from 1.
CREATE FUNCTION {schema}.append_batch_v1(
    p_plain              boolean,
    p_append_ends        integer[],
    p_check_ends         integer[],
    p_streams            text[],
    p_expected           bigint[],
    p_event_ends         integer[],
    p_catalogue_versions bigint[],
    p_appends            integer[],
    p_categories         text[],
    p_writers            text[],
    p_trace_contexts     text[],
    p_ids                uuid[],
    p_types              text[],
    p_data               bytea[],
    p_metadata           bytea[],
    p_tags               text[],
    p_tag_ends           integer[],
    p_occurred_at        timestamptz[],
    p_flags              integer[],
    p_sent               bytea[],
    p_stored             bytea[],
    p_check_streams      text[],
    p_check_expected     bigint[]
) RETURNS TABLE (
    append_number     integer,
    check_number      integer,
    outcome           text,
    first_version     bigint,
    first_position    bigint,
    positions         bigint[],
    recorded_at       timestamptz,
    actual_version    bigint,
    successor         text,
    differs_at        integer,
    problem           text,
    catalogue_version bigint
) LANGUAGE plpgsql
-- Plans are made once, for tables of any size, and must not read one from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $function$
#variable_conflict use_column
DECLARE
    v_position   bigint;
    v_recorded   timestamptz;
    v_catalogue  bigint;
    v_now        timestamptz;
    v_whole      boolean;
    v_rows       integer;
    -- Of the group: its first and last append, event and check.
    v_a1 integer; v_a2 integer := 0;
    v_e1 integer; v_e2 integer := 0;
    v_c1 integer; v_c2 integer := 0;
    -- Numbers of the appends of the group that have an id which is stored.
    v_known      integer[];
    -- One element an append of the group. v_numbers: of the stream, 0 if nothing is stored now.
    v_outcomes   text[];
    v_numbers    bigint[];
    v_versions   bigint[];
    v_successors text[];
    -- Numbers of streams that exist and get events.
    v_moving     bigint[];
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.position, c.recorded_at, c.catalogue_version
      INTO v_position, v_recorded, v_catalogue
      FROM {schema}.counter c FOR UPDATE;
    v_now := greatest(clock_timestamp(), v_recorded);

    FOR v_group IN 1 .. cardinality(p_append_ends) LOOP
        v_whole := v_group > 1 OR NOT p_plain;
        v_a1 := v_a2 + 1; v_a2 := p_append_ends[v_group];
        v_e1 := v_e2 + 1; v_e2 := p_event_ends[v_a2];
        v_c1 := v_c2 + 1; v_c2 := p_check_ends[v_group];

        -- Lookups stand in subqueries that the planner cannot turn into joins.
        SELECT coalesce(array_agg(DISTINCT i.append), '{}') INTO v_known
          FROM unnest(p_appends[v_e1 : v_e2], p_ids[v_e1 : v_e2]) AS i (append, id)
         WHERE (SELECT e.position FROM {schema}.events e WHERE e.event_id = i.id) IS NOT NULL;
        SELECT array_agg(d.outcome), array_agg(d.number), array_agg(d.version),
               array_agg(d.successor),
               array_agg(d.number) FILTER (WHERE d.outcome = 'append' AND d.version > 0)
          INTO v_outcomes, v_numbers, v_versions, v_successors, v_moving
          FROM (SELECT c.*,
                       CASE WHEN c.outcome = 'append' THEN
                       coalesce(c.stream_no, nextval('{schema}.streams_stream_no_seq'))
                       ELSE 0 END AS number
                  FROM (SELECT a.n, s.stream_no, coalesce(s.version, 0) AS version, s.successor,
                               CASE WHEN a.catalogue_version <> v_catalogue THEN 'stale'
                                    WHEN v_a1 + a.n - 1 = ANY (v_known) THEN 'known'
                                    WHEN s.lifecycle = 2 THEN 'closed'
                                    WHEN s.lifecycle = 3 THEN 'deleted'
                                    WHEN a.expected >= 0 AND a.expected <> coalesce(s.version, 0)
                                      OR a.expected = -1 AND s.version IS NULL THEN 'conflict'
                                    ELSE 'append' END AS outcome
                          FROM unnest(p_streams[v_a1 : v_a2], p_expected[v_a1 : v_a2],
                                      p_catalogue_versions[v_a1 : v_a2])
                               WITH ORDINALITY AS a (stream, expected, catalogue_version, n)
                          LEFT JOIN LATERAL
                               (SELECT * FROM {schema}.streams x WHERE x.name = a.stream OFFSET 0)
                               AS s ON true) AS c
                 ORDER BY c.n) AS d;

        IF NOT 'append' = ALL (v_outcomes) THEN
            FOR v_i IN 1 .. cardinality(v_outcomes) LOOP
                CONTINUE WHEN v_outcomes[v_i] = 'append' AND NOT (v_whole AND v_known <> '{}');
                append_number := v_a1 + v_i - 1;
                first_version := NULL; positions := NULL; append_batch_v1.recorded_at := NULL;
                actual_version := v_versions[v_i];
                append_batch_v1.successor := v_successors[v_i];
                differs_at := NULL; problem := NULL;
                append_batch_v1.catalogue_version := v_catalogue;
                outcome := v_outcomes[v_i];
                IF outcome = 'known' THEN
                    SELECT d.outcome, d.first_version, d.positions, d.recorded_at, d.differs_at,
                           d.problem
                      INTO append_batch_v1.outcome, append_batch_v1.first_version,
                           append_batch_v1.positions, append_batch_v1.recorded_at,
                           append_batch_v1.differs_at, append_batch_v1.problem
                      FROM {schema}.check_append_v1(
                               p_streams[append_number], p_expected[append_number],
                               p_ids[coalesce(p_event_ends[append_number - 1], 0) + 1
                                     : p_event_ends[append_number]],
                               p_sent[coalesce(p_event_ends[append_number - 1], 0) + 1
                                      : p_event_ends[append_number]]) d;
                ELSIF v_whole AND v_known <> '{}' AND outcome <> 'stale' THEN
                    -- Others of the group are stored, so that this one should be.
                    outcome := 'reused'; differs_at := 1; problem := 'not_stored';
                END IF;
                v_outcomes[v_i] := outcome;
                RETURN NEXT;
            END LOOP;
        END IF;

        IF v_whole THEN
            CONTINUE WHEN 'duplicate' = ALL (v_outcomes) OR 'stale' = ANY (v_outcomes);
            RETURN QUERY
            SELECT NULL::integer, v_c1 + c.n::integer - 1,
                   CASE WHEN s.lifecycle = 3 THEN 'deleted' ELSE 'conflict' END,
                   NULL::bigint, NULL::bigint, NULL::bigint[], NULL::timestamptz,
                   coalesce(s.version, 0), NULL::text, NULL::integer, NULL::text, v_catalogue
              FROM unnest(p_check_streams[v_c1 : v_c2], p_check_expected[v_c1 : v_c2])
                   WITH ORDINALITY AS c (stream, expected, n)
              LEFT JOIN LATERAL
                   (SELECT * FROM {schema}.streams x WHERE x.name = c.stream OFFSET 0) AS s ON true
             WHERE s.lifecycle = 3
                OR c.expected >= 0 AND c.expected <> coalesce(s.version, 0)
                OR c.expected = -1 AND s.version IS NULL;
            CONTINUE WHEN FOUND OR NOT 'append' = ALL (v_outcomes);
        END IF;

        IF 0 = ANY (v_versions) THEN
            INSERT INTO {schema}.streams (stream_no, name, category, version, root, created_at)
            OVERRIDING SYSTEM VALUE
            SELECT v_numbers[a.n], a.name, p_categories[a.event_end],
                   a.event_end - coalesce(p_event_ends[v_a1 + a.n - 2], 0), a.name, v_now
              FROM (SELECT u.name, u.event_end, u.n::integer AS n
                      FROM unnest(p_streams[v_a1 : v_a2], p_event_ends[v_a1 : v_a2])
                           WITH ORDINALITY AS u (name, event_end, n)) AS a
             WHERE v_numbers[a.n] > 0 AND v_versions[a.n] = 0;
        END IF;
        IF v_moving IS NOT NULL THEN
            UPDATE {schema}.streams s
               SET version = s.version
                   + p_event_ends[v_a1 - 1 + array_position(v_numbers, s.stream_no)]
                   - coalesce(p_event_ends[v_a1 - 2 + array_position(v_numbers, s.stream_no)], 0)
             WHERE s.stream_no = ANY (v_moving);
        END IF;
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, flags, type, category, writer, data, metadata, tags,
                                     sent_digest, stored_digest, trace_context)
        SELECT v_position + row_number() OVER (ORDER BY e.n), v_numbers[e.append - v_a1 + 1],
               v_versions[e.append - v_a1 + 1] + v_e1 - 1 + e.n
               - coalesce(p_event_ends[e.append - 1], 0),
               v_now, coalesce(e.occurred_at, v_now), e.id, e.flags, e.type, e.category, e.writer,
               e.data, e.metadata,
               nullif(p_tags[coalesce(p_tag_ends[v_e1 + e.n::integer - 2], 0) + 1 : e.tag_end],
                      '{}'),
               e.sent, e.stored, e.trace_context
          FROM unnest(p_appends[v_e1 : v_e2], p_categories[v_e1 : v_e2], p_writers[v_e1 : v_e2],
                      p_trace_contexts[v_e1 : v_e2], p_ids[v_e1 : v_e2], p_types[v_e1 : v_e2],
                      p_data[v_e1 : v_e2], p_metadata[v_e1 : v_e2], p_tag_ends[v_e1 : v_e2],
                      p_occurred_at[v_e1 : v_e2], p_flags[v_e1 : v_e2], p_sent[v_e1 : v_e2],
                      p_stored[v_e1 : v_e2])
               WITH ORDINALITY
               AS e (append, category, writer, trace_context, id, type, data, metadata, tag_end,
                     occurred_at, flags, sent, stored, n)
         WHERE v_numbers[e.append - v_a1 + 1] > 0;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        RETURN QUERY
        SELECT v_a1 + a.n - 1, NULL::integer, 'append', v_versions[a.n] + 1,
               v_position + 1 + (sum(a.events) OVER (ORDER BY a.n))::bigint - a.events,
               NULL::bigint[], v_now, v_versions[a.n], NULL::text, NULL::integer, NULL::text,
               v_catalogue
          FROM (SELECT n, p_event_ends[v_a1 + n - 1]
                          - coalesce(p_event_ends[v_a1 + n - 2], 0) AS events
                  FROM generate_subscripts(v_numbers, 1) AS n
                 WHERE v_numbers[n] > 0) AS a;
        v_position := v_position + v_rows;
        v_recorded := v_now;
    END LOOP;

    UPDATE {schema}.counter c SET position = v_position, recorded_at = v_recorded
     WHERE c.position <> v_position;
END
$function$;

-- As append_batch_v1, with less work for each append.
CREATE FUNCTION {schema}.append_batch_v2(
    p_plain              boolean,
    p_append_ends        integer[],
    p_check_ends         integer[],
    p_streams            text[],
    p_expected           bigint[],
    p_event_ends         integer[],
    p_catalogue_versions bigint[],
    p_appends            integer[],
    p_categories         text[],
    p_writers            text[],
    p_trace_contexts     text[],
    p_ids                uuid[],
    p_types              text[],
    p_data               bytea[],
    p_metadata           bytea[],
    p_tags               text[],
    p_tag_ends           integer[],
    p_occurred_at        timestamptz[],
    p_flags              integer[],
    p_sent               bytea[],
    p_stored             bytea[],
    p_check_streams      text[],
    p_check_expected     bigint[]
) RETURNS TABLE (
    append_number     integer,
    check_number      integer,
    outcome           text,
    first_version     bigint,
    first_position    bigint,
    positions         bigint[],
    recorded_at       timestamptz,
    actual_version    bigint,
    successor         text,
    differs_at        integer,
    problem           text,
    catalogue_version bigint
) LANGUAGE plpgsql
-- Plans are made once, for tables of any size, and must not read one from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $function$
#variable_conflict use_column
DECLARE
    v_position   bigint;
    v_recorded   timestamptz;
    v_catalogue  bigint;
    v_now        timestamptz;
    v_whole      boolean;
    -- Of the group: its first and last append, event and check.
    v_a1 integer; v_a2 integer := 0;
    v_e1 integer; v_e2 integer := 0;
    v_c1 integer; v_c2 integer := 0;
    -- Whether an id of the group is stored, and the numbers of the appends that have one.
    v_any_known  boolean;
    v_known      integer[];
    -- One element an append of the group. v_numbers: of the stream, 0 if nothing is stored now.
    v_outcomes   text[];
    v_numbers    bigint[];
    v_versions   bigint[];
    v_successors text[];
    -- Whether an append of the group does not pass, begins a stream, goes on with one.
    v_refused    boolean;
    v_begins     boolean;
    v_goes_on    boolean;
    -- Events of the group that are not stored: so far, and before each append (NULL: none).
    v_missing    integer;
    v_before     integer[];
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.position, c.recorded_at, c.catalogue_version
      INTO v_position, v_recorded, v_catalogue
      FROM {schema}.counter c FOR UPDATE;
    v_now := greatest(clock_timestamp(), v_recorded);

    FOR v_group IN 1 .. cardinality(p_append_ends) LOOP
        v_whole := v_group > 1 OR NOT p_plain;
        v_a1 := v_a2 + 1; v_a2 := p_append_ends[v_group];
        v_e1 := v_e2 + 1; v_e2 := p_event_ends[v_a2];
        v_c1 := v_c2 + 1; v_c2 := p_check_ends[v_group];

        v_known := '{}';
        v_any_known := EXISTS (SELECT FROM {schema}.events e
                                WHERE e.event_id = ANY (p_ids[v_e1 : v_e2]));
        IF v_any_known THEN
            SELECT array_agg(DISTINCT p_appends[n]) INTO v_known
              FROM generate_series(v_e1, v_e2) AS n
             WHERE EXISTS (SELECT FROM {schema}.events e WHERE e.event_id = p_ids[n] OFFSET 0);
        END IF;
        -- The lookup of a stream stands in a subquery that the planner cannot turn into a join.
        SELECT array_agg(d.outcome), array_agg(d.number), array_agg(d.version),
               array_agg(d.successor), bool_or(d.outcome <> 'append'),
               bool_or(d.outcome = 'append' AND d.version = 0),
               bool_or(d.outcome = 'append' AND d.version > 0)
          INTO v_outcomes, v_numbers, v_versions, v_successors, v_refused, v_begins, v_goes_on
          FROM (SELECT c.*,
                       CASE WHEN c.outcome = 'append' THEN
                       coalesce(c.stream_no, nextval('{schema}.streams_stream_no_seq'))
                       ELSE 0 END AS number
                  FROM (SELECT n, s.stream_no, coalesce(s.version, 0) AS version, s.successor,
                               CASE WHEN p_catalogue_versions[n] <> v_catalogue THEN 'stale'
                                    WHEN v_any_known AND n = ANY (v_known) THEN 'known'
                                    WHEN s.lifecycle = 2 THEN 'closed'
                                    WHEN s.lifecycle = 3 THEN 'deleted'
                                    WHEN p_expected[n] >= 0
                                         AND p_expected[n] <> coalesce(s.version, 0)
                                      OR p_expected[n] = -1 AND s.version IS NULL THEN 'conflict'
                                    ELSE 'append' END AS outcome
                          FROM generate_series(v_a1, v_a2) AS n
                          LEFT JOIN LATERAL
                               (SELECT * FROM {schema}.streams x
                                 WHERE x.name = p_streams[n] OFFSET 0) AS s ON true) AS c
                 ORDER BY c.n) AS d;

        v_missing := 0;
        v_before := NULL;
        IF v_refused THEN
            FOR v_i IN 1 .. cardinality(v_outcomes) LOOP
                append_number := v_a1 + v_i - 1;
                v_before[v_i] := v_missing;
                IF v_outcomes[v_i] <> 'append' THEN
                    v_missing := v_missing + p_event_ends[append_number]
                                 - coalesce(p_event_ends[append_number - 1], 0);
                ELSIF NOT (v_whole AND v_any_known) THEN
                    CONTINUE;
                END IF;
                first_version := NULL; positions := NULL; append_batch_v2.recorded_at := NULL;
                actual_version := v_versions[v_i];
                append_batch_v2.successor := v_successors[v_i];
                differs_at := NULL; problem := NULL;
                append_batch_v2.catalogue_version := v_catalogue;
                outcome := v_outcomes[v_i];
                IF outcome = 'known' THEN
                    SELECT d.outcome, d.first_version, d.positions, d.recorded_at, d.differs_at,
                           d.problem
                      INTO append_batch_v2.outcome, append_batch_v2.first_version,
                           append_batch_v2.positions, append_batch_v2.recorded_at,
                           append_batch_v2.differs_at, append_batch_v2.problem
                      FROM {schema}.check_append_v1(
                               p_streams[append_number], p_expected[append_number],
                               p_ids[coalesce(p_event_ends[append_number - 1], 0) + 1
                                     : p_event_ends[append_number]],
                               p_sent[coalesce(p_event_ends[append_number - 1], 0) + 1
                                      : p_event_ends[append_number]]) d;
                ELSIF v_whole AND v_any_known AND outcome <> 'stale' THEN
                    -- Others of the group are stored, so that this one should be.
                    outcome := 'reused'; differs_at := 1; problem := 'not_stored';
                END IF;
                v_outcomes[v_i] := outcome;
                RETURN NEXT;
            END LOOP;
        END IF;

        IF v_whole THEN
            CONTINUE WHEN 'duplicate' = ALL (v_outcomes) OR 'stale' = ANY (v_outcomes);
            RETURN QUERY
            SELECT NULL::integer, n, CASE WHEN s.lifecycle = 3 THEN 'deleted' ELSE 'conflict' END,
                   NULL::bigint, NULL::bigint, NULL::bigint[], NULL::timestamptz,
                   coalesce(s.version, 0), NULL::text, NULL::integer, NULL::text, v_catalogue
              FROM generate_series(v_c1, v_c2) AS n
              LEFT JOIN LATERAL
                   (SELECT * FROM {schema}.streams x WHERE x.name = p_check_streams[n] OFFSET 0)
                   AS s ON true
             WHERE s.lifecycle = 3
                OR p_check_expected[n] >= 0 AND p_check_expected[n] <> coalesce(s.version, 0)
                OR p_check_expected[n] = -1 AND s.version IS NULL;
            CONTINUE WHEN FOUND OR NOT 'append' = ALL (v_outcomes);
        END IF;
        CONTINUE WHEN v_missing > v_e2 - v_e1;

        IF v_begins THEN
            INSERT INTO {schema}.streams (stream_no, name, category, version, root, created_at)
            OVERRIDING SYSTEM VALUE
            SELECT v_numbers[n - v_a1 + 1], p_streams[n], p_categories[p_event_ends[n]],
                   p_event_ends[n] - coalesce(p_event_ends[n - 1], 0), p_streams[n], v_now
              FROM generate_series(v_a1, v_a2) AS n
             WHERE v_numbers[n - v_a1 + 1] > 0 AND v_versions[n - v_a1 + 1] = 0;
        END IF;
        IF v_goes_on THEN
            UPDATE {schema}.streams s
               SET version = s.version + p_event_ends[n] - coalesce(p_event_ends[n - 1], 0)
              FROM generate_series(v_a1, v_a2) AS n
             WHERE s.stream_no = v_numbers[n - v_a1 + 1] AND v_versions[n - v_a1 + 1] > 0;
        END IF;
        -- Elements, not slices or a row for each from unnest: parameters are arrays that PostgreSQL
        -- has taken apart once.
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, flags, type, category, writer, data, metadata, tags,
                                     sent_digest, stored_digest, trace_context)
        SELECT v_position + n - v_e1 + 1 - coalesce(v_before[p_appends[n] - v_a1 + 1], 0),
               v_numbers[p_appends[n] - v_a1 + 1],
               v_versions[p_appends[n] - v_a1 + 1] + n
               - coalesce(p_event_ends[p_appends[n] - 1], 0),
               v_now, coalesce(p_occurred_at[n], v_now), p_ids[n], p_flags[n], p_types[n],
               p_categories[n], p_writers[n], p_data[n], p_metadata[n],
               CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                    THEN ARRAY(SELECT p_tags[t]
                                 FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                      p_tag_ends[n]) AS t) END,
               p_sent[n], p_stored[n], p_trace_contexts[n]
          FROM generate_series(v_e1, v_e2) AS n
         WHERE v_numbers[p_appends[n] - v_a1 + 1] > 0;
        RETURN QUERY
        SELECT n, NULL::integer, 'append', v_versions[n - v_a1 + 1] + 1,
               v_position + coalesce(p_event_ends[n - 1], 0) - v_e1 + 2
               - coalesce(v_before[n - v_a1 + 1], 0),
               NULL::bigint[], v_now, v_versions[n - v_a1 + 1], NULL::text, NULL::integer,
               NULL::text, v_catalogue
          FROM generate_series(v_a1, v_a2) AS n
         WHERE v_numbers[n - v_a1 + 1] > 0;
        v_position := v_position + v_e2 - v_e1 + 1 - v_missing;
        v_recorded := v_now;
    END LOOP;

    UPDATE {schema}.counter c SET position = v_position, recorded_at = v_recorded
     WHERE c.position <> v_position;
END
$function$;
