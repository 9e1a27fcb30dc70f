-- The parts of a JSON pointer.
CREATE FUNCTION {schema}.pointer_parts_v1(p_pointer text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $function$
    SELECT coalesce(array_agg(replace(replace(p.part, '~1', '/'), '~0', '~') ORDER BY p.n), '{}')
      -- An empty text has no parts for PostgreSQL; that of a pointer is one.
      FROM unnest(CASE p_pointer WHEN '/' THEN ARRAY['']
                                 ELSE string_to_array(substr(p_pointer, 2), '/') END)
           WITH ORDINALITY AS p (part, n)
     WHERE p_pointer <> ''
$function$;

-- The id of the subject under whose key a text is sealed: it stands in front. NULL: it is no sealed
-- text.
CREATE FUNCTION {schema}.sealed_subject_v1(p_text text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $function$
    SELECT CASE WHEN p_text ~ '^\$sealed:1:[A-Za-z0-9_-]{24}'
                THEN encode(substr(decode(translate(substr(p_text, 11, 24), '-_', '+/'), 'base64'),
                                   1, 16), 'hex')::uuid END
$function$;

-- Events with sealed values, by the subject whose key sealed them. It has the id that the subject
-- has in the key store, to which only the keyed hash of its name leads.
CREATE TABLE {schema}.subject_events (
    subject_id uuid   NOT NULL,
    position   bigint NOT NULL,
    -- Pointers to the values.
    paths      text[] NOT NULL,
    PRIMARY KEY (subject_id, position)
);

-- How far the log was looked through for sealed values.
CREATE TABLE {schema}.subject_index (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position   bigint  NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- Listed paths at which no sealed value stands.
    unreadable bigint  NOT NULL DEFAULT 0 CHECK (unreadable >= 0)
);

INSERT INTO {schema}.subject_index DEFAULT VALUES;

-- Looks the next events of the log through for sealed values, at most p_events_max. Answers how far
-- that has come, and the head of the log; NULL for the first if somebody else does so now and not
-- p_wait. Call it in READ COMMITTED.
CREATE FUNCTION {schema}.subject_index_follow_v1(
    p_events_max bigint,
    p_wait       boolean,
    OUT followed bigint,
    OUT head     bigint
) LANGUAGE plpgsql
-- A piece is followed by the index, in the order of positions, whatever the plan was made for.
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_position   bigint;
    v_unreadable bigint;
BEGIN
    SELECT c.position INTO head FROM {schema}.counter c;
    IF p_wait THEN
        SELECT i.position INTO v_position FROM {schema}.subject_index i FOR UPDATE;
    ELSE
        SELECT i.position INTO v_position FROM {schema}.subject_index i FOR UPDATE SKIP LOCKED;
    END IF;
    IF v_position IS NULL THEN
        RETURN;
    END IF;
    followed := greatest(v_position, least(v_position + p_events_max, head));
    IF followed = v_position THEN
        RETURN;
    END IF;
    WITH found AS MATERIALIZED (
        SELECT e.position, p.path,
               {schema}.sealed_subject_v1(
                   d.data #>> {schema}.pointer_parts_v1(p.path)) AS subject_id
          FROM {schema}.events e
         CROSS JOIN LATERAL (SELECT convert_from(e.data, 'UTF8')::json AS data OFFSET 0) d
         CROSS JOIN LATERAL unnest(e.sealed_paths) AS p (path)
         WHERE e.position > v_position AND e.position <= followed
           AND e.sealed_paths IS NOT NULL AND e.deleted_at IS NULL
    ), written AS (
        INSERT INTO {schema}.subject_events (subject_id, position, paths)
        SELECT f.subject_id, f.position, array_agg(f.path ORDER BY f.path COLLATE "C") FROM found f
         WHERE f.subject_id IS NOT NULL GROUP BY f.subject_id, f.position
            ON CONFLICT (subject_id, position) DO NOTHING
    )
    SELECT count(*) FILTER (WHERE f.subject_id IS NULL) INTO v_unreadable FROM found f;
    UPDATE {schema}.subject_index i
       SET position = followed, unreadable = i.unreadable + v_unreadable;
END
$function$;

-- Whether something stands in a JSON document where a path leads; `null` is nothing.
CREATE FUNCTION {schema}.json_has_v1(p_data bytea, p_path text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
DECLARE
    v_found json[] := ARRAY[convert_from(p_data, 'UTF8')::json];
    v_part  text;
BEGIN
    FOREACH v_part IN ARRAY p_path LOOP
        SELECT coalesce(array_agg(x.value), '{}') INTO v_found
          FROM unnest(v_found) AS f (value)
         CROSS JOIN LATERAL
               (SELECT a.value
                  FROM json_array_elements(
                           CASE json_typeof(f.value) WHEN 'array' THEN f.value ELSE '[]' END)
                       WITH ORDINALITY AS a (value, n)
                 WHERE v_part = '*' OR v_part = (a.n - 1)::text
                UNION ALL
                SELECT m.value
                  FROM json_each(
                           CASE json_typeof(f.value) WHEN 'object' THEN f.value ELSE '{}' END)
                       AS m (key, value)
                 WHERE v_part = '*' OR v_part = m.key) AS x;
    END LOOP;
    RETURN EXISTS (SELECT FROM unnest(v_found) AS f (value) WHERE json_typeof(f.value) <> 'null');
END
$function$;
