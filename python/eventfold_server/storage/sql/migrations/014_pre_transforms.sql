-- Copy-transforms: jobs that read streams and write new ones by a document.

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
    ended_at       timestamptz
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

-- Appends a chunk of a transform, all of it or nothing, and moves the transform from position p_at
-- to p_to. p_targets: the streams of the chunk, each there once, with the number of their events;
-- p_in and p_nth: of each event, which of them it goes to, and the how manieth there it is.
-- p_sources with the last version read; p_links: pairs of both by index, with the number of events.
-- Outcomes: `copied`; `fenced`: somebody else has the lease, or has moved it; `stale`: the rules
-- are other ones; `exists`, `moved`, `closed`, `deleted`: a target is not as the transform left it.
CREATE FUNCTION {schema}.transform_append_v1(
    p_transform_no      bigint,
    p_lease             bigint,
    p_lease_ms          bigint,
    p_at                bigint,
    p_to                bigint,
    p_read              integer,
    p_counts            jsonb,
    p_sources           text[],
    p_source_versions   bigint[],
    p_targets           text[],
    p_categories        text[],
    p_target_events     integer[],
    p_link_sources      integer[],
    p_link_targets      integer[],
    p_link_events       integer[],
    p_in                integer[],
    p_nth               integer[],
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
    p_cancels           uuid[],
    p_copied_from       uuid[],
    p_writer            text,
    p_catalogue_version bigint,
    OUT outcome           text,
    OUT stream            text,
    OUT expected          bigint,
    OUT actual            bigint,
    OUT head              bigint,
    OUT catalogue_version bigint
) LANGUAGE plpgsql
-- Plans are made once, for tables of any size, and must not read one from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $function$
#variable_conflict use_column
DECLARE
    v_position bigint;
    v_recorded timestamptz;
    v_count    integer := cardinality(p_ids);
    -- One element a target.
    v_numbers  bigint[];
    v_versions bigint[];
BEGIN
    PERFORM FROM {schema}.transform_progress p
      WHERE p.transform_no = p_transform_no AND p.lease = p_lease AND p.position = p_at FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'fenced';
        RETURN;
    END IF;

    IF v_count > 0 THEN
        -- In a statement of its own: whatever is read below is read after the lock was granted.
        SELECT c.position, greatest(clock_timestamp(), c.recorded_at), c.catalogue_version
          INTO v_position, v_recorded, transform_append_v1.catalogue_version
          FROM {schema}.counter c FOR UPDATE;
        IF transform_append_v1.catalogue_version <> p_catalogue_version THEN
            outcome := 'stale';
            RETURN;
        END IF;
        SELECT p_targets[n], coalesce(k.version, 0), coalesce(s.version, 0),
               CASE WHEN k.version IS NULL THEN 'exists'
                    WHEN s.lifecycle = 2 THEN 'closed'
                    WHEN s.lifecycle = 3 THEN 'deleted' ELSE 'moved' END
          INTO stream, expected, actual, outcome
          FROM generate_series(1, cardinality(p_targets)) AS n
          LEFT JOIN {schema}.streams s ON s.name = p_targets[n]
          LEFT JOIN {schema}.transform_targets k
                 ON k.transform_no = p_transform_no AND k.stream = p_targets[n]
         WHERE coalesce(k.version, 0) <> coalesce(s.version, 0) OR s.lifecycle <> 1
         ORDER BY n LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
        SELECT array_agg(coalesce(s.stream_no, nextval('{schema}.streams_stream_no_seq'))
                         ORDER BY n),
               array_agg(coalesce(s.version, 0) ORDER BY n)
          INTO v_numbers, v_versions
          FROM generate_series(1, cardinality(p_targets)) AS n
          LEFT JOIN {schema}.streams s ON s.name = p_targets[n];
        INSERT INTO {schema}.streams (stream_no, name, category, version, root, created_at)
        OVERRIDING SYSTEM VALUE
        SELECT v_numbers[n], p_targets[n], p_categories[n], p_target_events[n], p_targets[n],
               v_recorded
          FROM generate_series(1, cardinality(p_targets)) AS n WHERE v_versions[n] = 0;
        UPDATE {schema}.streams s SET version = s.version + p_target_events[n]
          FROM generate_series(1, cardinality(p_targets)) AS n
         WHERE s.stream_no = v_numbers[n] AND v_versions[n] > 0;
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, flags, type, category, writer, data, metadata, tags,
                                     sent_digest, stored_digest, cancels, copied_from)
        SELECT v_position + n, v_numbers[p_in[n]], v_versions[p_in[n]] + p_nth[n], v_recorded,
               p_occurred_at[n], p_ids[n], p_flags[n], p_types[n], p_categories[p_in[n]], p_writer,
               p_data[n], p_metadata[n],
               CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                    THEN ARRAY(SELECT p_tags[t]
                                 FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                      p_tag_ends[n]) AS t) END,
               p_sent[n], p_stored[n], p_cancels[n], p_copied_from[n]
          FROM generate_series(1, v_count) AS n;
        head := v_position + v_count;
        UPDATE {schema}.counter c SET position = head, recorded_at = v_recorded;
        INSERT INTO {schema}.transform_targets AS k (transform_no, stream, version)
        SELECT p_transform_no, p_targets[n], p_target_events[n]
          FROM generate_series(1, cardinality(p_targets)) AS n
            ON CONFLICT (transform_no, stream) DO UPDATE SET version = k.version + excluded.version;
        INSERT INTO {schema}.transform_links AS l (transform_no, source, target, events)
        SELECT p_transform_no, p_sources[p_link_sources[n]], p_targets[p_link_targets[n]],
               p_link_events[n]
          FROM generate_series(1, cardinality(p_link_sources)) AS n
            ON CONFLICT (transform_no, source, target) DO UPDATE
           SET events = l.events + excluded.events;
    END IF;

    INSERT INTO {schema}.transform_sources AS q (transform_no, stream, version)
    SELECT p_transform_no, p_sources[n], p_source_versions[n]
      FROM generate_series(1, cardinality(p_sources)) AS n
        ON CONFLICT (transform_no, stream) DO UPDATE
       SET version = greatest(q.version, excluded.version);
    UPDATE {schema}.transform_progress p
       SET position = p_to, events_read = p.events_read + p_read,
           events_written = p.events_written + v_count,
           lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
     WHERE p.transform_no = p_transform_no;
    IF p_read > 0 THEN
        UPDATE {schema}.transforms t SET counts = p_counts WHERE t.transform_no = p_transform_no;
    END IF;
    outcome := 'copied';
END
$function$;

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

-- Closes the next p_max sources of a transform that cuts over, whose transaction holds up appends
-- and has copied all that is there: how many are left. Those that were closed before, or deleted,
-- stay as they are.
CREATE FUNCTION {schema}.transform_close_v1(p_transform_no bigint, p_max integer)
RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
BEGIN
    WITH chosen AS MATERIALIZED (
        SELECT q.stream FROM {schema}.transform_sources q
         WHERE q.transform_no = p_transform_no AND q.closure = 0 ORDER BY q.stream LIMIT p_max
    ), closed AS (
        UPDATE {schema}.streams s SET lifecycle = 2
          FROM chosen c WHERE s.name = c.stream AND s.lifecycle = 1
        RETURNING s.name
    )
    UPDATE {schema}.transform_sources q
       SET closure = CASE WHEN d.name IS NULL THEN 2 ELSE 1 END
      FROM chosen c LEFT JOIN closed d ON d.name = c.stream
     WHERE q.transform_no = p_transform_no AND q.stream = c.stream;
    RETURN (SELECT count(*) FROM {schema}.transform_sources q
             WHERE q.transform_no = p_transform_no AND q.closure = 0);
END
$function$;

-- Notes what comparing a chunk has found equal, for who has the lease: up to position p_to,
-- p_events of the targets, whose chained digests go on. False: somebody else has the lease.
CREATE FUNCTION {schema}.transform_verified_v1(
    p_transform_no bigint, p_lease bigint, p_lease_ms bigint, p_at bigint, p_to bigint,
    p_events bigint, p_targets text[], p_versions bigint[], p_source_hashes bytea[],
    p_target_hashes bytea[])
RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
BEGIN
    UPDATE {schema}.transform_progress p
       SET verified = p_to, events_verified = p.events_verified + p_events,
           lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
     WHERE p.transform_no = p_transform_no AND p.lease = p_lease AND p.verified = p_at;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE {schema}.transform_targets k
       SET verified_version = p_versions[n], source_hash = p_source_hashes[n],
           target_hash = p_target_hashes[n]
      FROM generate_series(1, cardinality(p_targets)) AS n
     WHERE k.transform_no = p_transform_no AND k.stream = p_targets[n];
    RETURN true;
END
$function$;

-- Names successors of the next p_max sources behind the name p_after, in byte order: of each that
-- the cut-over closed, that went into one target alone, and that target came from it alone. Answers
-- the last name, NULL if there is none behind p_after, or somebody else has the lease.
CREATE FUNCTION {schema}.transform_succeed_v1(
    p_transform_no bigint, p_lease bigint, p_after text, p_max integer)
RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    _last text;
BEGIN
    PERFORM FROM {schema}.transform_progress p
      WHERE p.transform_no = p_transform_no AND p.lease = p_lease FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT max(c.stream) INTO _last
      FROM (SELECT q.stream FROM {schema}.transform_sources q
             WHERE q.transform_no = p_transform_no AND q.stream > p_after
             ORDER BY q.stream LIMIT p_max) c;
    WITH pairs AS MATERIALIZED (
        SELECT q.stream, min(l.target) AS target
          FROM {schema}.transform_sources q
          JOIN {schema}.transform_links l
            ON l.transform_no = q.transform_no AND l.source = q.stream
         WHERE q.transform_no = p_transform_no AND q.stream > p_after AND q.stream <= _last
           AND q.closure = 1 AND q.successor IS NULL
         GROUP BY q.stream HAVING count(*) = 1
    ), alone AS MATERIALIZED (
        SELECT a.stream, a.target FROM pairs a
         WHERE NOT EXISTS (SELECT FROM {schema}.transform_links o
                            WHERE o.transform_no = p_transform_no AND o.target = a.target
                              AND o.source <> a.stream)
    ), named AS (
        UPDATE {schema}.streams s SET successor = a.target
          FROM alone a WHERE s.name = a.stream AND s.lifecycle = 2 AND s.successor IS NULL
        RETURNING s.name
    )
    UPDATE {schema}.transform_sources q SET successor = a.target
      FROM alone a JOIN named m ON m.name = a.stream
     WHERE q.transform_no = p_transform_no AND q.stream = a.stream;
    RETURN _last;
END
$function$;

-- Opens the next p_max sources again that the cut-over of a transform closed; if it was cancelled,
-- closes its targets too, so that nobody goes on with half of something. True: nothing is left to
-- do. NULL: somebody else has the lease.
CREATE FUNCTION {schema}.transform_undo_v1(p_transform_no bigint, p_lease bigint, p_max integer)
RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    _done boolean;
BEGIN
    PERFORM FROM {schema}.transform_progress p
      WHERE p.transform_no = p_transform_no AND p.lease = p_lease FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- No append is between check and commit meanwhile.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    WITH chosen AS MATERIALIZED (
        SELECT q.stream FROM {schema}.transform_sources q
         WHERE q.transform_no = p_transform_no AND q.closure > 0 ORDER BY q.stream LIMIT p_max
    ), opened AS (
        UPDATE {schema}.streams s SET lifecycle = 1
          FROM chosen c
          JOIN {schema}.transform_sources q
            ON q.transform_no = p_transform_no AND q.stream = c.stream AND q.closure = 1
         WHERE s.name = c.stream AND s.lifecycle = 2 AND s.successor IS NULL
           -- What another one cuts over too, or did, stays closed.
           AND NOT EXISTS (SELECT FROM {schema}.transforms t
                             JOIN {schema}.transform_sources o ON o.transform_no = t.transform_no
                            WHERE t.transform_no <> p_transform_no AND t.state IN (6, 7, 8)
                              AND o.stream = c.stream AND o.closure > 0)
    ), left_to AS (
        -- It is theirs now to open it again.
        UPDATE {schema}.transform_sources o SET closure = 1
          FROM chosen c
          JOIN {schema}.transform_sources q
            ON q.transform_no = p_transform_no AND q.stream = c.stream AND q.closure = 1
          JOIN {schema}.transforms t
            ON t.transform_no <> p_transform_no AND t.state IN (6, 7, 8)
         WHERE o.transform_no = t.transform_no AND o.stream = c.stream AND o.closure = 2
    )
    UPDATE {schema}.transform_sources q SET closure = 0
      FROM chosen c WHERE q.transform_no = p_transform_no AND q.stream = c.stream;
    _done := NOT FOUND;
    IF _done AND (SELECT t.ends = 10 FROM {schema}.transforms t
                   WHERE t.transform_no = p_transform_no) THEN
        UPDATE {schema}.streams s SET lifecycle = 2
          FROM (SELECT x.name FROM {schema}.transform_targets k
                  JOIN {schema}.streams x ON x.name = k.stream AND x.lifecycle = 1
                 WHERE k.transform_no = p_transform_no LIMIT p_max) c
         WHERE s.name = c.name;
        _done := NOT FOUND;
    END IF;
    IF _done THEN
        UPDATE {schema}.transforms t SET state = t.ends, ended_at = clock_timestamp()
         WHERE t.transform_no = p_transform_no;
        -- Without copies nobody has to say anything of them.
        DELETE FROM {schema}.transform_categories g
         WHERE g.transform_no = p_transform_no
           AND NOT EXISTS (SELECT FROM {schema}.transform_targets k
                            WHERE k.transform_no = p_transform_no);
        PERFORM {schema}.transform_fence_v1(p_transform_no);
    END IF;
    RETURN _done;
END
$function$;
