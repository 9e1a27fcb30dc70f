-- As append_v2, for events that carry marks of the server: p_cancels holds for each event the id of
-- the one that it cancels, p_copied_from that of the one that it is a copy of (NULL: none; a whole
-- array may be NULL). Not for the many: it takes the decisions of check_append_v1 as they are.
CREATE FUNCTION {schema}.append_v3(
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
                                 sent_digest, stored_digest, trace_context, copied_from, cancels)
    SELECT v_position + n, v_no, first_version + n - 1, recorded_at,
           coalesce(p_occurred_at[n], recorded_at), p_ids[n], p_flags[n], p_types[n], p_category,
           p_writer, p_data[n], p_metadata[n],
           nullif(p_tags[coalesce(p_tag_ends[n - 1], 0) + 1 : p_tag_ends[n]], '{}'),
           p_sent[n], p_stored[n], p_trace_context, p_copied_from[n], p_cancels[n]
      FROM generate_series(1, v_count) AS n;
    UPDATE {schema}.counter c
       SET position = v_position + v_count, recorded_at = append_v3.recorded_at;
END
$function$;
