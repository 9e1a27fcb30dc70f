-- Whose personal values stand in which events, and erasures of subjects.

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

-- Erasures of subjects. They tell a subject by the keyed hash of its name, and never the name.
CREATE TABLE {schema}.erasures (
    erasure_no        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    erasure_id        uuid        NOT NULL UNIQUE,
    subject_hash      bytea       NOT NULL CHECK (octet_length(subject_hash) = 32),
    -- In the key store; NULL: it is not known before the fence.
    subject_id        uuid,
    reason            text        NOT NULL,
    -- Of the plan, lower-case hexadecimal, and what it said, as JSON; NULL: it was done again from
    -- the ledger of fences, without a plan.
    plan_digest       text,
    plan              text,
    -- The number of the proto's ErasureState.
    state             smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 6),
    requested_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    requested_by      text        NOT NULL,
    -- The fence: its entry in the ledger, and the version of the catalogue that servers must have
    -- seen until nobody uses a key any more.
    ledger_no         bigint,
    ledger_digest     bytea,
    catalogue_version bigint,
    fenced_at         timestamptz,
    keys_destroyed_at timestamptz,
    keys_destroyed    integer     NOT NULL DEFAULT 0,
    -- Servers that said that they have thrown the keys away, and those whose leases ran out.
    evicted_at        timestamptz,
    acknowledged      integer     NOT NULL DEFAULT 0,
    expired           integer     NOT NULL DEFAULT 0,
    -- Generations of projections with a higher number were begun when nobody had a key any more.
    generation_mark   bigint,
    -- Events with sealed values, kept states and rows of projections that were dropped or made
    -- anew, projections that are built anew and waited for, and those that were dropped since
    -- they cannot be.
    events            bigint      NOT NULL DEFAULT 0,
    kept_states       bigint      NOT NULL DEFAULT 0,
    rows              bigint      NOT NULL DEFAULT 0,
    projections       text[]      NOT NULL DEFAULT '{}',
    waiting           text[]      NOT NULL DEFAULT '{}',
    projections_dropped text[]    NOT NULL DEFAULT '{}',
    scrubbed_at       timestamptz,
    announced_at      timestamptz,
    ended_at          timestamptz,
    -- JSON; it stands with the end.
    receipt           text,
    -- The fencing token: it goes up with each server process that takes the job.
    lease             bigint      NOT NULL DEFAULT 0,
    -- By PostgreSQL's clock; NULL: nobody has it.
    lease_until       timestamptz,
    CHECK ((state < 2) = (ledger_no IS NULL)),
    CHECK ((state < 2) OR subject_id IS NOT NULL),
    CHECK ((state < 3) = (generation_mark IS NULL)),
    CHECK ((state = 6) = (receipt IS NOT NULL))
);
-- One at a time of a subject.
CREATE UNIQUE INDEX erasures_open ON {schema}.erasures (subject_hash) WHERE state < 6;
CREATE INDEX erasures_subject ON {schema}.erasures (subject_hash, erasure_no);
CREATE INDEX erasures_ledger ON {schema}.erasures (ledger_no);

-- Streams that an erasure deletes, with all that belongs to them: first streams of their lines.
CREATE TABLE {schema}.erasure_streams (
    erasure_no  bigint NOT NULL REFERENCES {schema}.erasures,
    stream      text   COLLATE "C" NOT NULL,
    PRIMARY KEY (erasure_no, stream)
);

-- What must not be erased or deleted, until it is released.
CREATE TABLE {schema}.legal_holds (
    name         text        COLLATE "C" PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 128),
    -- What is held: a subject, by the keyed hash of its name, or the line of a stream, by its
    -- first.
    subject_hash bytea       CHECK (octet_length(subject_hash) = 32),
    stream       text        COLLATE "C",
    reason       text        NOT NULL,
    put_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by       text        NOT NULL,
    CHECK ((subject_hash IS NULL) <> (stream IS NULL))
);
