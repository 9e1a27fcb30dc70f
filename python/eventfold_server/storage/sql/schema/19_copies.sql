-- Notes a chunk of a transform whose copies are stored on another server, and moves the transform
-- from position p_at to p_to. The arrays are those of transform_append_v1. False: somebody else has
-- the lease, or has moved it.
CREATE FUNCTION {schema}.transform_sent_v1(
    p_transform_no    bigint,
    p_lease           bigint,
    p_lease_ms        bigint,
    p_at              bigint,
    p_to              bigint,
    p_read            integer,
    p_counts          jsonb,
    p_sources         text[],
    p_source_versions bigint[],
    p_targets         text[],
    p_target_events   integer[],
    p_link_sources    integer[],
    p_link_targets    integer[],
    p_link_events     integer[])
RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
BEGIN
    UPDATE {schema}.transform_progress p
       SET position = p_to, events_read = p.events_read + p_read,
           events_written = p.events_written
                            + coalesce((SELECT sum(e) FROM unnest(p_target_events) AS e), 0),
           lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
     WHERE p.transform_no = p_transform_no AND p.lease = p_lease AND p.position = p_at;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
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
    INSERT INTO {schema}.transform_sources AS q (transform_no, stream, version)
    SELECT p_transform_no, p_sources[n], p_source_versions[n]
      FROM generate_series(1, cardinality(p_sources)) AS n
        ON CONFLICT (transform_no, stream) DO UPDATE
       SET version = greatest(q.version, excluded.version);
    IF p_read > 0 THEN
        UPDATE {schema}.transforms t SET counts = p_counts WHERE t.transform_no = p_transform_no;
    END IF;
    RETURN true;
END
$function$;

-- Whether copies may cancel what they say, in the stream p_stream: each an event that stands there,
-- or before it among p_ids, which cancels none itself and which nothing else cancels.
CREATE FUNCTION {schema}.copies_cancel_v1(p_stream text, p_ids uuid[], p_cancels uuid[])
RETURNS boolean LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
    SELECT NOT EXISTS (
        SELECT FROM generate_series(1, cardinality(p_cancels)) AS n
         WHERE p_cancels[n] IS NOT NULL
           AND (NOT (EXISTS (SELECT FROM generate_series(1, n - 1) AS m
                              WHERE p_ids[m] = p_cancels[n] AND p_cancels[m] IS NULL)
                     OR EXISTS (SELECT FROM {schema}.events e
                                  JOIN {schema}.streams s ON s.stream_no = e.stream_no
                                 WHERE e.event_id = p_cancels[n] AND s.name = p_stream
                                   AND e.cancels IS NULL))
                OR p_cancels[n] = ANY (p_cancels[: n - 1])
                OR EXISTS (SELECT FROM {schema}.events e
                             JOIN {schema}.streams s ON s.stream_no = e.stream_no
                            WHERE e.cancels = p_cancels[n] AND s.name = p_stream
                              AND e.event_id <> p_ids[n])))
$function$;

-- Appends copies that another server sends, as append_v3 does. Its outcomes, and `cancels`: they
-- may not cancel what they say.
CREATE FUNCTION {schema}.append_copies_v1(
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
           successor, differs_at, problem, append_copies_v1.catalogue_version
      FROM {schema}.append_v3(p_stream, p_category, p_expected, p_ids, p_types, p_data, p_metadata,
                              p_tags, p_tag_ends, p_occurred_at, p_flags, p_sent, p_stored,
                              p_writer, p_trace_context, p_catalogue_version, p_cancels,
                              p_copied_from) a;
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
