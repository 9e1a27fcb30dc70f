-- Closes a stream with an event, and opens the one that goes on from it with another, or stores
-- nothing. The arrays hold one element an event: the closing event, then the opening event if there
-- is a successor (NULL: none). p_expected: the version of the stream, and 0; of events that the
-- rules refuse, one that no stream has. Outcomes are those of append_v3, for the event in part,
-- where append stands for all, and
--   successor_exists  the successor has events
CREATE FUNCTION {schema}.close_stream_v1(
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
          FROM {schema}.append_v3(v_streams[i], p_category, p_expected[i], p_ids[i : i],
                                  p_types[i : i], p_data[i : i], p_metadata[i : i], '{}',
                                  '{0}', '{NULL}', p_flags[i : i], p_sent[i : i],
                                  p_stored[i : i], p_writer, p_trace_context,
                                  p_catalogue_version, NULL, NULL) a;
        IF i = 1 THEN
            closing_position := v_position;
            UPDATE {schema}.streams s SET lifecycle = 2, successor = p_successor
             WHERE s.name = p_stream RETURNING s.root INTO v_root;
        ELSE
            opening_position := v_position;
            UPDATE {schema}.streams s SET root = v_root, predecessor = p_stream
             WHERE s.name = p_successor;
        END IF;
    END LOOP;
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
