-- Leases of transforms. A later lease has a higher number.
CREATE SEQUENCE {schema}.transform_leases AS bigint;

CREATE TABLE {schema}.transforms (
    transform_no   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The job; the ids of its events are made from this one.
    transform_id   uuid        NOT NULL UNIQUE,
    name           text        COLLATE "C" NOT NULL,
    -- The document as it came in, and SHA-256 of its normal form, lower-case hexadecimal.
    source         text        NOT NULL,
    digest         text        NOT NULL,
    -- Nothing is copied: it ends when it was tried on all that was there.
    dry_run        boolean     NOT NULL,
    -- The numbers of the proto's TransformState.
    state          smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 11),
    -- What it ends as when all is undone (state 9).
    ends           smallint    CHECK (ends IN (10, 11)),
    -- Pairs of streams whose states are compared at the most.
    states_max     integer     NOT NULL CHECK (states_max >= 0),
    cutover_ms_max integer     CHECK (cutover_ms_max >= 1),
    -- The longest that its cut-over held up appends, in milliseconds.
    held_ms        integer     NOT NULL DEFAULT 0 CHECK (held_ms >= 0),
    -- Reason, message and facts of why it failed; NULL: it did not.
    failure        jsonb,
    -- What trying it on all that was there came to, as the domain keeps it.
    trial          jsonb       NOT NULL DEFAULT '{}',
    -- Events by type, and what became of them, as the domain keeps them.
    counts         jsonb       NOT NULL DEFAULT '{}',
    -- What comparing states came to, as the domain keeps it; NULL: none were compared.
    states         jsonb,
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_by     text        NOT NULL,
    caught_up_at   timestamptz,
    verified_at    timestamptz,
    cut_over_at    timestamptz,
    ended_at       timestamptz,
    -- The other server that it copies to, as the configuration names it; NULL: the same store.
    target         text        COLLATE "C",
    -- Id of its store, once it answered.
    target_store   uuid,
    -- Why it waits for that server; NULL: it does not.
    waiting        text
);

-- How far a transform is, and who runs it: written with every chunk, with room on the page for its
-- dead versions.
CREATE TABLE {schema}.transform_progress (
    transform_no    bigint PRIMARY KEY REFERENCES {schema}.transforms ON DELETE CASCADE,
    -- Position up to which it was tried.
    tried           bigint NOT NULL DEFAULT 0 CHECK (tried >= 0),
    -- Position up to which what its sources give is in the targets.
    position        bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- Position up to which that was compared.
    verified        bigint NOT NULL DEFAULT 0 CHECK (verified BETWEEN 0 AND position),
    events_read     bigint NOT NULL DEFAULT 0 CHECK (events_read >= 0),
    events_written  bigint NOT NULL DEFAULT 0 CHECK (events_written >= 0),
    events_verified bigint NOT NULL DEFAULT 0
                           CHECK (events_verified BETWEEN 0 AND events_written),
    -- The fencing token: it goes up with each server process that takes the transform.
    lease           bigint NOT NULL DEFAULT 0 CHECK (lease >= 0),
    -- By PostgreSQL's clock; NULL: nobody has it.
    lease_until     timestamptz
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Streams that a transform has read.
CREATE TABLE {schema}.transform_sources (
    transform_no bigint   NOT NULL REFERENCES {schema}.transforms ON DELETE CASCADE,
    stream       text     COLLATE "C" NOT NULL,
    -- The last version that was read.
    version      bigint   NOT NULL CHECK (version >= 1),
    -- 0 open, 1 closed by the cut-over, 2 closed or deleted before.
    closure      smallint NOT NULL DEFAULT 0 CHECK (closure BETWEEN 0 AND 2),
    -- What the cut-over has set as its successor.
    successor    text     COLLATE "C",
    PRIMARY KEY (transform_no, stream)
);

CREATE INDEX transform_sources_open ON {schema}.transform_sources (transform_no, stream)
    WHERE closure = 0;

-- Streams that a transform has written.
CREATE TABLE {schema}.transform_targets (
    transform_no     bigint NOT NULL REFERENCES {schema}.transforms ON DELETE CASCADE,
    stream           text   COLLATE "C" NOT NULL,
    -- The last version that was written; the stream has no other events.
    version          bigint NOT NULL CHECK (version >= 1),
    -- Up to which version it was compared.
    verified_version bigint NOT NULL DEFAULT 0 CHECK (verified_version BETWEEN 0 AND version),
    -- Chained SHA-256 of what should be there, and of what is; NULL: nothing was compared yet.
    source_hash      bytea,
    target_hash      bytea,
    PRIMARY KEY (transform_no, stream)
);

-- Which streams went into which, with how many events.
CREATE TABLE {schema}.transform_links (
    transform_no bigint NOT NULL REFERENCES {schema}.transforms ON DELETE CASCADE,
    source       text   COLLATE "C" NOT NULL,
    target       text   COLLATE "C" NOT NULL,
    events       bigint NOT NULL CHECK (events >= 1),
    PRIMARY KEY (transform_no, source, target)
);

CREATE INDEX transform_links_target ON {schema}.transform_links (transform_no, target, source);

-- Takes a transform away from the server process that has it: whoever takes it next reads anew what
-- it is. A chunk under way ends before.
CREATE FUNCTION {schema}.transform_fence_v1(p_transform_no bigint) RETURNS void LANGUAGE sql
AS $function$
    UPDATE {schema}.transform_progress p
       SET lease = nextval('{schema}.transform_leases'), lease_until = NULL
     WHERE p.transform_no = p_transform_no
$function$;

-- Moves a transform to the state p_to if it is in one of p_from, and gives it to whoever looks
-- next. Answers the state that it was in, NULL if there is no such transform. p_ends: how it ends,
-- where p_to is to undo it.
CREATE FUNCTION {schema}.transform_move_v1(
    p_transform_id uuid, p_from smallint[], p_to smallint, p_ends smallint,
    p_cutover_ms_max integer)
RETURNS smallint LANGUAGE plpgsql
AS $function$
DECLARE
    _no    bigint;
    _state smallint;
BEGIN
    SELECT t.transform_no INTO _no FROM {schema}.transforms t
     WHERE t.transform_id = p_transform_id;
    -- First the row that chunks lock first.
    PERFORM FROM {schema}.transform_progress p WHERE p.transform_no = _no FOR UPDATE;
    SELECT t.state INTO _state FROM {schema}.transforms t WHERE t.transform_no = _no FOR UPDATE;
    IF _state = ANY (p_from) THEN
        UPDATE {schema}.transforms t
           SET state = p_to, ends = p_ends,
               cutover_ms_max = coalesce(p_cutover_ms_max, t.cutover_ms_max)
         WHERE t.transform_no = _no;
        PERFORM {schema}.transform_fence_v1(_no);
    END IF;
    RETURN _state;
END
$function$;

-- Holds up appends for the transaction, for who has the lease p_lease of a transform that cuts
-- over: NULL if somebody else has, else the head of the log. Neither a statement behind it nor a
-- pause between two may take longer than p_ms_max milliseconds.
CREATE FUNCTION {schema}.transform_hold_v1(p_transform_no bigint, p_lease bigint, p_ms_max integer)
RETURNS bigint LANGUAGE plpgsql
AS $function$
DECLARE
    _head bigint;
BEGIN
    PERFORM FROM {schema}.transform_progress p
      WHERE p.transform_no = p_transform_no AND p.lease = p_lease FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('statement_timeout', p_ms_max::text, true),
            set_config('idle_in_transaction_session_timeout', p_ms_max::text, true);
    SELECT c.position INTO _head FROM {schema}.counter c FOR UPDATE;
    RETURN _head;
END
$function$;
