-- As append_v3, with p_sealed for each event and p_root, as in append_v4.
CREATE FUNCTION {schema}.append_v5(
    p_stream            text,
    p_category          text,
    p_expected          bigint,
    p_ids               uuid[],
    p_types             text[],
    p_data              bytea[],
    p_metadata          bytea[],
    p_tags              text[],
    p_tag_ends          integer[],
    p_occurred_at       timestamptz[],
    p_flags             integer[],
    p_sent              bytea[],
    p_stored            bytea[],
    p_writer            text,
    p_trace_context     text,
    p_catalogue_version bigint,
    p_cancels           uuid[],
    p_copied_from       uuid[],
    p_sealed            text[],
    p_root              text,
    OUT outcome           text,
    OUT first_version     bigint,
    OUT first_position    bigint,
    OUT positions         bigint[],
    OUT recorded_at       timestamptz,
    OUT actual_version    bigint,
    OUT successor         text,
    OUT differs_at        integer,
    OUT problem           text,
    OUT catalogue_version bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
#variable_conflict use_variable
DECLARE
    v_position bigint;
    v_recorded timestamptz;
    v_no       bigint;
    v_count    integer := cardinality(p_ids);
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.position, c.recorded_at, c.catalogue_version
      INTO v_position, v_recorded, catalogue_version
      FROM {schema}.counter c FOR UPDATE;
    IF catalogue_version <> p_catalogue_version THEN
        outcome := 'stale';
        RETURN;
    END IF;

    SELECT d.outcome, d.stream_no, d.first_version, d.positions, d.recorded_at, d.actual_version,
           d.successor, d.differs_at, d.problem
      INTO outcome, v_no, first_version, positions, recorded_at, actual_version, successor,
           differs_at, problem
      FROM {schema}.check_append_v1(p_stream, p_expected, p_ids, p_sent) d;
    IF outcome <> 'append' THEN
        RETURN;
    END IF;
    -- Values were sealed for another subject: the stream was opened by the close of one before it.
    IF p_root <> coalesce((SELECT s.root FROM {schema}.streams s WHERE s.stream_no = v_no),
                          p_stream) THEN
        outcome := 'stale';
        RETURN;
    END IF;

    first_position := v_position + 1;
    recorded_at := greatest(clock_timestamp(), v_recorded);
    IF v_no IS NULL THEN
        INSERT INTO {schema}.streams AS s (name, category, version, root, created_at)
        VALUES (p_stream, p_category, v_count, p_stream, recorded_at)
        RETURNING s.stream_no INTO v_no;
    ELSE
        UPDATE {schema}.streams s SET version = s.version + v_count WHERE s.stream_no = v_no;
    END IF;
    INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at, event_id,
                                 flags, type, category, writer, data, metadata, tags,
                                 sent_digest, stored_digest, trace_context, copied_from, cancels,
                                 sealed_paths)
    SELECT v_position + n, v_no, first_version + n - 1, recorded_at,
           coalesce(p_occurred_at[n], recorded_at), p_ids[n], p_flags[n], p_types[n], p_category,
           p_writer, p_data[n], p_metadata[n],
           nullif(p_tags[coalesce(p_tag_ends[n - 1], 0) + 1 : p_tag_ends[n]], '{}'),
           p_sent[n], p_stored[n], p_trace_context, p_copied_from[n], p_cancels[n],
           p_sealed[n]::text[]
      FROM generate_series(1, v_count) AS n;
    UPDATE {schema}.counter c
       SET position = v_position + v_count, recorded_at = append_v5.recorded_at;
END
$function$;

-- As append_v2, for events with sealed values: p_sealed holds for each event the pointers to those
-- that it has, as the text of an array (NULL: none; the whole array may be NULL). p_root: the root
-- that the stream must have, since values are sealed for it; stale if it has another (NULL: any).
-- Where p_sent is NULL, ids alone tell whether an event is stored: the key of its digest is gone.
CREATE FUNCTION {schema}.append_v4(
    p_stream            text,
    p_category          text,
    p_expected          bigint,
    p_ids               uuid[],
    p_types             text[],
    p_data              bytea[],
    p_metadata          bytea[],
    p_tags              text[],
    p_tag_ends          integer[],
    p_occurred_at       timestamptz[],
    p_flags             integer[],
    p_sent              bytea[],
    p_stored            bytea[],
    p_writer            text,
    p_trace_context     text,
    p_catalogue_version bigint,
    p_sealed            text[],
    p_root              text,
    OUT outcome           text,
    OUT first_version     bigint,
    OUT first_position    bigint,
    OUT positions         bigint[],
    OUT recorded_at       timestamptz,
    OUT actual_version    bigint,
    OUT successor         text,
    OUT differs_at        integer,
    OUT problem           text,
    OUT catalogue_version bigint
) LANGUAGE plpgsql
-- Fresh tables have no statistics yet; a plan made then must not read them from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
#variable_conflict use_variable
DECLARE
    v_position  bigint;
    v_no        bigint;
    v_lifecycle smallint;
    v_known     boolean;
    v_root      text;
    v_count     integer := cardinality(p_ids);
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    UPDATE {schema}.counter c
       SET position = c.position + v_count, recorded_at = greatest(clock_timestamp(), c.recorded_at)
     WHERE c.catalogue_version = p_catalogue_version
    RETURNING c.position - v_count, c.recorded_at, c.catalogue_version
         INTO v_position, recorded_at, catalogue_version;
    IF NOT FOUND THEN
        outcome := 'stale';
        SELECT c.catalogue_version INTO catalogue_version FROM {schema}.counter c;
        RETURN;
    END IF;

    SELECT s.stream_no, coalesce(s.version, 0), s.lifecycle, k.known, coalesce(s.root, p_stream)
      INTO v_no, actual_version, v_lifecycle, v_known, v_root
      FROM (SELECT EXISTS (SELECT FROM {schema}.events e WHERE e.event_id = ANY (p_ids))) k (known)
      LEFT JOIN {schema}.streams s ON s.name = p_stream;
    IF v_known OR v_lifecycle <> 1
       OR p_expected >= 0 AND p_expected <> actual_version
       OR p_expected = -1 AND actual_version = 0 THEN
        UPDATE {schema}.counter c SET position = v_position;
        SELECT d.outcome, d.first_version, d.positions, d.recorded_at, d.actual_version,
               d.successor, d.differs_at, d.problem
          INTO outcome, first_version, positions, recorded_at, actual_version, successor,
               differs_at, problem
          FROM {schema}.check_append_v1(p_stream, p_expected, p_ids, p_sent) d;
        RETURN;
    END IF;

    -- Values were sealed for another subject: the stream was opened by the close of one before it.
    IF p_root <> v_root THEN
        UPDATE {schema}.counter c SET position = v_position;
        outcome := 'stale';
        RETURN;
    END IF;

    IF v_no IS NULL THEN
        INSERT INTO {schema}.streams AS s (name, category, version, root, created_at)
        VALUES (p_stream, p_category, v_count, p_stream, recorded_at)
        RETURNING s.stream_no INTO v_no;
    ELSE
        UPDATE {schema}.streams s SET version = actual_version + v_count WHERE s.stream_no = v_no;
    END IF;
    -- Elements, not slices or a row for each from unnest: parameters are arrays that PostgreSQL has
    -- taken apart once.
    INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at, event_id,
                                 flags, type, category, writer, data, metadata, tags,
                                 sent_digest, stored_digest, trace_context, sealed_paths)
    SELECT v_position + n, v_no, actual_version + n, recorded_at,
           coalesce(p_occurred_at[n], recorded_at), p_ids[n], p_flags[n], p_types[n], p_category,
           p_writer, p_data[n], p_metadata[n],
           CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                THEN ARRAY(SELECT p_tags[t]
                             FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                  p_tag_ends[n]) AS t) END,
           p_sent[n], p_stored[n], p_trace_context, p_sealed[n]::text[]
      FROM generate_series(1, v_count) AS n;
    outcome := 'append';
    first_version := actual_version + 1;
    first_position := v_position + 1;
END
$function$;

-- As append_batch_v2, with p_sealed for each event and p_roots for each append, as in append_v4.
CREATE FUNCTION {schema}.append_batch_v3(
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
    p_check_expected     bigint[],
    p_sealed             text[],
    p_roots              text[]
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
                               CASE WHEN p_catalogue_versions[n] <> v_catalogue
                                      OR p_roots[n] <> coalesce(s.root, p_streams[n]) THEN 'stale'
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
                first_version := NULL; positions := NULL; append_batch_v3.recorded_at := NULL;
                actual_version := v_versions[v_i];
                append_batch_v3.successor := v_successors[v_i];
                differs_at := NULL; problem := NULL;
                append_batch_v3.catalogue_version := v_catalogue;
                outcome := v_outcomes[v_i];
                IF outcome = 'known' THEN
                    SELECT d.outcome, d.first_version, d.positions, d.recorded_at, d.differs_at,
                           d.problem
                      INTO append_batch_v3.outcome, append_batch_v3.first_version,
                           append_batch_v3.positions, append_batch_v3.recorded_at,
                           append_batch_v3.differs_at, append_batch_v3.problem
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
                                     sent_digest, stored_digest, trace_context, sealed_paths)
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
               p_sent[n], p_stored[n], p_trace_contexts[n], p_sealed[n]::text[]
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
