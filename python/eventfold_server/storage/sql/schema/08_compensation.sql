-- Cancels the event p_event_id of the stream: appends the cancellation, and behind it the
-- correction if there is one, as append_v3 does. Its outcomes, and of an event that stays:
--   no_event      there is no event with this id
--   other_stream  it is in the stream `fact`
--   cancellation  it cancels another event
--   fixed         it opens or closes a stream, or is the system's; its type is `fact`
--   cancelled     the event with the id `fact` cancels it already
CREATE FUNCTION {schema}.compensate_v1(
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
      FROM {schema}.append_v3(p_stream, p_category, p_expected, p_ids, p_types, p_data, p_metadata,
                              p_tags, p_tag_ends, p_occurred_at, p_flags, p_sent, p_stored,
                              p_writer, p_trace_context, p_catalogue_version,
                              ARRAY[p_event_id], NULL) a;
    -- An ordinary event may have the same contents.
    IF outcome = 'duplicate' AND p_event_id IS DISTINCT FROM
       (SELECT e.cancels FROM {schema}.events e WHERE e.event_id = p_ids[1]) THEN
        outcome := 'reused';
        differs_at := 1;
        problem := 'other_content';
    END IF;
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
