-- Decides what an append would do, without a change. Called by append_v1 under the lock, and by
-- CheckAppend without it. p_expected: 0 or more is exact, -1 exists, -2 any. Outcomes:
--   append     all is well; first_version is the version of the first new event
--   duplicate  stored already; first_version, positions and recorded_at of these events
--   conflict   the stream is at actual_version
--   closed     the stream is closed; successor goes on from it
--   deleted    the stream was deleted
--   reused     the event at differs_at (from 1) is not the one stored, for the reason in problem
CREATE FUNCTION {schema}.check_append_v1(
    p_stream   text,
    p_expected bigint,
    p_ids      uuid[],
    p_sent     bytea[],
    OUT outcome        text,
    OUT stream_no      bigint,
    OUT first_version  bigint,
    OUT positions      bigint[],
    OUT recorded_at    timestamptz,
    OUT actual_version bigint,
    OUT successor      text,
    OUT differs_at     integer,
    OUT problem        text
) LANGUAGE plpgsql
-- Fresh tables have no statistics yet; a plan made then must not read them from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_lifecycle smallint;
    v_first     bigint;
BEGIN
    SELECT s.stream_no, s.version, s.lifecycle, s.successor
      INTO stream_no, actual_version, v_lifecycle, successor
      FROM {schema}.streams s WHERE s.name = p_stream;
    actual_version := coalesce(actual_version, 0);

    IF EXISTS (SELECT FROM {schema}.events e WHERE e.event_id = ANY (p_ids)) THEN
        SELECT e.version INTO v_first FROM {schema}.events e
         WHERE e.event_id = p_ids[1] AND e.stream_no = check_append_v1.stream_no;
        SELECT a.n, CASE WHEN e.event_id IS NULL THEN 'not_stored'
                         WHEN e.stream_no IS DISTINCT FROM check_append_v1.stream_no
                         THEN 'other_stream'
                         WHEN e.version IS DISTINCT FROM v_first + a.n - 1 THEN 'other_order'
                         ELSE 'other_content' END
          INTO differs_at, problem
          FROM unnest(p_ids, p_sent) WITH ORDINALITY AS a (id, sent, n)
          LEFT JOIN {schema}.events e ON e.event_id = a.id
         WHERE e.event_id IS NULL
            OR e.stream_no IS DISTINCT FROM check_append_v1.stream_no
            OR e.version IS DISTINCT FROM v_first + a.n - 1
            OR e.sent_digest <> a.sent
         ORDER BY a.n LIMIT 1;
        IF FOUND THEN
            outcome := 'reused';
            RETURN;
        END IF;
        outcome := 'duplicate';
        first_version := v_first;
        SELECT array_agg(e.position ORDER BY e.version), max(e.recorded_at)
          INTO positions, recorded_at
          FROM {schema}.events e
         WHERE e.stream_no = check_append_v1.stream_no
           AND e.version BETWEEN v_first AND v_first + cardinality(p_ids) - 1;
        RETURN;
    END IF;

    IF v_lifecycle = 2 THEN
        outcome := 'closed';
    ELSIF v_lifecycle = 3 THEN
        outcome := 'deleted';
    ELSIF (p_expected >= 0 AND p_expected <> actual_version)
       OR (p_expected = -1 AND actual_version = 0) THEN
        outcome := 'conflict';
    ELSE
        outcome := 'append';
        first_version := actual_version + 1;
    END IF;
END
$function$;

-- Appends events to one stream; the outcomes are those of check_append_v1, and
--   stale      the catalogue moved since the caller checked the events; nothing was stored
-- Arrays hold one element an event. Tags of all events stand in one array, event i from
-- p_tag_ends[i - 1] + 1 to p_tag_ends[i]. Call it in READ COMMITTED: each statement inside then
-- sees what was committed before the lock was granted.
CREATE FUNCTION {schema}.append_v1(
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
    OUT catalogue_version bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
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
      INTO append_v1.outcome, v_no, append_v1.first_version, append_v1.positions,
           append_v1.recorded_at, append_v1.actual_version, append_v1.successor,
           append_v1.differs_at, append_v1.problem
      FROM {schema}.check_append_v1(p_stream, p_expected, p_ids, p_sent) d;
    IF append_v1.outcome <> 'append' THEN
        RETURN;
    END IF;

    first_position := v_position + 1;
    append_v1.recorded_at := greatest(clock_timestamp(), v_recorded);
    IF v_no IS NULL THEN
        INSERT INTO {schema}.streams (name, category, version, root, created_at)
        VALUES (p_stream, p_category, v_count, p_stream, append_v1.recorded_at)
        RETURNING streams.stream_no INTO v_no;
    ELSE
        UPDATE {schema}.streams s SET version = s.version + v_count WHERE s.stream_no = v_no;
    END IF;
    INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at, event_id,
                                 flags, type, category, writer, data, metadata, tags,
                                 sent_digest, stored_digest, trace_context)
    SELECT v_position + a.n, v_no, append_v1.first_version + a.n - 1, append_v1.recorded_at,
           coalesce(a.occurred_at, append_v1.recorded_at), a.id, a.flags, a.type, p_category,
           p_writer, a.data, a.metadata,
           nullif(p_tags[coalesce(p_tag_ends[a.n::integer - 1], 0) + 1 : a.tag_end], '{}'),
           a.sent, a.stored, p_trace_context
      FROM unnest(p_ids, p_types, p_data, p_metadata, p_tag_ends, p_occurred_at, p_flags, p_sent,
                  p_stored)
           WITH ORDINALITY
           AS a (id, type, data, metadata, tag_end, occurred_at, flags, sent, stored, n);
    UPDATE {schema}.counter c
       SET position = v_position + v_count, recorded_at = append_v1.recorded_at;
END
$function$;

-- As append_v1, with less work. The counter moves before it is known whether the append passes,
-- which takes the lock and saves a statement; if it does not pass, it is moved back.
CREATE FUNCTION {schema}.append_v2(
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

    SELECT s.stream_no, coalesce(s.version, 0), s.lifecycle, k.known
      INTO v_no, actual_version, v_lifecycle, v_known
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
                                 sent_digest, stored_digest, trace_context)
    SELECT v_position + n, v_no, actual_version + n, recorded_at,
           coalesce(p_occurred_at[n], recorded_at), p_ids[n], p_flags[n], p_types[n], p_category,
           p_writer, p_data[n], p_metadata[n],
           CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                THEN ARRAY(SELECT p_tags[t]
                             FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                  p_tag_ends[n]) AS t) END,
           p_sent[n], p_stored[n], p_trace_context
      FROM generate_series(1, v_count) AS n;
    outcome := 'append';
    first_version := actual_version + 1;
    first_position := v_position + 1;
END
$function$;
