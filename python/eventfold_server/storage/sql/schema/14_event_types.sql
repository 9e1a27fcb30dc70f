-- What was said of event types. Every change of schemas, mappings, modes and demands goes with
-- `catalogue_changed_v1` in one transaction.
CREATE TABLE {schema}.event_types (
    type        text        COLLATE "C" PRIMARY KEY
                            CHECK (octet_length(type) BETWEEN 1 AND 128),
    description text        NOT NULL DEFAULT '' CHECK (octet_length(description) <= 4096),
    -- The event type that is written instead; NULL: none.
    replaced_by text        COLLATE "C" CHECK (octet_length(replaced_by) BETWEEN 1 AND 128),
    -- The numbers of the proto's SchemaMode and ReferenceMode; 0: nothing was said.
    schema_mode smallint    NOT NULL DEFAULT 0 CHECK (schema_mode BETWEEN 0 AND 3),
    refs_mode   smallint    NOT NULL DEFAULT 0 CHECK (refs_mode BETWEEN 0 AND 2),
    put_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by      text        NOT NULL,
    CHECK (replaced_by <> type)
);

CREATE TABLE {schema}.categories (
    category    text     COLLATE "C" PRIMARY KEY CHECK (octet_length(category) BETWEEN 1 AND 64),
    schema_mode smallint NOT NULL CHECK (schema_mode BETWEEN 1 AND 3)
);

-- All revisions of schemas; the newest of an event type is in force.
CREATE TABLE {schema}.schemas (
    schema_no         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- NULL: it is shared, and others refer to it by its id.
    type              text        COLLATE "C" CHECK (octet_length(type) BETWEEN 1 AND 128),
    -- Its `$id`; NULL: none.
    schema_id         text        COLLATE "C" CHECK (octet_length(schema_id) BETWEEN 1 AND 1024),
    revision          integer     NOT NULL CHECK (revision >= 1),
    -- SHA-256 of its canonical JSON and of all that it refers to, lower-case hexadecimal.
    digest            text        NOT NULL,
    -- The document as it came in.
    source            text        NOT NULL,
    -- `$id` and document of all that it refers to, as they were when it was put.
    resource_ids      text[]      NOT NULL,
    resources         text[]      NOT NULL,
    -- The number of the proto's SchemaDraft.
    draft             smallint    NOT NULL CHECK (draft BETWEEN 1 AND 3),
    formats           boolean     NOT NULL,
    accepted_misfits  bigint      NOT NULL DEFAULT 0 CHECK (accepted_misfits >= 0),
    catalogue_version bigint      NOT NULL,
    put_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by            text        NOT NULL,
    CHECK (type IS NOT NULL OR schema_id IS NOT NULL),
    CHECK (cardinality(resource_ids) = cardinality(resources))
);
CREATE UNIQUE INDEX schemas_type ON {schema}.schemas (type, revision) WHERE type IS NOT NULL;
CREATE UNIQUE INDEX schemas_shared ON {schema}.schemas (schema_id, revision) WHERE type IS NULL;

-- All revisions of mappings; the one of an event type that was not dropped is in force.
CREATE TABLE {schema}.mappings (
    mapping_no        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type              text        COLLATE "C" NOT NULL
                                  CHECK (octet_length(type) BETWEEN 1 AND 128),
    revision          integer     NOT NULL CHECK (revision >= 1),
    -- SHA-256 of the normal form of the document, lower-case hexadecimal.
    digest            text        NOT NULL,
    -- The document as it came in.
    source            text        NOT NULL,
    -- Of the catalogue when it came into force, and when it was dropped or another took its place;
    -- NULL: it was not.
    catalogue_version bigint      NOT NULL,
    dropped_version   bigint,
    put_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by            text        NOT NULL,
    UNIQUE (type, revision)
);
CREATE UNIQUE INDEX mappings_in_force ON {schema}.mappings (type) WHERE dropped_version IS NULL;

-- What the log holds of each type, up to the position of event_type_progress; the rest is counted
-- by who asks, in pieces.
CREATE TABLE {schema}.event_type_counts (
    type              text        COLLATE "C" PRIMARY KEY,
    events            bigint      NOT NULL,
    violations        bigint      NOT NULL,
    first_position    bigint      NOT NULL,
    last_position     bigint      NOT NULL,
    first_recorded_at timestamptz NOT NULL,
    last_recorded_at  timestamptz NOT NULL
);

CREATE TABLE {schema}.event_type_writers (
    type             text        COLLATE "C" NOT NULL,
    writer           text        COLLATE "C" NOT NULL,
    events           bigint      NOT NULL,
    last_recorded_at timestamptz NOT NULL,
    PRIMARY KEY (type, writer)
);

CREATE TABLE {schema}.event_type_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL DEFAULT 0 CHECK (position >= 0)
);
INSERT INTO {schema}.event_type_progress DEFAULT VALUES;

-- Counts the next events of the log, at most p_events_max, into event_type_counts and
-- event_type_writers. Answers how far that has come, and the head of the log; NULL for the first
-- if somebody else counts now and not p_wait. Call it in READ COMMITTED: each statement inside
-- then sees what others counted before the lock was granted.
CREATE FUNCTION {schema}.event_types_count_v1(
    p_events_max bigint,
    p_wait       boolean,
    OUT counted  bigint,
    OUT head     bigint
) LANGUAGE plpgsql
-- A piece is followed by the index, in the order of positions, whatever the plan was made for.
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_from bigint;
BEGIN
    SELECT p.position, c.position INTO counted, head
      FROM {schema}.event_type_progress p, {schema}.counter c;
    IF counted >= head THEN
        -- Nobody is kept from counting, and nothing is written.
        RETURN;
    END IF;
    IF p_wait THEN
        SELECT p.position INTO v_from FROM {schema}.event_type_progress p FOR UPDATE;
    ELSE
        SELECT p.position INTO v_from FROM {schema}.event_type_progress p FOR UPDATE SKIP LOCKED;
    END IF;
    counted := CASE WHEN v_from < head THEN least(v_from + p_events_max, head) ELSE v_from END;
    IF v_from IS NULL OR counted = v_from THEN
        RETURN;
    END IF;
    WITH found AS MATERIALIZED (
        SELECT e.type, e.writer, count(*) AS events,
               count(*) FILTER (WHERE e.flags & 16 <> 0) AS violations,
               min(e.position) AS first_position, max(e.position) AS last_position,
               min(e.recorded_at) AS first_recorded_at, max(e.recorded_at) AS last_recorded_at
          FROM {schema}.events e
         WHERE e.position > v_from AND e.position <= counted
         GROUP BY e.type, e.writer
    ), written AS (
        INSERT INTO {schema}.event_type_writers AS w (type, writer, events, last_recorded_at)
        SELECT f.type, f.writer, f.events, f.last_recorded_at FROM found f
            ON CONFLICT (type, writer) DO UPDATE
           SET events = w.events + excluded.events, last_recorded_at = excluded.last_recorded_at
    )
    INSERT INTO {schema}.event_type_counts AS t (type, events, violations, first_position,
                                                 last_position, first_recorded_at,
                                                 last_recorded_at)
    SELECT f.type, sum(f.events), sum(f.violations), min(f.first_position), max(f.last_position),
           min(f.first_recorded_at), max(f.last_recorded_at)
      FROM found f GROUP BY f.type
        ON CONFLICT (type) DO UPDATE
       SET events = t.events + excluded.events, violations = t.violations + excluded.violations,
           last_position = excluded.last_position, last_recorded_at = excluded.last_recorded_at;
    UPDATE {schema}.event_type_progress p SET position = counted;
END
$function$;
