-- Deleting streams: what their events hold goes, and what was made of it.

-- What was sent is known of a deleted event no more: a digest would tell whoever guesses it. Then
-- ids alone decide whether an append is known.
ALTER TABLE {schema}.events ALTER COLUMN sent_digest DROP NOT NULL;

-- As before, and the digest of what was sent may go.
CREATE OR REPLACE FUNCTION {schema}.refuse_change_v1() RETURNS trigger LANGUAGE plpgsql
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

-- Jobs that delete streams.
CREATE TABLE {schema}.deletions (
    deletion_no     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deletion_id     uuid        NOT NULL UNIQUE,
    -- What was asked for: the first stream of its line.
    stream          text        COLLATE "C" NOT NULL,
    reason          text        NOT NULL,
    -- Of the plan, lower-case hexadecimal.
    digest          text        NOT NULL,
    -- The number of the proto's DeletionState.
    state           smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 4),
    -- Position up to which events were looked through for links.
    position        bigint      NOT NULL,
    -- Generations of projections with a higher number were begun when the payloads were gone; NULL:
    -- they are not gone yet.
    generation_mark bigint,
    -- Events that are emptied, kept states and rows of projections that were dropped.
    events          bigint      NOT NULL DEFAULT 0,
    kept_states     bigint      NOT NULL DEFAULT 0,
    rows            bigint      NOT NULL DEFAULT 0,
    -- Projections that are built anew and waited for.
    waiting         text[]      NOT NULL DEFAULT '{}',
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    requested_by    text        NOT NULL,
    emptied_at      timestamptz,
    ended_at        timestamptz,
    -- The fencing token: it goes up with each server process that takes the job.
    lease           bigint      NOT NULL DEFAULT 0,
    -- By PostgreSQL's clock; NULL: nobody has it.
    lease_until     timestamptz
);
CREATE INDEX deletions_open ON {schema}.deletions (deletion_no) WHERE state < 4;

-- The streams that a job deletes; a stream is deleted once at the most.
CREATE TABLE {schema}.deletion_streams (
    stream_no   bigint PRIMARY KEY,
    deletion_no bigint NOT NULL REFERENCES {schema}.deletions,
    stream      text   COLLATE "C" NOT NULL,
    root        text   COLLATE "C" NOT NULL,
    -- The stream that it belongs to, and the rule that says so (empty: by hand); NULL: it was asked
    -- for.
    owner       text   COLLATE "C",
    rule        text   COLLATE "C",
    version     bigint NOT NULL,
    -- Up to which version its events are emptied.
    emptied     bigint NOT NULL DEFAULT 0
);
CREATE INDEX deletion_streams_job ON {schema}.deletion_streams (deletion_no, stream);

-- Links that a job has dropped, the stream of which stays.
CREATE TABLE {schema}.deletion_detached (
    deletion_no bigint NOT NULL REFERENCES {schema}.deletions,
    stream      text   COLLATE "C" NOT NULL,
    owner       text   COLLATE "C" NOT NULL,
    rule        text   COLLATE "C" NOT NULL,
    PRIMARY KEY (deletion_no, stream, owner, rule)
);

-- Deletes the streams p_streams, of which each stays at its version from here on, and stores the
-- job that does the rest. The caller has the lock of the counter. Every append is checked again.
CREATE FUNCTION {schema}.deletion_begin_v1(
    p_deletion_id uuid, p_stream text, p_reason text, p_digest text, p_position bigint,
    p_writer text, p_streams text[], p_owners text[], p_rules text[],
    p_detached text[], p_detached_owners text[], p_detached_rules text[])
RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    v_no bigint;
BEGIN
    INSERT INTO {schema}.deletions (deletion_id, stream, reason, digest, position, requested_by)
    VALUES (p_deletion_id, p_stream, p_reason, p_digest, p_position, p_writer)
    RETURNING deletion_no INTO v_no;
    INSERT INTO {schema}.deletion_streams
           (stream_no, deletion_no, stream, root, owner, rule, version)
    SELECT s.stream_no, v_no, s.name, s.root, a.owner, a.rule, s.version
      FROM unnest(p_streams, p_owners, p_rules) AS a (stream, owner, rule)
      JOIN {schema}.streams s ON s.name = a.stream;
    UPDATE {schema}.streams s SET lifecycle = 3 WHERE s.name = ANY (p_streams);
    INSERT INTO {schema}.deletion_detached (deletion_no, stream, owner, rule)
    SELECT DISTINCT v_no, a.stream, a.owner, a.rule
      FROM unnest(p_detached, p_detached_owners, p_detached_rules) AS a (stream, owner, rule);
    DELETE FROM {schema}.links l
     USING unnest(p_detached, p_detached_owners) AS a (stream, owner)
     WHERE l.stream = a.stream AND l.owner = a.owner;
    -- Examples of transforms hold what is to go.
    UPDATE {schema}.transforms t SET trial = jsonb_set(t.trial, ARRAY['examples'], '[]')
     WHERE EXISTS (SELECT FROM jsonb_array_elements(t.trial -> 'examples') AS x (example)
                    WHERE x.example ->> 'stream' = ANY (p_streams)
                       OR EXISTS (SELECT
                                    FROM jsonb_array_elements(x.example -> 'copies') AS c (copy)
                                   WHERE c.copy ->> 0 = ANY (p_streams)));
    PERFORM {schema}.catalogue_changed_v1();
END
$function$;

-- Empties the next events of the streams of a job, at most p_events_max; the only function that
-- does so. Answers how many; whether none is left, NULL: somebody else has the job.
CREATE FUNCTION {schema}.delete_payloads_v1(
    p_deletion_no bigint, p_lease bigint, p_events_max bigint, OUT events bigint, OUT done boolean
) LANGUAGE plpgsql AS $function$
DECLARE
    v_stream {schema}.deletion_streams;
BEGIN
    events := 0;
    PERFORM FROM {schema}.deletions d
      WHERE d.deletion_no = p_deletion_no AND d.lease = p_lease AND d.state = 2 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT s.* INTO v_stream FROM {schema}.deletion_streams s
     WHERE s.deletion_no = p_deletion_no AND s.emptied < s.version
     ORDER BY s.stream LIMIT 1;
    IF NOT FOUND THEN
        done := true;
        RETURN;
    END IF;
    PERFORM set_config('eventfold.deleting', 'on', true);
    -- The digest of what is stored now: nothing, twice.
    UPDATE {schema}.events e
       SET data = '', metadata = '', tags = NULL, sealed_paths = NULL, trace_context = NULL,
           sent_digest = NULL, deleted_at = clock_timestamp(),
           stored_digest = sha256(convert_to(E'eventfold stored event 1\n', 'UTF8')
                                  || decode(repeat('00', 16), 'hex'))
     WHERE e.stream_no = v_stream.stream_no AND e.version > v_stream.emptied
       AND e.version <= v_stream.emptied + p_events_max AND e.deleted_at IS NULL;
    GET DIAGNOSTICS events = ROW_COUNT;
    PERFORM set_config('eventfold.deleting', 'off', true);
    UPDATE {schema}.deletion_streams s
       SET emptied = least(s.version, s.emptied + p_events_max)
     WHERE s.stream_no = v_stream.stream_no;
    UPDATE {schema}.deletions d SET events = d.events + delete_payloads_v1.events
     WHERE d.deletion_no = p_deletion_no;
    done := false;
END
$function$;

-- Drops the states that are kept of streams; how many. Whoever is about to keep one is waited for:
-- behind the lock, nobody keeps one of a stream that is deleted.
CREATE FUNCTION {schema}.drop_kept_states_v1(p_streams bigint[]) RETURNS bigint LANGUAGE plpgsql
AS $function$
DECLARE
    v_dropped bigint := 0;
BEGIN
    -- Somebody may have dropped the cache.
    IF to_regclass('{schema}.kept_states') IS NOT NULL THEN
        LOCK TABLE {schema}.kept_states IN SHARE ROW EXCLUSIVE MODE;
        DELETE FROM {schema}.kept_states k WHERE k.stream_no = ANY (p_streams);
        GET DIAGNOSTICS v_dropped = ROW_COUNT;
    END IF;
    RETURN v_dropped;
END
$function$;
