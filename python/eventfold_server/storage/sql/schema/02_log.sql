CREATE TABLE {schema}.streams (
    stream_no   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Compared byte by byte, never normalised.
    name        text        COLLATE "C" NOT NULL UNIQUE,
    category    text        COLLATE "C" NOT NULL,
    -- The number of events, and so the version of the last one.
    version     bigint      NOT NULL,
    -- 1 open, 2 closed, 3 deleted: the numbers of the proto's Lifecycle.
    lifecycle   smallint    NOT NULL DEFAULT 1,
    -- First stream of the line of periods; its own name if it is the first.
    root        text        COLLATE "C" NOT NULL,
    predecessor text        COLLATE "C",
    successor   text        COLLATE "C",
    created_at  timestamptz NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX streams_root ON {schema}.streams (root) WHERE predecessor IS NOT NULL;

-- What holds of every row of streams. A CHECK is parsed anew by every statement that updates a row;
-- the condition of a trigger only by those that set one of its columns, and appends do not.
CREATE FUNCTION {schema}.refuse_stream_v1() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    RAISE EXCEPTION 'a row of streams breaks a rule (% on %)', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END
$function$;

CREATE TRIGGER streams_refuse_row
    AFTER INSERT OR UPDATE OF name, category, lifecycle, root, predecessor, successor
    ON {schema}.streams FOR EACH ROW
    WHEN (NOT (octet_length(NEW.name) BETWEEN 1 AND 255
               AND octet_length(NEW.category) BETWEEN 1 AND 64
               AND NEW.version >= 1
               AND NEW.lifecycle IN (1, 2, 3)
               AND split_part(NEW.name, '-', 1) = NEW.category
               AND (NEW.predecessor IS NULL) = (NEW.root = NEW.name)
               AND (NEW.successor IS NULL OR NEW.lifecycle <> 1)))
    EXECUTE FUNCTION {schema}.refuse_stream_v1();

-- Events are only ever inserted, in order of position. There is no foreign key to streams: only
-- the append functions write here, under the lock, and it would cost every event an index probe.
CREATE TABLE {schema}.events (
    position      bigint      PRIMARY KEY CHECK (position >= 1),
    stream_no     bigint      NOT NULL,
    version       bigint      NOT NULL CHECK (version >= 1),
    recorded_at   timestamptz NOT NULL,
    occurred_at   timestamptz NOT NULL,
    event_id      uuid        NOT NULL,
    -- Sum of the proto's EventFlag.
    flags         integer     NOT NULL DEFAULT 0,
    type          text        COLLATE "C" NOT NULL CHECK (octet_length(type) BETWEEN 1 AND 128),
    -- Copied from the stream, so that a category is read in order of position by one index.
    category      text        COLLATE "C" NOT NULL,
    writer        text        NOT NULL,
    -- bytea, not jsonb: the exact bytes that came in.
    data          bytea       NOT NULL,
    metadata      bytea       NOT NULL,
    -- Sorted set; NULL: none.
    tags          text[]      COLLATE "C" CHECK (cardinality(tags) >= 1),
    -- SHA-256 of type, data, metadata and tags as sent: tells a repeated append from a reused id.
    -- NULL: they were deleted, and ids alone decide.
    sent_digest   bytea       CHECK (octet_length(sent_digest) = 32),
    -- SHA-256 of data and metadata as stored: tells whether the disk kept them.
    stored_digest bytea       NOT NULL CHECK (octet_length(stored_digest) = 32),
    -- W3C traceparent of the call that appended it.
    trace_context text,
    -- Id of the event that this one is a copy of.
    copied_from   uuid,
    -- Id of the event that this one cancels.
    cancels       uuid,
    -- Pointers of the sealed values of data; NULL: none.
    sealed_paths  text[]      COLLATE "C",
    -- When data, metadata and tags were deleted; NULL: they were not.
    deleted_at    timestamptz,
    CONSTRAINT events_stream_version UNIQUE (stream_no, version),
    CONSTRAINT events_id UNIQUE (event_id)
-- Insert-only tables are frozen late by default; a small factor keeps pages all-visible early.
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX events_category_position ON {schema}.events (category, position);
-- An event is cancelled once at the most.
CREATE UNIQUE INDEX events_cancels ON {schema}.events (stream_no, cancels)
    WHERE cancels IS NOT NULL;
CREATE INDEX events_copied_from ON {schema}.events (copied_from) WHERE copied_from IS NOT NULL;

-- Refuses every change of events but one: the deletion of a stream's payloads, which sets
-- eventfold.deleting for its transaction and leaves all other columns as they are, but for the
-- digest of what was sent, which may go. A guard against mistakes, not against the owner of the
-- schema.
CREATE FUNCTION {schema}.refuse_change_v1() RETURNS trigger LANGUAGE plpgsql
AS $function$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('eventfold.deleting', true) = 'on'
       AND NEW.deleted_at IS NOT NULL
       AND (NEW.sent_digest IS NULL OR NEW.sent_digest = OLD.sent_digest)
       AND (NEW.position, NEW.stream_no, NEW.version, NEW.recorded_at, NEW.occurred_at,
            NEW.event_id, NEW.type, NEW.category, NEW.writer)
           IS NOT DISTINCT FROM
           (OLD.position, OLD.stream_no, OLD.version, OLD.recorded_at, OLD.occurred_at,
            OLD.event_id, OLD.type, OLD.category, OLD.writer)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'events are never changed (% on %)', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$function$;

CREATE TRIGGER events_refuse_change BEFORE UPDATE OR DELETE ON {schema}.events
    FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_change_v1();
CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON {schema}.events
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change_v1();
