-- Events for a transform, positions p_lower to p_upper, p_max at the most, in order. p_kind 1: of
-- the categories p_names, each there once; 2: of these streams; 3: of the log, but the system's,
-- copies, and those of these categories, into which it writes; 4: those with these ids. Positions
-- come first, from the index that has them.
CREATE FUNCTION {schema}.transform_page_v1(
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
           e.trace_context, e.deleted_at IS NOT NULL, s.root
      FROM unnest(v_positions) WITH ORDINALITY AS a (position, n)
      JOIN {schema}.events e ON e.position = a.position
      JOIN {schema}.streams s ON s.stream_no = e.stream_no
     ORDER BY a.n;
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
