-- Links between streams: `Account-123` belongs to `User-456`.

-- Rules that links follow from. A rule reads events of one type, and finds the owner of their
-- stream by a pointer into their data; or it says that each stream of a category belongs to the one
-- of another category with the same id.
CREATE TABLE {schema}.link_rules (
    rule_no        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text        COLLATE "C" NOT NULL UNIQUE
                               CHECK (octet_length(name) BETWEEN 1 AND 128),
    -- Type of the events; NULL: the rule is of a category.
    type           text        COLLATE "C" CHECK (octet_length(type) BETWEEN 1 AND 128),
    -- The pointer as it came in, and its parts; `*` is every element or member.
    pointer        text        CHECK (octet_length(pointer) <= 1024),
    path           text[],
    -- Category of the streams that belong to others; NULL: the rule is of a type.
    category       text        COLLATE "C" CHECK (octet_length(category) BETWEEN 1 AND 64),
    -- Category of the owners. NULL: what stands in the data names a whole stream.
    owner_category text        COLLATE "C" CHECK (octet_length(owner_category) BETWEEN 1 AND 64),
    -- The number of the proto's LinkPolicy.
    policy         smallint    NOT NULL CHECK (policy BETWEEN 1 AND 3),
    -- Up to which position events are looked through.
    position       bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- Values at the pointer that name no stream.
    unreadable     bigint      NOT NULL DEFAULT 0 CHECK (unreadable >= 0),
    put_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by         text        NOT NULL,
    CHECK ((type IS NULL) <> (category IS NULL)),
    CHECK ((type IS NULL) = (pointer IS NULL)),
    CHECK ((type IS NULL) = (path IS NULL)),
    CHECK (category IS NULL OR owner_category IS NOT NULL)
);

-- Links that stand in events, and those that somebody put by hand. Those of rules of categories
-- follow from the names of streams, and stand nowhere.
CREATE TABLE {schema}.links (
    -- What belongs to another: the first stream of its line.
    stream   text        COLLATE "C" NOT NULL,
    owner    text        COLLATE "C" NOT NULL,
    -- 0: put by hand.
    rule_no  bigint      NOT NULL DEFAULT 0,
    -- The number of the proto's LinkPolicy; NULL: what the rule says.
    policy   smallint    CHECK (policy BETWEEN 1 AND 3),
    -- Position of the first event that says so; NULL: put by hand.
    position bigint,
    put_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by   text        NOT NULL,
    PRIMARY KEY (owner, stream, rule_no),
    CHECK (stream <> owner),
    CHECK ((rule_no = 0) = (policy IS NOT NULL)),
    CHECK ((rule_no = 0) = (position IS NULL))
);
CREATE INDEX links_stream ON {schema}.links (stream, owner);
CREATE INDEX links_rule ON {schema}.links (rule_no) WHERE rule_no <> 0;

-- Texts and numbers of a JSON document where a path leads, each once. As json, not jsonb: that
-- would look at numbers, and fail on some that are fine.
CREATE FUNCTION {schema}.link_values_v1(p_data bytea, p_path text[]) RETURNS SETOF text
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
    RETURN QUERY
    SELECT DISTINCT f.value #>> '{}' FROM unnest(v_found) AS f (value)
     WHERE json_typeof(f.value) IN ('string', 'number');
END
$function$;

-- Looks the next events of the log through for links of a rule of a type, at most p_events_max.
-- Answers how far that has come, and the head of the log; NULL for the first if there is no such
-- rule, or somebody else follows it now and not p_wait. Call it in READ COMMITTED. Events without
-- the mark EVENT_FLAG_VALIDATED_V1 are not read, nor those whose payload was deleted, nor values
-- that are sealed.
CREATE FUNCTION {schema}.links_follow_v1(
    p_rule_no    bigint,
    p_events_max bigint,
    p_wait       boolean,
    OUT followed bigint,
    OUT head     bigint
) LANGUAGE plpgsql
-- A piece is followed by the index, in the order of positions, whatever the plan was made for.
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_rule       {schema}.link_rules;
    v_unreadable bigint;
BEGIN
    SELECT c.position INTO head FROM {schema}.counter c;
    IF p_wait THEN
        SELECT r.* INTO v_rule FROM {schema}.link_rules r WHERE r.rule_no = p_rule_no FOR UPDATE;
    ELSE
        SELECT r.* INTO v_rule FROM {schema}.link_rules r WHERE r.rule_no = p_rule_no
           FOR UPDATE SKIP LOCKED;
    END IF;
    IF v_rule.type IS NULL THEN
        RETURN;
    END IF;
    followed := greatest(v_rule.position, least(v_rule.position + p_events_max, head));
    IF followed = v_rule.position THEN
        RETURN;
    END IF;
    WITH found AS MATERIALIZED (
        SELECT s.root AS stream, e.position,
               CASE WHEN v_rule.owner_category IS NULL THEN o.value
                    ELSE v_rule.owner_category || '-' || o.value END AS owner
          FROM {schema}.events e
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
         CROSS JOIN LATERAL {schema}.link_values_v1(e.data, v_rule.path) AS o (value)
         WHERE e.position > v_rule.position AND e.position <= followed AND e.type = v_rule.type
           AND e.deleted_at IS NULL AND e.flags & 1 <> 0
           AND NOT v_rule.pointer = ANY (coalesce(e.sealed_paths, '{}'))
    ), named AS (
        SELECT f.stream, f.position, f.owner,
               f.owner ~ '^[A-Za-z0-9_]{1,64}-.' AND octet_length(f.owner) <= 255 AS is_stream
          FROM found f
    ), written AS (
        INSERT INTO {schema}.links (stream, owner, rule_no, position, put_by)
        SELECT n.stream, n.owner, p_rule_no, min(n.position), v_rule.put_by FROM named n
         WHERE n.is_stream AND n.owner <> n.stream GROUP BY n.stream, n.owner
            ON CONFLICT (owner, stream, rule_no) DO NOTHING
    )
    SELECT count(*) FILTER (WHERE NOT n.is_stream) INTO v_unreadable FROM named n;
    UPDATE {schema}.link_rules r
       SET position = followed, unreadable = r.unreadable + v_unreadable
     WHERE r.rule_no = p_rule_no;
END
$function$;

-- Stores a rule of links under its name. The same again changes nothing; a policy alone is taken
-- over, and links stay; another rule begins from the first event. Outcomes: `created`, `same`,
-- `changed`, `replaced`.
CREATE FUNCTION {schema}.link_rule_put_v1(
    p_name text, p_type text, p_pointer text, p_path text[], p_category text,
    p_owner_category text, p_policy smallint, p_writer text)
RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
    v_rule {schema}.link_rules;
BEGIN
    LOOP
        SELECT r.* INTO v_rule FROM {schema}.link_rules r WHERE r.name = p_name FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO {schema}.link_rules
               (name, type, pointer, path, category, owner_category, policy, put_by)
        VALUES (p_name, p_type, p_pointer, p_path, p_category, p_owner_category, p_policy, p_writer)
            ON CONFLICT (name) DO NOTHING;
        IF FOUND THEN
            RETURN 'created';
        END IF;
    END LOOP;
    IF (v_rule.type, v_rule.pointer, v_rule.category, v_rule.owner_category)
       IS NOT DISTINCT FROM (p_type, p_pointer, p_category, p_owner_category) THEN
        IF v_rule.policy = p_policy THEN
            RETURN 'same';
        END IF;
        UPDATE {schema}.link_rules r
           SET policy = p_policy, put_at = clock_timestamp(), put_by = p_writer
         WHERE r.rule_no = v_rule.rule_no;
        RETURN 'changed';
    END IF;
    DELETE FROM {schema}.links l WHERE l.rule_no = v_rule.rule_no;
    UPDATE {schema}.link_rules r
       SET type = p_type, pointer = p_pointer, path = p_path, category = p_category,
           owner_category = p_owner_category, policy = p_policy, position = 0, unreadable = 0,
           put_at = clock_timestamp(), put_by = p_writer
     WHERE r.rule_no = v_rule.rule_no;
    RETURN 'replaced';
END
$function$;

-- Drops a rule and the links that followed from it; false: there is none.
CREATE FUNCTION {schema}.link_rule_drop_v1(p_name text) RETURNS boolean LANGUAGE plpgsql
AS $function$
DECLARE
    v_no bigint;
BEGIN
    DELETE FROM {schema}.link_rules r WHERE r.name = p_name RETURNING r.rule_no INTO v_no;
    DELETE FROM {schema}.links l WHERE l.rule_no = v_no;
    RETURN v_no IS NOT NULL;
END
$function$;
