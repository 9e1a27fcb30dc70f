-- Personal values of appends that carry marks of the server, of what closes and opens streams, and
-- of copies; and columns of projections that hold some.

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

-- As compensate_v1, with p_sealed for each event and p_root, as in append_v4.
CREATE FUNCTION {schema}.compensate_v2(
    p_event_id          uuid,
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
    OUT catalogue_version bigint,
    OUT fact              text
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
#variable_conflict use_column
DECLARE
    v_event record;
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    -- What is stored already, and what a stream that has ended says, is told by the append.
    IF NOT EXISTS (SELECT FROM {schema}.events e WHERE e.event_id = ANY (p_ids))
       AND NOT EXISTS (SELECT FROM {schema}.streams s
                        WHERE s.name = p_stream AND s.lifecycle <> 1) THEN
        SELECT s.name, e.type, e.flags, e.cancels, c.event_id AS cancelled_by
          INTO v_event
          FROM {schema}.events e
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
          LEFT JOIN {schema}.events c ON c.stream_no = e.stream_no AND c.cancels = e.event_id
         WHERE e.event_id = p_event_id;
        IF NOT FOUND THEN
            outcome := 'no_event';
        ELSIF v_event.name <> p_stream THEN
            outcome := 'other_stream';
            fact := v_event.name;
        ELSIF v_event.cancels IS NOT NULL THEN
            outcome := 'cancellation';
        -- EVENT_FLAG_CLOSES and EVENT_FLAG_OPENS.
        ELSIF v_event.flags & 192 <> 0 OR v_event.type LIKE '$%' THEN
            outcome := 'fixed';
            fact := v_event.type;
        ELSIF v_event.cancelled_by IS NOT NULL THEN
            outcome := 'cancelled';
            fact := v_event.cancelled_by;
        END IF;
        IF outcome IS NOT NULL THEN
            -- True under any rules.
            catalogue_version := p_catalogue_version;
            RETURN;
        END IF;
    END IF;

    SELECT a.outcome, a.first_version, a.first_position, a.positions, a.recorded_at,
           a.actual_version, a.successor, a.differs_at, a.problem, a.catalogue_version
      INTO outcome, first_version, first_position, positions, recorded_at, actual_version,
           successor, differs_at, problem, catalogue_version
      FROM {schema}.append_v5(p_stream, p_category, p_expected, p_ids, p_types, p_data, p_metadata,
                              p_tags, p_tag_ends, p_occurred_at, p_flags, p_sent, p_stored,
                              p_writer, p_trace_context, p_catalogue_version,
                              ARRAY[p_event_id], NULL, p_sealed, p_root) a;
    -- An ordinary event may have the same contents.
    IF outcome = 'duplicate' AND p_event_id IS DISTINCT FROM
       (SELECT e.cancels FROM {schema}.events e WHERE e.event_id = p_ids[1]) THEN
        outcome := 'reused';
        differs_at := 1;
        problem := 'other_content';
    END IF;
END
$function$;

-- As close_stream_v1, with p_sealed for each event, as in append_v4, and in p_roots for each the
-- root that values were sealed for (NULL: any): both events have that of the stream.
CREATE FUNCTION {schema}.close_stream_v2(
    p_stream            text,
    p_category          text,
    p_successor         text,
    p_expected          bigint[],
    p_ids               uuid[],
    p_types             text[],
    p_data              bytea[],
    p_metadata          bytea[],
    p_flags             integer[],
    p_sent              bytea[],
    p_stored            bytea[],
    p_writer            text,
    p_trace_context     text,
    p_catalogue_version bigint,
    p_sealed            text[],
    p_roots             text[],
    OUT outcome           text,
    OUT part              integer,
    OUT closing_position  bigint,
    OUT opening_position  bigint,
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
    v_streams  text[] := array_remove(ARRAY[p_stream, p_successor], NULL);
    v_position bigint;
    v_root     text;
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.catalogue_version INTO catalogue_version FROM {schema}.counter c FOR UPDATE;
    IF catalogue_version <> p_catalogue_version THEN
        outcome := 'stale';
        RETURN;
    END IF;

    SELECT s.root INTO v_root FROM {schema}.streams s WHERE s.name = p_stream;
    -- Values were sealed for another subject: the stream was opened by the close of one before it.
    IF p_roots[1] <> coalesce(v_root, p_stream) OR p_roots[2] <> coalesce(v_root, p_stream) THEN
        outcome := 'stale';
        RETURN;
    END IF;

    -- Both are decided on before either is stored.
    FOR i IN 1 .. cardinality(v_streams) LOOP
        IF i = 2 AND EXISTS (SELECT FROM {schema}.streams s WHERE s.name = p_successor) THEN
            outcome := 'successor_exists';
            RETURN;
        END IF;
        part := i;
        SELECT d.outcome, d.actual_version, d.successor, d.differs_at, d.problem
          INTO outcome, actual_version, successor, differs_at, problem
          FROM {schema}.check_append_v1(v_streams[i], p_expected[i], p_ids[i : i],
                                        p_sent[i : i]) d;
        IF outcome <> 'append' THEN
            RETURN;
        END IF;
    END LOOP;

    FOR i IN 1 .. cardinality(v_streams) LOOP
        SELECT a.outcome, a.first_position, a.recorded_at INTO outcome, v_position, recorded_at
          FROM {schema}.append_v5(v_streams[i], p_category, p_expected[i], p_ids[i : i],
                                  p_types[i : i], p_data[i : i], p_metadata[i : i], '{}',
                                  '{0}', '{NULL}', p_flags[i : i], p_sent[i : i],
                                  p_stored[i : i], p_writer, p_trace_context,
                                  p_catalogue_version, NULL, NULL, p_sealed[i : i], NULL) a;
        IF i = 1 THEN
            closing_position := v_position;
            UPDATE {schema}.streams s SET lifecycle = 2, successor = p_successor
             WHERE s.name = p_stream;
        ELSE
            opening_position := v_position;
            UPDATE {schema}.streams s SET root = v_root, predecessor = p_stream
             WHERE s.name = p_successor;
        END IF;
    END LOOP;
END
$function$;

-- As append_copies_v1, with p_sealed for each event and p_root, as in append_v4.
CREATE FUNCTION {schema}.append_copies_v2(
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
#variable_conflict use_column
BEGIN
    -- What is read below nobody changes any more.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    IF NOT {schema}.copies_cancel_v1(p_stream, p_ids, p_cancels) THEN
        outcome := 'cancels';
        RETURN;
    END IF;
    SELECT a.outcome, a.first_version, a.first_position, a.positions, a.recorded_at,
           a.actual_version, a.successor, a.differs_at, a.problem, a.catalogue_version
      INTO outcome, first_version, first_position, positions, recorded_at, actual_version,
           successor, differs_at, problem, append_copies_v2.catalogue_version
      FROM {schema}.append_v5(p_stream, p_category, p_expected, p_ids, p_types, p_data, p_metadata,
                              p_tags, p_tag_ends, p_occurred_at, p_flags, p_sent, p_stored,
                              p_writer, p_trace_context, p_catalogue_version, p_cancels,
                              p_copied_from, p_sealed, p_root) a;
END
$function$;

-- As transform_append_v1, with p_sealed for each event, as in append_v4.
CREATE FUNCTION {schema}.transform_append_v2(
    p_transform_no      bigint,
    p_lease             bigint,
    p_lease_ms          bigint,
    p_at                bigint,
    p_to                bigint,
    p_read              integer,
    p_counts            jsonb,
    p_sources           text[],
    p_source_versions   bigint[],
    p_targets           text[],
    p_categories        text[],
    p_target_events     integer[],
    p_link_sources      integer[],
    p_link_targets      integer[],
    p_link_events       integer[],
    p_in                integer[],
    p_nth               integer[],
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
    p_cancels           uuid[],
    p_copied_from       uuid[],
    p_sealed            text[],
    p_writer            text,
    p_catalogue_version bigint,
    OUT outcome           text,
    OUT stream            text,
    OUT expected          bigint,
    OUT actual            bigint,
    OUT head              bigint,
    OUT catalogue_version bigint
) LANGUAGE plpgsql
-- Plans are made once, for tables of any size, and must not read one from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $function$
#variable_conflict use_column
DECLARE
    v_position bigint;
    v_recorded timestamptz;
    v_count    integer := cardinality(p_ids);
    -- One element a target.
    v_numbers  bigint[];
    v_versions bigint[];
BEGIN
    PERFORM FROM {schema}.transform_progress p
      WHERE p.transform_no = p_transform_no AND p.lease = p_lease AND p.position = p_at FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'fenced';
        RETURN;
    END IF;

    IF v_count > 0 THEN
        -- In a statement of its own: whatever is read below is read after the lock was granted.
        SELECT c.position, greatest(clock_timestamp(), c.recorded_at), c.catalogue_version
          INTO v_position, v_recorded, transform_append_v2.catalogue_version
          FROM {schema}.counter c FOR UPDATE;
        IF transform_append_v2.catalogue_version <> p_catalogue_version THEN
            outcome := 'stale';
            RETURN;
        END IF;
        SELECT p_targets[n], coalesce(k.version, 0), coalesce(s.version, 0),
               CASE WHEN k.version IS NULL THEN 'exists'
                    WHEN s.lifecycle = 2 THEN 'closed'
                    WHEN s.lifecycle = 3 THEN 'deleted' ELSE 'moved' END
          INTO stream, expected, actual, outcome
          FROM generate_series(1, cardinality(p_targets)) AS n
          LEFT JOIN {schema}.streams s ON s.name = p_targets[n]
          LEFT JOIN {schema}.transform_targets k
                 ON k.transform_no = p_transform_no AND k.stream = p_targets[n]
         WHERE coalesce(k.version, 0) <> coalesce(s.version, 0) OR s.lifecycle <> 1
         ORDER BY n LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
        SELECT array_agg(coalesce(s.stream_no, nextval('{schema}.streams_stream_no_seq'))
                         ORDER BY n),
               array_agg(coalesce(s.version, 0) ORDER BY n)
          INTO v_numbers, v_versions
          FROM generate_series(1, cardinality(p_targets)) AS n
          LEFT JOIN {schema}.streams s ON s.name = p_targets[n];
        INSERT INTO {schema}.streams (stream_no, name, category, version, root, created_at)
        OVERRIDING SYSTEM VALUE
        SELECT v_numbers[n], p_targets[n], p_categories[n], p_target_events[n], p_targets[n],
               v_recorded
          FROM generate_series(1, cardinality(p_targets)) AS n WHERE v_versions[n] = 0;
        UPDATE {schema}.streams s SET version = s.version + p_target_events[n]
          FROM generate_series(1, cardinality(p_targets)) AS n
         WHERE s.stream_no = v_numbers[n] AND v_versions[n] > 0;
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, flags, type, category, writer, data, metadata, tags,
                                     sent_digest, stored_digest, cancels, copied_from,
                                     sealed_paths)
        SELECT v_position + n, v_numbers[p_in[n]], v_versions[p_in[n]] + p_nth[n], v_recorded,
               p_occurred_at[n], p_ids[n], p_flags[n], p_types[n], p_categories[p_in[n]], p_writer,
               p_data[n], p_metadata[n],
               CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                    THEN ARRAY(SELECT p_tags[t]
                                 FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                      p_tag_ends[n]) AS t) END,
               p_sent[n], p_stored[n], p_cancels[n], p_copied_from[n],
               p_sealed[n]::text[]
          FROM generate_series(1, v_count) AS n;
        head := v_position + v_count;
        UPDATE {schema}.counter c SET position = head, recorded_at = v_recorded;
        INSERT INTO {schema}.transform_targets AS k (transform_no, stream, version)
        SELECT p_transform_no, p_targets[n], p_target_events[n]
          FROM generate_series(1, cardinality(p_targets)) AS n
            ON CONFLICT (transform_no, stream) DO UPDATE SET version = k.version + excluded.version;
        INSERT INTO {schema}.transform_links AS l (transform_no, source, target, events)
        SELECT p_transform_no, p_sources[p_link_sources[n]], p_targets[p_link_targets[n]],
               p_link_events[n]
          FROM generate_series(1, cardinality(p_link_sources)) AS n
            ON CONFLICT (transform_no, source, target) DO UPDATE
           SET events = l.events + excluded.events;
    END IF;

    INSERT INTO {schema}.transform_sources AS q (transform_no, stream, version)
    SELECT p_transform_no, p_sources[n], p_source_versions[n]
      FROM generate_series(1, cardinality(p_sources)) AS n
        ON CONFLICT (transform_no, stream) DO UPDATE
       SET version = greatest(q.version, excluded.version);
    UPDATE {schema}.transform_progress p
       SET position = p_to, events_read = p.events_read + p_read,
           events_written = p.events_written + v_count,
           lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
     WHERE p.transform_no = p_transform_no;
    IF p_read > 0 THEN
        UPDATE {schema}.transforms t SET counts = p_counts WHERE t.transform_no = p_transform_no;
    END IF;
    outcome := 'copied';
END
$function$;

-- As transform_page_v1, with sealed_paths.
CREATE FUNCTION {schema}.transform_page_v2(
    p_kind integer, p_names text[], p_lower bigint, p_upper bigint, p_max bigint)
RETURNS TABLE (
    stream        text,
    version       bigint,
    "position"    bigint,
    event_id      uuid,
    type          text,
    data          bytea,
    metadata      bytea,
    tags          text[],
    recorded_at   timestamptz,
    occurred_at   timestamptz,
    writer        text,
    flags         integer,
    copied_from   uuid,
    cancels       uuid,
    trace_context text,
    deleted       boolean,
    sealed_paths  text[],
    root_name     text
) LANGUAGE plpgsql STABLE
-- Plans are made once, for tables of any size, and must not read one from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET join_collapse_limit = 1 AS $function$
#variable_conflict use_column
DECLARE
    v_positions bigint[];
BEGIN
    IF p_kind = 1 THEN
        v_positions := ARRAY(
            SELECT p.position FROM unnest(p_names) AS c (category)
             CROSS JOIN LATERAL
                   (SELECT v.position FROM {schema}.events v
                     WHERE (v.category, v.position) >= (c.category, p_lower)
                       AND (v.category, v.position) <= (c.category, p_upper)
                     ORDER BY v.category, v.position LIMIT p_max) p
             ORDER BY p.position LIMIT p_max);
    ELSIF p_kind = 2 THEN
        v_positions := ARRAY(
            SELECT p.position FROM unnest(p_names) AS n (name)
              JOIN {schema}.streams t ON t.name = n.name
             CROSS JOIN LATERAL
                   (SELECT v.position FROM {schema}.events v
                     WHERE v.stream_no = t.stream_no
                       AND v.version >= {schema}.version_from_v1(t.stream_no, t.version, p_lower)
                       AND v.position <= p_upper
                     ORDER BY v.version LIMIT p_max) p
             ORDER BY p.position LIMIT p_max);
    ELSIF p_kind = 3 THEN
        v_positions := ARRAY(
            SELECT v.position FROM {schema}.events v
             WHERE v.position BETWEEN p_lower AND p_upper
               AND (v.category < '$' OR v.category >= '%')
               AND v.copied_from IS NULL AND v.category <> ALL (p_names)
             ORDER BY v.position LIMIT p_max);
    ELSE
        v_positions := ARRAY(
            SELECT p.position FROM unnest(p_names) AS n (event_id)
             CROSS JOIN LATERAL
                   -- Behind a fence: where the log is short when the plan is made, the index of
                   -- positions would be read from end to end for each id.
                   (SELECT v.position FROM {schema}.events v
                     WHERE v.event_id = n.event_id::uuid OFFSET 0) p
             WHERE p.position BETWEEN p_lower AND p_upper
             ORDER BY p.position LIMIT p_max);
    END IF;
    RETURN QUERY
    SELECT s.name, e.version, e.position, e.event_id, e.type, e.data, e.metadata, e.tags,
           e.recorded_at, e.occurred_at, e.writer, e.flags, e.copied_from, e.cancels,
           e.trace_context, e.deleted_at IS NOT NULL, e.sealed_paths, s.root
      FROM unnest(v_positions) WITH ORDINALITY AS a (position, n)
      JOIN {schema}.events e ON e.position = a.position
      JOIN {schema}.streams s ON s.stream_no = e.stream_no
     ORDER BY a.n;
END
$function$;

-- A column of a projection whose values may be personal: sealed, or of a row into which no personal
-- value went.
CREATE DOMAIN {schema}.sealed_text AS text COLLATE "C"
    CHECK (VALUE LIKE '$sealed:1:%' OR VALUE LIKE '$plain:%');
