-- The whole schema as it is now: what a reader should read. The migrations lead to the same
-- (a test compares both). {schema} stands for the quoted name of the store's schema; every name
-- is qualified with it, so that no search_path is needed behind a pooler.

-- One row that says which store this is.
CREATE TABLE {schema}.store (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Never changes, not even by a restore.
    store_id    uuid        NOT NULL DEFAULT gen_random_uuid(),
    -- Changes when the product's own restore is used; informative.
    incarnation uuid        NOT NULL DEFAULT gen_random_uuid(),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row that every append locks: it makes positions dense and ordered by commit.
CREATE TABLE {schema}.counter (
    only_row          boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Position of the newest event; 0: the log is empty.
    position          bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- No event to come is recorded before this time; it never decreases.
    recorded_at       timestamptz NOT NULL DEFAULT '-infinity',
    -- Goes up with every change of a rule that appends are checked against.
    catalogue_version bigint      NOT NULL DEFAULT 1 CHECK (catalogue_version >= 1)
-- A low fill factor leaves room for the dead versions of the hottest row of all, so that its
-- updates stay on one page (HOT); small thresholds make autovacuum visit it often.
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Makes every append be checked again, under the rules that its transaction leaves behind; the new
-- version of the catalogue. Locks the counter: no append is between check and commit meanwhile.
-- Steps are of a random width: a store that was restored, or went on from a standby that had not
-- heard of the last changes, does not come to the number again that they had.
CREATE FUNCTION {schema}.catalogue_changed_v1() RETURNS bigint LANGUAGE sql AS $function$
    UPDATE {schema}.counter c
       SET catalogue_version = c.catalogue_version + 1 + (random() * 1000000)::bigint
    RETURNING c.catalogue_version
$function$;

-- The version of the catalogue as it is now.
CREATE FUNCTION {schema}.catalogue_version_v1() RETURNS bigint LANGUAGE sql STABLE AS $function$
    SELECT c.catalogue_version FROM {schema}.counter c
$function$;

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

-- Appends a batch in one transaction, group by group, and decides on each append as
-- check_append_v1 does. If p_plain, the first group holds appends that stand for themselves: each
-- of them is stored or refused, no two of them are on one stream, and no id stands in two. Every
-- other group is one append to several streams: stored whole or not at all, on condition of its
-- checks, and it sees what the groups before it stored.
--
-- Arrays hold one element a group (p_append_ends, p_check_ends: its last append and check), an
-- append (p_streams to p_catalogue_versions; append i has the events from p_event_ends[i - 1] + 1
-- to p_event_ends[i]), an event (from p_appends, the number of its append, to p_stored; tags as in
-- append_v1) or a check. Call it in READ COMMITTED, as append_v1.
--
-- Answers a row for each append, with the outcomes of append_v1, but in a group that is stored
-- whole or not at all only for those that did not pass, unless all did. A check that failed has a
-- row with check_number in place of append_number. Numbers count from 1.
CREATE FUNCTION {schema}.append_batch_v1(
    p_plain              boolean,
    p_append_ends        integer[],
    p_check_ends         integer[],
    p_streams            text[],
    p_expected           bigint[],
    p_event_ends         integer[],
    p_catalogue_versions bigint[],
    p_appends            integer[],
    p_categories         text[],
    p_writers            text[],
    p_trace_contexts     text[],
    p_ids                uuid[],
    p_types              text[],
    p_data               bytea[],
    p_metadata           bytea[],
    p_tags               text[],
    p_tag_ends           integer[],
    p_occurred_at        timestamptz[],
    p_flags              integer[],
    p_sent               bytea[],
    p_stored             bytea[],
    p_check_streams      text[],
    p_check_expected     bigint[]
) RETURNS TABLE (
    append_number     integer,
    check_number      integer,
    outcome           text,
    first_version     bigint,
    first_position    bigint,
    positions         bigint[],
    recorded_at       timestamptz,
    actual_version    bigint,
    successor         text,
    differs_at        integer,
    problem           text,
    catalogue_version bigint
) LANGUAGE plpgsql
-- Plans are made once, for tables of any size, and must not read one from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $function$
#variable_conflict use_column
DECLARE
    v_position   bigint;
    v_recorded   timestamptz;
    v_catalogue  bigint;
    v_now        timestamptz;
    v_whole      boolean;
    v_rows       integer;
    -- Of the group: its first and last append, event and check.
    v_a1 integer; v_a2 integer := 0;
    v_e1 integer; v_e2 integer := 0;
    v_c1 integer; v_c2 integer := 0;
    -- Numbers of the appends of the group that have an id which is stored.
    v_known      integer[];
    -- One element an append of the group. v_numbers: of the stream, 0 if nothing is stored now.
    v_outcomes   text[];
    v_numbers    bigint[];
    v_versions   bigint[];
    v_successors text[];
    -- Numbers of streams that exist and get events.
    v_moving     bigint[];
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.position, c.recorded_at, c.catalogue_version
      INTO v_position, v_recorded, v_catalogue
      FROM {schema}.counter c FOR UPDATE;
    v_now := greatest(clock_timestamp(), v_recorded);

    FOR v_group IN 1 .. cardinality(p_append_ends) LOOP
        v_whole := v_group > 1 OR NOT p_plain;
        v_a1 := v_a2 + 1; v_a2 := p_append_ends[v_group];
        v_e1 := v_e2 + 1; v_e2 := p_event_ends[v_a2];
        v_c1 := v_c2 + 1; v_c2 := p_check_ends[v_group];

        -- Lookups stand in subqueries that the planner cannot turn into joins.
        SELECT coalesce(array_agg(DISTINCT i.append), '{}') INTO v_known
          FROM unnest(p_appends[v_e1 : v_e2], p_ids[v_e1 : v_e2]) AS i (append, id)
         WHERE (SELECT e.position FROM {schema}.events e WHERE e.event_id = i.id) IS NOT NULL;
        SELECT array_agg(d.outcome), array_agg(d.number), array_agg(d.version),
               array_agg(d.successor),
               array_agg(d.number) FILTER (WHERE d.outcome = 'append' AND d.version > 0)
          INTO v_outcomes, v_numbers, v_versions, v_successors, v_moving
          FROM (SELECT c.*,
                       CASE WHEN c.outcome = 'append' THEN
                       coalesce(c.stream_no, nextval('{schema}.streams_stream_no_seq'))
                       ELSE 0 END AS number
                  FROM (SELECT a.n, s.stream_no, coalesce(s.version, 0) AS version, s.successor,
                               CASE WHEN a.catalogue_version <> v_catalogue THEN 'stale'
                                    WHEN v_a1 + a.n - 1 = ANY (v_known) THEN 'known'
                                    WHEN s.lifecycle = 2 THEN 'closed'
                                    WHEN s.lifecycle = 3 THEN 'deleted'
                                    WHEN a.expected >= 0 AND a.expected <> coalesce(s.version, 0)
                                      OR a.expected = -1 AND s.version IS NULL THEN 'conflict'
                                    ELSE 'append' END AS outcome
                          FROM unnest(p_streams[v_a1 : v_a2], p_expected[v_a1 : v_a2],
                                      p_catalogue_versions[v_a1 : v_a2])
                               WITH ORDINALITY AS a (stream, expected, catalogue_version, n)
                          LEFT JOIN LATERAL
                               (SELECT * FROM {schema}.streams x WHERE x.name = a.stream OFFSET 0)
                               AS s ON true) AS c
                 ORDER BY c.n) AS d;

        IF NOT 'append' = ALL (v_outcomes) THEN
            FOR v_i IN 1 .. cardinality(v_outcomes) LOOP
                CONTINUE WHEN v_outcomes[v_i] = 'append' AND NOT (v_whole AND v_known <> '{}');
                append_number := v_a1 + v_i - 1;
                first_version := NULL; positions := NULL; append_batch_v1.recorded_at := NULL;
                actual_version := v_versions[v_i];
                append_batch_v1.successor := v_successors[v_i];
                differs_at := NULL; problem := NULL;
                append_batch_v1.catalogue_version := v_catalogue;
                outcome := v_outcomes[v_i];
                IF outcome = 'known' THEN
                    SELECT d.outcome, d.first_version, d.positions, d.recorded_at, d.differs_at,
                           d.problem
                      INTO append_batch_v1.outcome, append_batch_v1.first_version,
                           append_batch_v1.positions, append_batch_v1.recorded_at,
                           append_batch_v1.differs_at, append_batch_v1.problem
                      FROM {schema}.check_append_v1(
                               p_streams[append_number], p_expected[append_number],
                               p_ids[coalesce(p_event_ends[append_number - 1], 0) + 1
                                     : p_event_ends[append_number]],
                               p_sent[coalesce(p_event_ends[append_number - 1], 0) + 1
                                      : p_event_ends[append_number]]) d;
                ELSIF v_whole AND v_known <> '{}' AND outcome <> 'stale' THEN
                    -- Others of the group are stored, so that this one should be.
                    outcome := 'reused'; differs_at := 1; problem := 'not_stored';
                END IF;
                v_outcomes[v_i] := outcome;
                RETURN NEXT;
            END LOOP;
        END IF;

        IF v_whole THEN
            CONTINUE WHEN 'duplicate' = ALL (v_outcomes) OR 'stale' = ANY (v_outcomes);
            RETURN QUERY
            SELECT NULL::integer, v_c1 + c.n::integer - 1,
                   CASE WHEN s.lifecycle = 3 THEN 'deleted' ELSE 'conflict' END,
                   NULL::bigint, NULL::bigint, NULL::bigint[], NULL::timestamptz,
                   coalesce(s.version, 0), NULL::text, NULL::integer, NULL::text, v_catalogue
              FROM unnest(p_check_streams[v_c1 : v_c2], p_check_expected[v_c1 : v_c2])
                   WITH ORDINALITY AS c (stream, expected, n)
              LEFT JOIN LATERAL
                   (SELECT * FROM {schema}.streams x WHERE x.name = c.stream OFFSET 0) AS s ON true
             WHERE s.lifecycle = 3
                OR c.expected >= 0 AND c.expected <> coalesce(s.version, 0)
                OR c.expected = -1 AND s.version IS NULL;
            CONTINUE WHEN FOUND OR NOT 'append' = ALL (v_outcomes);
        END IF;

        IF 0 = ANY (v_versions) THEN
            INSERT INTO {schema}.streams (stream_no, name, category, version, root, created_at)
            OVERRIDING SYSTEM VALUE
            SELECT v_numbers[a.n], a.name, p_categories[a.event_end],
                   a.event_end - coalesce(p_event_ends[v_a1 + a.n - 2], 0), a.name, v_now
              FROM (SELECT u.name, u.event_end, u.n::integer AS n
                      FROM unnest(p_streams[v_a1 : v_a2], p_event_ends[v_a1 : v_a2])
                           WITH ORDINALITY AS u (name, event_end, n)) AS a
             WHERE v_numbers[a.n] > 0 AND v_versions[a.n] = 0;
        END IF;
        IF v_moving IS NOT NULL THEN
            UPDATE {schema}.streams s
               SET version = s.version
                   + p_event_ends[v_a1 - 1 + array_position(v_numbers, s.stream_no)]
                   - coalesce(p_event_ends[v_a1 - 2 + array_position(v_numbers, s.stream_no)], 0)
             WHERE s.stream_no = ANY (v_moving);
        END IF;
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, flags, type, category, writer, data, metadata, tags,
                                     sent_digest, stored_digest, trace_context)
        SELECT v_position + row_number() OVER (ORDER BY e.n), v_numbers[e.append - v_a1 + 1],
               v_versions[e.append - v_a1 + 1] + v_e1 - 1 + e.n
               - coalesce(p_event_ends[e.append - 1], 0),
               v_now, coalesce(e.occurred_at, v_now), e.id, e.flags, e.type, e.category, e.writer,
               e.data, e.metadata,
               nullif(p_tags[coalesce(p_tag_ends[v_e1 + e.n::integer - 2], 0) + 1 : e.tag_end],
                      '{}'),
               e.sent, e.stored, e.trace_context
          FROM unnest(p_appends[v_e1 : v_e2], p_categories[v_e1 : v_e2], p_writers[v_e1 : v_e2],
                      p_trace_contexts[v_e1 : v_e2], p_ids[v_e1 : v_e2], p_types[v_e1 : v_e2],
                      p_data[v_e1 : v_e2], p_metadata[v_e1 : v_e2], p_tag_ends[v_e1 : v_e2],
                      p_occurred_at[v_e1 : v_e2], p_flags[v_e1 : v_e2], p_sent[v_e1 : v_e2],
                      p_stored[v_e1 : v_e2])
               WITH ORDINALITY
               AS e (append, category, writer, trace_context, id, type, data, metadata, tag_end,
                     occurred_at, flags, sent, stored, n)
         WHERE v_numbers[e.append - v_a1 + 1] > 0;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        RETURN QUERY
        SELECT v_a1 + a.n - 1, NULL::integer, 'append', v_versions[a.n] + 1,
               v_position + 1 + (sum(a.events) OVER (ORDER BY a.n))::bigint - a.events,
               NULL::bigint[], v_now, v_versions[a.n], NULL::text, NULL::integer, NULL::text,
               v_catalogue
          FROM (SELECT n, p_event_ends[v_a1 + n - 1]
                          - coalesce(p_event_ends[v_a1 + n - 2], 0) AS events
                  FROM generate_subscripts(v_numbers, 1) AS n
                 WHERE v_numbers[n] > 0) AS a;
        v_position := v_position + v_rows;
        v_recorded := v_now;
    END LOOP;

    UPDATE {schema}.counter c SET position = v_position, recorded_at = v_recorded
     WHERE c.position <> v_position;
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

-- As append_v2, for events that carry marks of the server: p_cancels holds for each event the id of
-- the one that it cancels, p_copied_from that of the one that it is a copy of (NULL: none; a whole
-- array may be NULL). Not for the many: it takes the decisions of check_append_v1 as they are.
CREATE FUNCTION {schema}.append_v3(
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
    p_cancels           uuid[],
    p_copied_from       uuid[],
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
#variable_conflict use_variable
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
      INTO outcome, v_no, first_version, positions, recorded_at, actual_version, successor,
           differs_at, problem
      FROM {schema}.check_append_v1(p_stream, p_expected, p_ids, p_sent) d;
    IF outcome <> 'append' THEN
        RETURN;
    END IF;

    first_position := v_position + 1;
    recorded_at := greatest(clock_timestamp(), v_recorded);
    IF v_no IS NULL THEN
        INSERT INTO {schema}.streams AS s (name, category, version, root, created_at)
        VALUES (p_stream, p_category, v_count, p_stream, recorded_at)
        RETURNING s.stream_no INTO v_no;
    ELSE
        UPDATE {schema}.streams s SET version = s.version + v_count WHERE s.stream_no = v_no;
    END IF;
    INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at, event_id,
                                 flags, type, category, writer, data, metadata, tags,
                                 sent_digest, stored_digest, trace_context, copied_from, cancels)
    SELECT v_position + n, v_no, first_version + n - 1, recorded_at,
           coalesce(p_occurred_at[n], recorded_at), p_ids[n], p_flags[n], p_types[n], p_category,
           p_writer, p_data[n], p_metadata[n],
           nullif(p_tags[coalesce(p_tag_ends[n - 1], 0) + 1 : p_tag_ends[n]], '{}'),
           p_sent[n], p_stored[n], p_trace_context, p_copied_from[n], p_cancels[n]
      FROM generate_series(1, v_count) AS n;
    UPDATE {schema}.counter c
       SET position = v_position + v_count, recorded_at = append_v3.recorded_at;
END
$function$;

-- As append_v3, with p_sealed for each event and p_root, as in append_v4.
CREATE FUNCTION {schema}.append_v5(
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
    p_cancels           uuid[],
    p_copied_from       uuid[],
    p_sealed            text[],
    p_root              text,
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
#variable_conflict use_variable
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
      INTO outcome, v_no, first_version, positions, recorded_at, actual_version, successor,
           differs_at, problem
      FROM {schema}.check_append_v1(p_stream, p_expected, p_ids, p_sent) d;
    IF outcome <> 'append' THEN
        RETURN;
    END IF;
    -- Values were sealed for another subject: the stream was opened by the close of one before it.
    IF p_root <> coalesce((SELECT s.root FROM {schema}.streams s WHERE s.stream_no = v_no),
                          p_stream) THEN
        outcome := 'stale';
        RETURN;
    END IF;

    first_position := v_position + 1;
    recorded_at := greatest(clock_timestamp(), v_recorded);
    IF v_no IS NULL THEN
        INSERT INTO {schema}.streams AS s (name, category, version, root, created_at)
        VALUES (p_stream, p_category, v_count, p_stream, recorded_at)
        RETURNING s.stream_no INTO v_no;
    ELSE
        UPDATE {schema}.streams s SET version = s.version + v_count WHERE s.stream_no = v_no;
    END IF;
    INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at, event_id,
                                 flags, type, category, writer, data, metadata, tags,
                                 sent_digest, stored_digest, trace_context, copied_from, cancels,
                                 sealed_paths)
    SELECT v_position + n, v_no, first_version + n - 1, recorded_at,
           coalesce(p_occurred_at[n], recorded_at), p_ids[n], p_flags[n], p_types[n], p_category,
           p_writer, p_data[n], p_metadata[n],
           nullif(p_tags[coalesce(p_tag_ends[n - 1], 0) + 1 : p_tag_ends[n]], '{}'),
           p_sent[n], p_stored[n], p_trace_context, p_copied_from[n], p_cancels[n],
           p_sealed[n]::text[]
      FROM generate_series(1, v_count) AS n;
    UPDATE {schema}.counter c
       SET position = v_position + v_count, recorded_at = append_v5.recorded_at;
END
$function$;

-- Closes a stream with an event, and opens the one that goes on from it with another, or stores
-- nothing. The arrays hold one element an event: the closing event, then the opening event if there
-- is a successor (NULL: none). p_expected: the version of the stream, and 0; of events that the
-- rules refuse, one that no stream has. Outcomes are those of append_v3, for the event in part,
-- where append stands for all, and
--   successor_exists  the successor has events
CREATE FUNCTION {schema}.close_stream_v1(
    p_stream            text,
    p_category          text,
    p_successor         text,
    p_expected          bigint[],
    p_ids               uuid[],
    p_types             text[],
    p_data              bytea[],
    p_metadata          bytea[],
    p_flags             integer[],
    p_sent              bytea[],
    p_stored            bytea[],
    p_writer            text,
    p_trace_context     text,
    p_catalogue_version bigint,
    OUT outcome           text,
    OUT part              integer,
    OUT closing_position  bigint,
    OUT opening_position  bigint,
    OUT recorded_at       timestamptz,
    OUT actual_version    bigint,
    OUT successor         text,
    OUT differs_at        integer,
    OUT problem           text,
    OUT catalogue_version bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
#variable_conflict use_variable
DECLARE
    v_streams  text[] := array_remove(ARRAY[p_stream, p_successor], NULL);
    v_position bigint;
    v_root     text;
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.catalogue_version INTO catalogue_version FROM {schema}.counter c FOR UPDATE;
    IF catalogue_version <> p_catalogue_version THEN
        outcome := 'stale';
        RETURN;
    END IF;

    -- Both are decided on before either is stored.
    FOR i IN 1 .. cardinality(v_streams) LOOP
        IF i = 2 AND EXISTS (SELECT FROM {schema}.streams s WHERE s.name = p_successor) THEN
            outcome := 'successor_exists';
            RETURN;
        END IF;
        part := i;
        SELECT d.outcome, d.actual_version, d.successor, d.differs_at, d.problem
          INTO outcome, actual_version, successor, differs_at, problem
          FROM {schema}.check_append_v1(v_streams[i], p_expected[i], p_ids[i : i],
                                        p_sent[i : i]) d;
        IF outcome <> 'append' THEN
            RETURN;
        END IF;
    END LOOP;

    FOR i IN 1 .. cardinality(v_streams) LOOP
        SELECT a.outcome, a.first_position, a.recorded_at INTO outcome, v_position, recorded_at
          FROM {schema}.append_v3(v_streams[i], p_category, p_expected[i], p_ids[i : i],
                                  p_types[i : i], p_data[i : i], p_metadata[i : i], '{}',
                                  '{0}', '{NULL}', p_flags[i : i], p_sent[i : i],
                                  p_stored[i : i], p_writer, p_trace_context,
                                  p_catalogue_version, NULL, NULL) a;
        IF i = 1 THEN
            closing_position := v_position;
            UPDATE {schema}.streams s SET lifecycle = 2, successor = p_successor
             WHERE s.name = p_stream RETURNING s.root INTO v_root;
        ELSE
            opening_position := v_position;
            UPDATE {schema}.streams s SET root = v_root, predecessor = p_stream
             WHERE s.name = p_successor;
        END IF;
    END LOOP;
END
$function$;

-- As close_stream_v1, with p_sealed for each event, as in append_v4, and in p_roots for each the
-- root that values were sealed for (NULL: any): both events have that of the stream.
CREATE FUNCTION {schema}.close_stream_v2(
    p_stream            text,
    p_category          text,
    p_successor         text,
    p_expected          bigint[],
    p_ids               uuid[],
    p_types             text[],
    p_data              bytea[],
    p_metadata          bytea[],
    p_flags             integer[],
    p_sent              bytea[],
    p_stored            bytea[],
    p_writer            text,
    p_trace_context     text,
    p_catalogue_version bigint,
    p_sealed            text[],
    p_roots             text[],
    OUT outcome           text,
    OUT part              integer,
    OUT closing_position  bigint,
    OUT opening_position  bigint,
    OUT recorded_at       timestamptz,
    OUT actual_version    bigint,
    OUT successor         text,
    OUT differs_at        integer,
    OUT problem           text,
    OUT catalogue_version bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
#variable_conflict use_variable
DECLARE
    v_streams  text[] := array_remove(ARRAY[p_stream, p_successor], NULL);
    v_position bigint;
    v_root     text;
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.catalogue_version INTO catalogue_version FROM {schema}.counter c FOR UPDATE;
    IF catalogue_version <> p_catalogue_version THEN
        outcome := 'stale';
        RETURN;
    END IF;

    SELECT s.root INTO v_root FROM {schema}.streams s WHERE s.name = p_stream;
    -- Values were sealed for another subject: the stream was opened by the close of one before it.
    IF p_roots[1] <> coalesce(v_root, p_stream) OR p_roots[2] <> coalesce(v_root, p_stream) THEN
        outcome := 'stale';
        RETURN;
    END IF;

    -- Both are decided on before either is stored.
    FOR i IN 1 .. cardinality(v_streams) LOOP
        IF i = 2 AND EXISTS (SELECT FROM {schema}.streams s WHERE s.name = p_successor) THEN
            outcome := 'successor_exists';
            RETURN;
        END IF;
        part := i;
        SELECT d.outcome, d.actual_version, d.successor, d.differs_at, d.problem
          INTO outcome, actual_version, successor, differs_at, problem
          FROM {schema}.check_append_v1(v_streams[i], p_expected[i], p_ids[i : i],
                                        p_sent[i : i]) d;
        IF outcome <> 'append' THEN
            RETURN;
        END IF;
    END LOOP;

    FOR i IN 1 .. cardinality(v_streams) LOOP
        SELECT a.outcome, a.first_position, a.recorded_at INTO outcome, v_position, recorded_at
          FROM {schema}.append_v5(v_streams[i], p_category, p_expected[i], p_ids[i : i],
                                  p_types[i : i], p_data[i : i], p_metadata[i : i], '{}',
                                  '{0}', '{NULL}', p_flags[i : i], p_sent[i : i],
                                  p_stored[i : i], p_writer, p_trace_context,
                                  p_catalogue_version, NULL, NULL, p_sealed[i : i], NULL) a;
        IF i = 1 THEN
            closing_position := v_position;
            UPDATE {schema}.streams s SET lifecycle = 2, successor = p_successor
             WHERE s.name = p_stream;
        ELSE
            opening_position := v_position;
            UPDATE {schema}.streams s SET root = v_root, predecessor = p_stream
             WHERE s.name = p_successor;
        END IF;
    END LOOP;
END
$function$;

-- As append_batch_v1, with less work for each append.
CREATE FUNCTION {schema}.append_batch_v2(
    p_plain              boolean,
    p_append_ends        integer[],
    p_check_ends         integer[],
    p_streams            text[],
    p_expected           bigint[],
    p_event_ends         integer[],
    p_catalogue_versions bigint[],
    p_appends            integer[],
    p_categories         text[],
    p_writers            text[],
    p_trace_contexts     text[],
    p_ids                uuid[],
    p_types              text[],
    p_data               bytea[],
    p_metadata           bytea[],
    p_tags               text[],
    p_tag_ends           integer[],
    p_occurred_at        timestamptz[],
    p_flags              integer[],
    p_sent               bytea[],
    p_stored             bytea[],
    p_check_streams      text[],
    p_check_expected     bigint[]
) RETURNS TABLE (
    append_number     integer,
    check_number      integer,
    outcome           text,
    first_version     bigint,
    first_position    bigint,
    positions         bigint[],
    recorded_at       timestamptz,
    actual_version    bigint,
    successor         text,
    differs_at        integer,
    problem           text,
    catalogue_version bigint
) LANGUAGE plpgsql
-- Plans are made once, for tables of any size, and must not read one from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $function$
#variable_conflict use_column
DECLARE
    v_position   bigint;
    v_recorded   timestamptz;
    v_catalogue  bigint;
    v_now        timestamptz;
    v_whole      boolean;
    -- Of the group: its first and last append, event and check.
    v_a1 integer; v_a2 integer := 0;
    v_e1 integer; v_e2 integer := 0;
    v_c1 integer; v_c2 integer := 0;
    -- Whether an id of the group is stored, and the numbers of the appends that have one.
    v_any_known  boolean;
    v_known      integer[];
    -- One element an append of the group. v_numbers: of the stream, 0 if nothing is stored now.
    v_outcomes   text[];
    v_numbers    bigint[];
    v_versions   bigint[];
    v_successors text[];
    -- Whether an append of the group does not pass, begins a stream, goes on with one.
    v_refused    boolean;
    v_begins     boolean;
    v_goes_on    boolean;
    -- Events of the group that are not stored: so far, and before each append (NULL: none).
    v_missing    integer;
    v_before     integer[];
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.position, c.recorded_at, c.catalogue_version
      INTO v_position, v_recorded, v_catalogue
      FROM {schema}.counter c FOR UPDATE;
    v_now := greatest(clock_timestamp(), v_recorded);

    FOR v_group IN 1 .. cardinality(p_append_ends) LOOP
        v_whole := v_group > 1 OR NOT p_plain;
        v_a1 := v_a2 + 1; v_a2 := p_append_ends[v_group];
        v_e1 := v_e2 + 1; v_e2 := p_event_ends[v_a2];
        v_c1 := v_c2 + 1; v_c2 := p_check_ends[v_group];

        v_known := '{}';
        v_any_known := EXISTS (SELECT FROM {schema}.events e
                                WHERE e.event_id = ANY (p_ids[v_e1 : v_e2]));
        IF v_any_known THEN
            SELECT array_agg(DISTINCT p_appends[n]) INTO v_known
              FROM generate_series(v_e1, v_e2) AS n
             WHERE EXISTS (SELECT FROM {schema}.events e WHERE e.event_id = p_ids[n] OFFSET 0);
        END IF;
        -- The lookup of a stream stands in a subquery that the planner cannot turn into a join.
        SELECT array_agg(d.outcome), array_agg(d.number), array_agg(d.version),
               array_agg(d.successor), bool_or(d.outcome <> 'append'),
               bool_or(d.outcome = 'append' AND d.version = 0),
               bool_or(d.outcome = 'append' AND d.version > 0)
          INTO v_outcomes, v_numbers, v_versions, v_successors, v_refused, v_begins, v_goes_on
          FROM (SELECT c.*,
                       CASE WHEN c.outcome = 'append' THEN
                       coalesce(c.stream_no, nextval('{schema}.streams_stream_no_seq'))
                       ELSE 0 END AS number
                  FROM (SELECT n, s.stream_no, coalesce(s.version, 0) AS version, s.successor,
                               CASE WHEN p_catalogue_versions[n] <> v_catalogue THEN 'stale'
                                    WHEN v_any_known AND n = ANY (v_known) THEN 'known'
                                    WHEN s.lifecycle = 2 THEN 'closed'
                                    WHEN s.lifecycle = 3 THEN 'deleted'
                                    WHEN p_expected[n] >= 0
                                         AND p_expected[n] <> coalesce(s.version, 0)
                                      OR p_expected[n] = -1 AND s.version IS NULL THEN 'conflict'
                                    ELSE 'append' END AS outcome
                          FROM generate_series(v_a1, v_a2) AS n
                          LEFT JOIN LATERAL
                               (SELECT * FROM {schema}.streams x
                                 WHERE x.name = p_streams[n] OFFSET 0) AS s ON true) AS c
                 ORDER BY c.n) AS d;

        v_missing := 0;
        v_before := NULL;
        IF v_refused THEN
            FOR v_i IN 1 .. cardinality(v_outcomes) LOOP
                append_number := v_a1 + v_i - 1;
                v_before[v_i] := v_missing;
                IF v_outcomes[v_i] <> 'append' THEN
                    v_missing := v_missing + p_event_ends[append_number]
                                 - coalesce(p_event_ends[append_number - 1], 0);
                ELSIF NOT (v_whole AND v_any_known) THEN
                    CONTINUE;
                END IF;
                first_version := NULL; positions := NULL; append_batch_v2.recorded_at := NULL;
                actual_version := v_versions[v_i];
                append_batch_v2.successor := v_successors[v_i];
                differs_at := NULL; problem := NULL;
                append_batch_v2.catalogue_version := v_catalogue;
                outcome := v_outcomes[v_i];
                IF outcome = 'known' THEN
                    SELECT d.outcome, d.first_version, d.positions, d.recorded_at, d.differs_at,
                           d.problem
                      INTO append_batch_v2.outcome, append_batch_v2.first_version,
                           append_batch_v2.positions, append_batch_v2.recorded_at,
                           append_batch_v2.differs_at, append_batch_v2.problem
                      FROM {schema}.check_append_v1(
                               p_streams[append_number], p_expected[append_number],
                               p_ids[coalesce(p_event_ends[append_number - 1], 0) + 1
                                     : p_event_ends[append_number]],
                               p_sent[coalesce(p_event_ends[append_number - 1], 0) + 1
                                      : p_event_ends[append_number]]) d;
                ELSIF v_whole AND v_any_known AND outcome <> 'stale' THEN
                    -- Others of the group are stored, so that this one should be.
                    outcome := 'reused'; differs_at := 1; problem := 'not_stored';
                END IF;
                v_outcomes[v_i] := outcome;
                RETURN NEXT;
            END LOOP;
        END IF;

        IF v_whole THEN
            CONTINUE WHEN 'duplicate' = ALL (v_outcomes) OR 'stale' = ANY (v_outcomes);
            RETURN QUERY
            SELECT NULL::integer, n, CASE WHEN s.lifecycle = 3 THEN 'deleted' ELSE 'conflict' END,
                   NULL::bigint, NULL::bigint, NULL::bigint[], NULL::timestamptz,
                   coalesce(s.version, 0), NULL::text, NULL::integer, NULL::text, v_catalogue
              FROM generate_series(v_c1, v_c2) AS n
              LEFT JOIN LATERAL
                   (SELECT * FROM {schema}.streams x WHERE x.name = p_check_streams[n] OFFSET 0)
                   AS s ON true
             WHERE s.lifecycle = 3
                OR p_check_expected[n] >= 0 AND p_check_expected[n] <> coalesce(s.version, 0)
                OR p_check_expected[n] = -1 AND s.version IS NULL;
            CONTINUE WHEN FOUND OR NOT 'append' = ALL (v_outcomes);
        END IF;
        CONTINUE WHEN v_missing > v_e2 - v_e1;

        IF v_begins THEN
            INSERT INTO {schema}.streams (stream_no, name, category, version, root, created_at)
            OVERRIDING SYSTEM VALUE
            SELECT v_numbers[n - v_a1 + 1], p_streams[n], p_categories[p_event_ends[n]],
                   p_event_ends[n] - coalesce(p_event_ends[n - 1], 0), p_streams[n], v_now
              FROM generate_series(v_a1, v_a2) AS n
             WHERE v_numbers[n - v_a1 + 1] > 0 AND v_versions[n - v_a1 + 1] = 0;
        END IF;
        IF v_goes_on THEN
            UPDATE {schema}.streams s
               SET version = s.version + p_event_ends[n] - coalesce(p_event_ends[n - 1], 0)
              FROM generate_series(v_a1, v_a2) AS n
             WHERE s.stream_no = v_numbers[n - v_a1 + 1] AND v_versions[n - v_a1 + 1] > 0;
        END IF;
        -- Elements, not slices or a row for each from unnest: parameters are arrays that PostgreSQL
        -- has taken apart once.
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, flags, type, category, writer, data, metadata, tags,
                                     sent_digest, stored_digest, trace_context)
        SELECT v_position + n - v_e1 + 1 - coalesce(v_before[p_appends[n] - v_a1 + 1], 0),
               v_numbers[p_appends[n] - v_a1 + 1],
               v_versions[p_appends[n] - v_a1 + 1] + n
               - coalesce(p_event_ends[p_appends[n] - 1], 0),
               v_now, coalesce(p_occurred_at[n], v_now), p_ids[n], p_flags[n], p_types[n],
               p_categories[n], p_writers[n], p_data[n], p_metadata[n],
               CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                    THEN ARRAY(SELECT p_tags[t]
                                 FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                      p_tag_ends[n]) AS t) END,
               p_sent[n], p_stored[n], p_trace_contexts[n]
          FROM generate_series(v_e1, v_e2) AS n
         WHERE v_numbers[p_appends[n] - v_a1 + 1] > 0;
        RETURN QUERY
        SELECT n, NULL::integer, 'append', v_versions[n - v_a1 + 1] + 1,
               v_position + coalesce(p_event_ends[n - 1], 0) - v_e1 + 2
               - coalesce(v_before[n - v_a1 + 1], 0),
               NULL::bigint[], v_now, v_versions[n - v_a1 + 1], NULL::text, NULL::integer,
               NULL::text, v_catalogue
          FROM generate_series(v_a1, v_a2) AS n
         WHERE v_numbers[n - v_a1 + 1] > 0;
        v_position := v_position + v_e2 - v_e1 + 1 - v_missing;
        v_recorded := v_now;
    END LOOP;

    UPDATE {schema}.counter c SET position = v_position, recorded_at = v_recorded
     WHERE c.position <> v_position;
END
$function$;

-- As append_v2, for events with sealed values: p_sealed holds for each event the pointers to those
-- that it has, as the text of an array (NULL: none; the whole array may be NULL). p_root: the root
-- that the stream must have, since values are sealed for it; stale if it has another (NULL: any).
-- Where p_sent is NULL, ids alone tell whether an event is stored: the key of its digest is gone.
CREATE FUNCTION {schema}.append_v4(
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
    p_sealed            text[],
    p_root              text,
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
    v_root      text;
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

    SELECT s.stream_no, coalesce(s.version, 0), s.lifecycle, k.known, coalesce(s.root, p_stream)
      INTO v_no, actual_version, v_lifecycle, v_known, v_root
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

    -- Values were sealed for another subject: the stream was opened by the close of one before it.
    IF p_root <> v_root THEN
        UPDATE {schema}.counter c SET position = v_position;
        outcome := 'stale';
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
                                 sent_digest, stored_digest, trace_context, sealed_paths)
    SELECT v_position + n, v_no, actual_version + n, recorded_at,
           coalesce(p_occurred_at[n], recorded_at), p_ids[n], p_flags[n], p_types[n], p_category,
           p_writer, p_data[n], p_metadata[n],
           CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                THEN ARRAY(SELECT p_tags[t]
                             FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                  p_tag_ends[n]) AS t) END,
           p_sent[n], p_stored[n], p_trace_context, p_sealed[n]::text[]
      FROM generate_series(1, v_count) AS n;
    outcome := 'append';
    first_version := actual_version + 1;
    first_position := v_position + 1;
END
$function$;

-- As append_batch_v2, with p_sealed for each event and p_roots for each append, as in append_v4.
CREATE FUNCTION {schema}.append_batch_v3(
    p_plain              boolean,
    p_append_ends        integer[],
    p_check_ends         integer[],
    p_streams            text[],
    p_expected           bigint[],
    p_event_ends         integer[],
    p_catalogue_versions bigint[],
    p_appends            integer[],
    p_categories         text[],
    p_writers            text[],
    p_trace_contexts     text[],
    p_ids                uuid[],
    p_types              text[],
    p_data               bytea[],
    p_metadata           bytea[],
    p_tags               text[],
    p_tag_ends           integer[],
    p_occurred_at        timestamptz[],
    p_flags              integer[],
    p_sent               bytea[],
    p_stored             bytea[],
    p_check_streams      text[],
    p_check_expected     bigint[],
    p_sealed             text[],
    p_roots              text[]
) RETURNS TABLE (
    append_number     integer,
    check_number      integer,
    outcome           text,
    first_version     bigint,
    first_position    bigint,
    positions         bigint[],
    recorded_at       timestamptz,
    actual_version    bigint,
    successor         text,
    differs_at        integer,
    problem           text,
    catalogue_version bigint
) LANGUAGE plpgsql
-- Plans are made once, for tables of any size, and must not read one from end to end.
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $function$
#variable_conflict use_column
DECLARE
    v_position   bigint;
    v_recorded   timestamptz;
    v_catalogue  bigint;
    v_now        timestamptz;
    v_whole      boolean;
    -- Of the group: its first and last append, event and check.
    v_a1 integer; v_a2 integer := 0;
    v_e1 integer; v_e2 integer := 0;
    v_c1 integer; v_c2 integer := 0;
    -- Whether an id of the group is stored, and the numbers of the appends that have one.
    v_any_known  boolean;
    v_known      integer[];
    -- One element an append of the group. v_numbers: of the stream, 0 if nothing is stored now.
    v_outcomes   text[];
    v_numbers    bigint[];
    v_versions   bigint[];
    v_successors text[];
    -- Whether an append of the group does not pass, begins a stream, goes on with one.
    v_refused    boolean;
    v_begins     boolean;
    v_goes_on    boolean;
    -- Events of the group that are not stored: so far, and before each append (NULL: none).
    v_missing    integer;
    v_before     integer[];
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    SELECT c.position, c.recorded_at, c.catalogue_version
      INTO v_position, v_recorded, v_catalogue
      FROM {schema}.counter c FOR UPDATE;
    v_now := greatest(clock_timestamp(), v_recorded);

    FOR v_group IN 1 .. cardinality(p_append_ends) LOOP
        v_whole := v_group > 1 OR NOT p_plain;
        v_a1 := v_a2 + 1; v_a2 := p_append_ends[v_group];
        v_e1 := v_e2 + 1; v_e2 := p_event_ends[v_a2];
        v_c1 := v_c2 + 1; v_c2 := p_check_ends[v_group];

        v_known := '{}';
        v_any_known := EXISTS (SELECT FROM {schema}.events e
                                WHERE e.event_id = ANY (p_ids[v_e1 : v_e2]));
        IF v_any_known THEN
            SELECT array_agg(DISTINCT p_appends[n]) INTO v_known
              FROM generate_series(v_e1, v_e2) AS n
             WHERE EXISTS (SELECT FROM {schema}.events e WHERE e.event_id = p_ids[n] OFFSET 0);
        END IF;
        -- The lookup of a stream stands in a subquery that the planner cannot turn into a join.
        SELECT array_agg(d.outcome), array_agg(d.number), array_agg(d.version),
               array_agg(d.successor), bool_or(d.outcome <> 'append'),
               bool_or(d.outcome = 'append' AND d.version = 0),
               bool_or(d.outcome = 'append' AND d.version > 0)
          INTO v_outcomes, v_numbers, v_versions, v_successors, v_refused, v_begins, v_goes_on
          FROM (SELECT c.*,
                       CASE WHEN c.outcome = 'append' THEN
                       coalesce(c.stream_no, nextval('{schema}.streams_stream_no_seq'))
                       ELSE 0 END AS number
                  FROM (SELECT n, s.stream_no, coalesce(s.version, 0) AS version, s.successor,
                               CASE WHEN p_catalogue_versions[n] <> v_catalogue
                                      OR p_roots[n] <> coalesce(s.root, p_streams[n]) THEN 'stale'
                                    WHEN v_any_known AND n = ANY (v_known) THEN 'known'
                                    WHEN s.lifecycle = 2 THEN 'closed'
                                    WHEN s.lifecycle = 3 THEN 'deleted'
                                    WHEN p_expected[n] >= 0
                                         AND p_expected[n] <> coalesce(s.version, 0)
                                      OR p_expected[n] = -1 AND s.version IS NULL THEN 'conflict'
                                    ELSE 'append' END AS outcome
                          FROM generate_series(v_a1, v_a2) AS n
                          LEFT JOIN LATERAL
                               (SELECT * FROM {schema}.streams x
                                 WHERE x.name = p_streams[n] OFFSET 0) AS s ON true) AS c
                 ORDER BY c.n) AS d;

        v_missing := 0;
        v_before := NULL;
        IF v_refused THEN
            FOR v_i IN 1 .. cardinality(v_outcomes) LOOP
                append_number := v_a1 + v_i - 1;
                v_before[v_i] := v_missing;
                IF v_outcomes[v_i] <> 'append' THEN
                    v_missing := v_missing + p_event_ends[append_number]
                                 - coalesce(p_event_ends[append_number - 1], 0);
                ELSIF NOT (v_whole AND v_any_known) THEN
                    CONTINUE;
                END IF;
                first_version := NULL; positions := NULL; append_batch_v3.recorded_at := NULL;
                actual_version := v_versions[v_i];
                append_batch_v3.successor := v_successors[v_i];
                differs_at := NULL; problem := NULL;
                append_batch_v3.catalogue_version := v_catalogue;
                outcome := v_outcomes[v_i];
                IF outcome = 'known' THEN
                    SELECT d.outcome, d.first_version, d.positions, d.recorded_at, d.differs_at,
                           d.problem
                      INTO append_batch_v3.outcome, append_batch_v3.first_version,
                           append_batch_v3.positions, append_batch_v3.recorded_at,
                           append_batch_v3.differs_at, append_batch_v3.problem
                      FROM {schema}.check_append_v1(
                               p_streams[append_number], p_expected[append_number],
                               p_ids[coalesce(p_event_ends[append_number - 1], 0) + 1
                                     : p_event_ends[append_number]],
                               p_sent[coalesce(p_event_ends[append_number - 1], 0) + 1
                                      : p_event_ends[append_number]]) d;
                ELSIF v_whole AND v_any_known AND outcome <> 'stale' THEN
                    -- Others of the group are stored, so that this one should be.
                    outcome := 'reused'; differs_at := 1; problem := 'not_stored';
                END IF;
                v_outcomes[v_i] := outcome;
                RETURN NEXT;
            END LOOP;
        END IF;

        IF v_whole THEN
            CONTINUE WHEN 'duplicate' = ALL (v_outcomes) OR 'stale' = ANY (v_outcomes);
            RETURN QUERY
            SELECT NULL::integer, n, CASE WHEN s.lifecycle = 3 THEN 'deleted' ELSE 'conflict' END,
                   NULL::bigint, NULL::bigint, NULL::bigint[], NULL::timestamptz,
                   coalesce(s.version, 0), NULL::text, NULL::integer, NULL::text, v_catalogue
              FROM generate_series(v_c1, v_c2) AS n
              LEFT JOIN LATERAL
                   (SELECT * FROM {schema}.streams x WHERE x.name = p_check_streams[n] OFFSET 0)
                   AS s ON true
             WHERE s.lifecycle = 3
                OR p_check_expected[n] >= 0 AND p_check_expected[n] <> coalesce(s.version, 0)
                OR p_check_expected[n] = -1 AND s.version IS NULL;
            CONTINUE WHEN FOUND OR NOT 'append' = ALL (v_outcomes);
        END IF;
        CONTINUE WHEN v_missing > v_e2 - v_e1;

        IF v_begins THEN
            INSERT INTO {schema}.streams (stream_no, name, category, version, root, created_at)
            OVERRIDING SYSTEM VALUE
            SELECT v_numbers[n - v_a1 + 1], p_streams[n], p_categories[p_event_ends[n]],
                   p_event_ends[n] - coalesce(p_event_ends[n - 1], 0), p_streams[n], v_now
              FROM generate_series(v_a1, v_a2) AS n
             WHERE v_numbers[n - v_a1 + 1] > 0 AND v_versions[n - v_a1 + 1] = 0;
        END IF;
        IF v_goes_on THEN
            UPDATE {schema}.streams s
               SET version = s.version + p_event_ends[n] - coalesce(p_event_ends[n - 1], 0)
              FROM generate_series(v_a1, v_a2) AS n
             WHERE s.stream_no = v_numbers[n - v_a1 + 1] AND v_versions[n - v_a1 + 1] > 0;
        END IF;
        -- Elements, not slices or a row for each from unnest: parameters are arrays that PostgreSQL
        -- has taken apart once.
        INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,
                                     event_id, flags, type, category, writer, data, metadata, tags,
                                     sent_digest, stored_digest, trace_context, sealed_paths)
        SELECT v_position + n - v_e1 + 1 - coalesce(v_before[p_appends[n] - v_a1 + 1], 0),
               v_numbers[p_appends[n] - v_a1 + 1],
               v_versions[p_appends[n] - v_a1 + 1] + n
               - coalesce(p_event_ends[p_appends[n] - 1], 0),
               v_now, coalesce(p_occurred_at[n], v_now), p_ids[n], p_flags[n], p_types[n],
               p_categories[n], p_writers[n], p_data[n], p_metadata[n],
               CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                    THEN ARRAY(SELECT p_tags[t]
                                 FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                      p_tag_ends[n]) AS t) END,
               p_sent[n], p_stored[n], p_trace_contexts[n], p_sealed[n]::text[]
          FROM generate_series(v_e1, v_e2) AS n
         WHERE v_numbers[p_appends[n] - v_a1 + 1] > 0;
        RETURN QUERY
        SELECT n, NULL::integer, 'append', v_versions[n - v_a1 + 1] + 1,
               v_position + coalesce(p_event_ends[n - 1], 0) - v_e1 + 2
               - coalesce(v_before[n - v_a1 + 1], 0),
               NULL::bigint[], v_now, v_versions[n - v_a1 + 1], NULL::text, NULL::integer,
               NULL::text, v_catalogue
          FROM generate_series(v_a1, v_a2) AS n
         WHERE v_numbers[n - v_a1 + 1] > 0;
        v_position := v_position + v_e2 - v_e1 + 1 - v_missing;
        v_recorded := v_now;
    END LOOP;

    UPDATE {schema}.counter c SET position = v_position, recorded_at = v_recorded
     WHERE c.position <> v_position;
END
$function$;

-- Cancels the event p_event_id of the stream: appends the cancellation, and behind it the
-- correction if there is one, as append_v3 does. Its outcomes, and of an event that stays:
--   no_event      there is no event with this id
--   other_stream  it is in the stream `fact`
--   cancellation  it cancels another event
--   fixed         it opens or closes a stream, or is the system's; its type is `fact`
--   cancelled     the event with the id `fact` cancels it already
CREATE FUNCTION {schema}.compensate_v1(
    p_event_id          uuid,
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
    OUT catalogue_version bigint,
    OUT fact              text
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
#variable_conflict use_column
DECLARE
    v_event record;
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    -- What is stored already, and what a stream that has ended says, is told by the append.
    IF NOT EXISTS (SELECT FROM {schema}.events e WHERE e.event_id = ANY (p_ids))
       AND NOT EXISTS (SELECT FROM {schema}.streams s
                        WHERE s.name = p_stream AND s.lifecycle <> 1) THEN
        SELECT s.name, e.type, e.flags, e.cancels, c.event_id AS cancelled_by
          INTO v_event
          FROM {schema}.events e
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
          LEFT JOIN {schema}.events c ON c.stream_no = e.stream_no AND c.cancels = e.event_id
         WHERE e.event_id = p_event_id;
        IF NOT FOUND THEN
            outcome := 'no_event';
        ELSIF v_event.name <> p_stream THEN
            outcome := 'other_stream';
            fact := v_event.name;
        ELSIF v_event.cancels IS NOT NULL THEN
            outcome := 'cancellation';
        -- EVENT_FLAG_CLOSES and EVENT_FLAG_OPENS.
        ELSIF v_event.flags & 192 <> 0 OR v_event.type LIKE '$%' THEN
            outcome := 'fixed';
            fact := v_event.type;
        ELSIF v_event.cancelled_by IS NOT NULL THEN
            outcome := 'cancelled';
            fact := v_event.cancelled_by;
        END IF;
        IF outcome IS NOT NULL THEN
            -- True under any rules.
            catalogue_version := p_catalogue_version;
            RETURN;
        END IF;
    END IF;

    SELECT a.outcome, a.first_version, a.first_position, a.positions, a.recorded_at,
           a.actual_version, a.successor, a.differs_at, a.problem, a.catalogue_version
      INTO outcome, first_version, first_position, positions, recorded_at, actual_version,
           successor, differs_at, problem, catalogue_version
      FROM {schema}.append_v3(p_stream, p_category, p_expected, p_ids, p_types, p_data, p_metadata,
                              p_tags, p_tag_ends, p_occurred_at, p_flags, p_sent, p_stored,
                              p_writer, p_trace_context, p_catalogue_version,
                              ARRAY[p_event_id], NULL) a;
    -- An ordinary event may have the same contents.
    IF outcome = 'duplicate' AND p_event_id IS DISTINCT FROM
       (SELECT e.cancels FROM {schema}.events e WHERE e.event_id = p_ids[1]) THEN
        outcome := 'reused';
        differs_at := 1;
        problem := 'other_content';
    END IF;
END
$function$;

-- As compensate_v1, with p_sealed for each event and p_root, as in append_v4.
CREATE FUNCTION {schema}.compensate_v2(
    p_event_id          uuid,
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
    p_sealed            text[],
    p_root              text,
    OUT outcome           text,
    OUT first_version     bigint,
    OUT first_position    bigint,
    OUT positions         bigint[],
    OUT recorded_at       timestamptz,
    OUT actual_version    bigint,
    OUT successor         text,
    OUT differs_at        integer,
    OUT problem           text,
    OUT catalogue_version bigint,
    OUT fact              text
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
#variable_conflict use_column
DECLARE
    v_event record;
BEGIN
    -- In a statement of its own: whatever is read below is read after the lock was granted.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    -- What is stored already, and what a stream that has ended says, is told by the append.
    IF NOT EXISTS (SELECT FROM {schema}.events e WHERE e.event_id = ANY (p_ids))
       AND NOT EXISTS (SELECT FROM {schema}.streams s
                        WHERE s.name = p_stream AND s.lifecycle <> 1) THEN
        SELECT s.name, e.type, e.flags, e.cancels, c.event_id AS cancelled_by
          INTO v_event
          FROM {schema}.events e
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
          LEFT JOIN {schema}.events c ON c.stream_no = e.stream_no AND c.cancels = e.event_id
         WHERE e.event_id = p_event_id;
        IF NOT FOUND THEN
            outcome := 'no_event';
        ELSIF v_event.name <> p_stream THEN
            outcome := 'other_stream';
            fact := v_event.name;
        ELSIF v_event.cancels IS NOT NULL THEN
            outcome := 'cancellation';
        -- EVENT_FLAG_CLOSES and EVENT_FLAG_OPENS.
        ELSIF v_event.flags & 192 <> 0 OR v_event.type LIKE '$%' THEN
            outcome := 'fixed';
            fact := v_event.type;
        ELSIF v_event.cancelled_by IS NOT NULL THEN
            outcome := 'cancelled';
            fact := v_event.cancelled_by;
        END IF;
        IF outcome IS NOT NULL THEN
            -- True under any rules.
            catalogue_version := p_catalogue_version;
            RETURN;
        END IF;
    END IF;

    SELECT a.outcome, a.first_version, a.first_position, a.positions, a.recorded_at,
           a.actual_version, a.successor, a.differs_at, a.problem, a.catalogue_version
      INTO outcome, first_version, first_position, positions, recorded_at, actual_version,
           successor, differs_at, problem, catalogue_version
      FROM {schema}.append_v5(p_stream, p_category, p_expected, p_ids, p_types, p_data, p_metadata,
                              p_tags, p_tag_ends, p_occurred_at, p_flags, p_sent, p_stored,
                              p_writer, p_trace_context, p_catalogue_version,
                              ARRAY[p_event_id], NULL, p_sealed, p_root) a;
    -- An ordinary event may have the same contents.
    IF outcome = 'duplicate' AND p_event_id IS DISTINCT FROM
       (SELECT e.cancels FROM {schema}.events e WHERE e.event_id = p_ids[1]) THEN
        outcome := 'reused';
        differs_at := 1;
        problem := 'other_content';
    END IF;
END
$function$;

-- Registered folds; a name keeps all of its revisions.
CREATE TABLE {schema}.folds (
    name     text        COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 128),
    -- Counts from 1 by name.
    revision bigint      NOT NULL CHECK (revision >= 1),
    -- SHA-256 of the normal form, lower-case hexadecimal.
    digest   text        COLLATE "C" NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    -- The document as it came in.
    source   text        NOT NULL CHECK (octet_length(source) <= 65536),
    put_at   timestamptz NOT NULL,
    put_by   text        NOT NULL,
    -- SHA-256 of digest and initial state: names kept states. NULL: a server registered it that did
    -- not know of this yet.
    kept_digest text     COLLATE "C" CHECK (kept_digest ~ '^[0-9a-f]{64}$'),
    -- Events between two kept states; 0: none are kept; NULL: the document does not say.
    keep_every  bigint   CHECK (keep_every >= 0),
    PRIMARY KEY (name, revision)
);

-- Registers a fold, unless the newest revision of the name has the same digest.
CREATE FUNCTION {schema}.put_fold_v1(
    p_name   text,
    p_digest text,
    p_source text,
    p_by     text,
    OUT revision bigint,
    OUT source   text,
    OUT put_at   timestamptz,
    OUT put_by   text,
    OUT created  boolean
) LANGUAGE plpgsql AS $function$
DECLARE
    v_digest text;
BEGIN
    -- Puts are rare; one at a time keeps revisions dense. Readers are not held up.
    LOCK TABLE {schema}.folds IN SHARE ROW EXCLUSIVE MODE;
    SELECT f.revision, f.digest, f.source, f.put_at, f.put_by
      INTO put_fold_v1.revision, v_digest, put_fold_v1.source, put_fold_v1.put_at,
           put_fold_v1.put_by
      FROM {schema}.folds f WHERE f.name = p_name ORDER BY f.revision DESC LIMIT 1;
    created := v_digest IS DISTINCT FROM p_digest;
    IF created THEN
        INSERT INTO {schema}.folds AS f (name, revision, digest, source, put_at, put_by)
        VALUES (p_name, coalesce(put_fold_v1.revision, 0) + 1, p_digest, p_source,
                clock_timestamp(), p_by)
        RETURNING f.revision, f.source, f.put_at, f.put_by
             INTO put_fold_v1.revision, put_fold_v1.source, put_fold_v1.put_at,
                  put_fold_v1.put_by;
    END IF;
END
$function$;

-- Registers a fold, unless the newest revision of the name has the same kept digest and says the
-- same about keeping.
CREATE FUNCTION {schema}.put_fold_v2(
    p_name        text,
    p_digest      text,
    p_kept_digest text,
    p_keep_every  bigint,
    p_source      text,
    p_by          text,
    OUT revision bigint,
    OUT source   text,
    OUT put_at   timestamptz,
    OUT put_by   text,
    OUT created  boolean
) LANGUAGE plpgsql AS $function$
DECLARE
    v_kept_digest text;
    v_keep_every  bigint;
BEGIN
    -- Puts are rare; one at a time keeps revisions dense. Readers are not held up.
    LOCK TABLE {schema}.folds IN SHARE ROW EXCLUSIVE MODE;
    -- Of a document that a server of before registered, the same text tells all.
    UPDATE {schema}.folds f SET kept_digest = p_kept_digest, keep_every = p_keep_every
     WHERE f.name = p_name AND f.source = p_source AND f.kept_digest IS NULL;
    SELECT f.revision, f.kept_digest, f.keep_every, f.source, f.put_at, f.put_by
      INTO put_fold_v2.revision, v_kept_digest, v_keep_every, put_fold_v2.source,
           put_fold_v2.put_at, put_fold_v2.put_by
      FROM {schema}.folds f WHERE f.name = p_name ORDER BY f.revision DESC LIMIT 1;
    created := (v_kept_digest, v_keep_every) IS DISTINCT FROM (p_kept_digest, p_keep_every);
    IF created THEN
        INSERT INTO {schema}.folds AS f
               (name, revision, digest, kept_digest, keep_every, source, put_at, put_by)
        VALUES (p_name, coalesce(put_fold_v2.revision, 0) + 1, p_digest, p_kept_digest,
                p_keep_every, p_source, clock_timestamp(), p_by)
        RETURNING f.revision, f.source, f.put_at, f.put_by
             INTO put_fold_v2.revision, put_fold_v2.source, put_fold_v2.put_at,
                  put_fold_v2.put_by;
    END IF;
END
$function$;

-- A cache of states: dropped at any moment without harm, so that it need not be in the write-ahead
-- log (UNLOGGED: empty after a crash, absent on replicas). The key says of what the state is the
-- state: a fold, a mapping, a version of the core's semantics, a stream.
CREATE UNLOGGED TABLE {schema}.kept_states (
    stream_no      bigint      NOT NULL,
    -- Kept digest of the fold.
    fold_digest    text        COLLATE "C" NOT NULL,
    -- Empty: no mapping is in force for a type that the fold handles.
    mapping_digest text        COLLATE "C" NOT NULL,
    semantics      integer     NOT NULL,
    -- Version after which this was the state, and the event there: when the log has another one at
    -- that version, it is not the log that was folded.
    version        bigint      NOT NULL CHECK (version >= 1),
    event_id       uuid        NOT NULL,
    -- False: the fold had deleted the aggregate.
    alive          boolean     NOT NULL,
    -- JSON text.
    state          bytea       NOT NULL,
    kept_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream_no, fold_digest, mapping_digest, semantics)
) WITH (fillfactor = 70);
-- For the sweep of what no fold asks for any more.
CREATE INDEX kept_states_digest
    ON {schema}.kept_states (fold_digest, semantics, mapping_digest);

-- Numbers of leases and sessions. A later lease has a higher number, whatever becomes of its group.
CREATE SEQUENCE {schema}.group_numbers AS bigint;

-- Consumer groups. What a group has taken in from the log, and what is not settled of it, stands in
-- the tables below, which only these functions write to. They fill and empty all the time, so that
-- what the planner knows of their sizes is never true. So the functions leave it no choice: single
-- rows are looked up in subqueries that it cannot turn into joins, and changed by their ctid, which
-- stays the same while their lane is locked.
CREATE TABLE {schema}.groups (
    group_no      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        COLLATE "C" NOT NULL UNIQUE
                              CHECK (octet_length(name) BETWEEN 1 AND 128),
    -- Sorted sets; NULL: no demand.
    categories    text[]      COLLATE "C" CHECK (cardinality(categories) >= 1),
    stream        text        COLLATE "C" CHECK (octet_length(stream) BETWEEN 1 AND 255),
    types         text[]      COLLATE "C" CHECK (cardinality(types) >= 1),
    tags          text[]      COLLATE "C" CHECK (cardinality(tags) >= 1),
    -- A CEL expression; NULL: no demand.
    condition     text        CHECK (octet_length(condition) BETWEEN 1 AND 4096),
    with_system   boolean     NOT NULL,
    ack_timeout   interval    NOT NULL CHECK (ack_timeout BETWEEN '1 s' AND '12 h'),
    attempts_max  integer     NOT NULL CHECK (attempts_max BETWEEN 1 AND 1000000),
    retry_initial interval    NOT NULL CHECK (retry_initial >= '0 s'),
    retry_factor  double precision NOT NULL CHECK (retry_factor BETWEEN 1 AND 100),
    retry_max     interval    NOT NULL CHECK (retry_max <= '24 h'),
    -- Whether a parked event holds back the later ones of its stream.
    hold_back     boolean     NOT NULL,
    ordered       boolean     NOT NULL,
    generation    bigint      NOT NULL DEFAULT 1 CHECK (generation >= 1),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by    text        NOT NULL,
    -- Position up to which the log was taken in.
    cursor        bigint      NOT NULL CHECK (cursor >= 0),
    -- Why the event behind the cursor could not be told to pass the condition or not: reason,
    -- message and facts of the error; NULL: nothing stands in the way.
    stopped       jsonb,
    -- Whether copies are among its events: 1 they are, 2 they are not; NULL: it was not said.
    copies        smallint    CHECK (copies BETWEEN 1 AND 2),
    CHECK (categories IS NULL OR stream IS NULL),
    CHECK (retry_initial <= retry_max),
    CHECK (ordered OR NOT hold_back)
) WITH (fillfactor = 50);

-- A lane is what is with one consumer at a time: of an ordered group the stream with that number,
-- of another the event at that position. It has a row for as long as it has entries, or is held.
CREATE TABLE {schema}.group_lanes (
    group_no  bigint      NOT NULL,
    lane      bigint      NOT NULL,
    -- 1 ready, 2 leased, 3 waiting for a retry, 4 held back by a parked event.
    state     smallint    NOT NULL CHECK (state BETWEEN 1 AND 4),
    -- Position of its oldest entry; NULL: it has none.
    head      bigint      CHECK (head >= 1),
    -- How many entries it has.
    entries   bigint      NOT NULL CHECK (entries >= 0),
    -- When the lease runs out, or the wait ends; by PostgreSQL's clock.
    due_at    timestamptz,
    -- The fencing token: it goes up with each consumer that the lane is given to.
    lease     bigint,
    -- Session of the consumer that has it.
    session   bigint,
    -- Entries up to this position were delivered under the lease, and so many are not settled yet.
    up_to     bigint,
    under_way bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (group_no, lane),
    CHECK ((head IS NULL) = (entries = 0)),
    CHECK (entries > 0 OR state = 4),
    CHECK ((due_at IS NOT NULL) = (state IN (2, 3))),
    CHECK ((state = 2) = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (session IS NULL) AND (lease IS NULL) = (up_to IS NULL)),
    CHECK ((lease IS NULL) = (under_way = 0) AND under_way BETWEEN 0 AND entries)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- In order of the oldest entry: which lane is next, and how far the group is.
CREATE INDEX group_lanes_head ON {schema}.group_lanes (group_no, state, head);
-- What a session has.
CREATE UNIQUE INDEX group_lanes_lease ON {schema}.group_lanes (session, lease)
    WHERE lease IS NOT NULL;
CREATE INDEX group_lanes_due ON {schema}.group_lanes (group_no, due_at) WHERE due_at IS NOT NULL;

-- Events that were taken in, and are neither settled nor parked.
CREATE TABLE {schema}.group_entries (
    group_no bigint  NOT NULL,
    lane     bigint  NOT NULL,
    position bigint  NOT NULL CHECK (position >= 1),
    -- How often it was delivered in vain.
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- It was replayed while the lane had this lease, which it does not belong to; 0: it was not.
    fence    bigint  NOT NULL DEFAULT 0 CHECK (fence >= 0),
    PRIMARY KEY (group_no, lane, position)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE TABLE {schema}.group_parked (
    group_no  bigint      NOT NULL,
    position  bigint      NOT NULL CHECK (position >= 1),
    lane      bigint      NOT NULL,
    attempts  integer     NOT NULL CHECK (attempts >= 1),
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The numbers of the proto's ParkCause.
    cause     smallint    NOT NULL CHECK (cause BETWEEN 1 AND 3),
    reason    text        NOT NULL CHECK (octet_length(reason) <= 1024),
    consumer  text        NOT NULL,
    -- Whether it holds back the later events of its lane.
    holds     boolean     NOT NULL,
    PRIMARY KEY (group_no, position)
);
CREATE INDEX group_parked_holds ON {schema}.group_parked (group_no, lane) WHERE holds;

-- Sessions: one that has ended, or has no row, is given nothing any more.
CREATE TABLE {schema}.group_sessions (
    session  bigint      PRIMARY KEY DEFAULT nextval('{schema}.group_numbers'),
    ended    boolean     NOT NULL DEFAULT false,
    group_no bigint      NOT NULL,
    consumer text        NOT NULL CHECK (octet_length(consumer) <= 128),
    caller   text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
CREATE INDEX group_sessions_group ON {schema}.group_sessions (group_no);

-- The first version of a stream, up to p_version, whose event has the position or a higher one;
-- else the one behind p_version. NULL: the stream has not all of these versions. Positions grow
-- with versions, so it is found by halving.
CREATE FUNCTION {schema}.version_from_v1(p_stream_no bigint, p_version bigint, p_position bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $function$
DECLARE
    v_low   bigint := 1;
    v_high  bigint := p_version + 1;
    v_half  bigint;
    v_found bigint;
BEGIN
    WHILE v_low < v_high LOOP
        v_half := (v_low + v_high) / 2;
        v_found := (SELECT e.position FROM {schema}.events e
                     WHERE e.stream_no = p_stream_no AND e.version = v_half);
        IF v_found IS NULL THEN
            RETURN NULL;
        ELSIF v_found < p_position THEN
            v_low := v_half + 1;
        ELSE
            v_high := v_half;
        END IF;
    END LOOP;
    RETURN v_low;
END
$function$;

-- The next events of the log for a group: at most p_page of those that it looks at through an
-- index of theirs, or all that pass its filter among the next p_positions. No row: there is no such
-- group. up_to is the cursor when p_open or more entries wait or are under way, or the log is at
-- its end. Its condition is not looked at.
CREATE FUNCTION {schema}.group_next_v1(
    p_group     bigint,
    p_page      bigint,
    p_positions bigint,
    p_open      bigint
) RETURNS TABLE (
    cursor       bigint,
    head         bigint,
    up_to        bigint,
    positions    bigint[],
    lanes        bigint[],
    open_entries bigint
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_group   {schema}.groups%ROWTYPE;
    v_stream  bigint;
    v_version bigint;
    v_looked  bigint;
    v_last    bigint;
BEGIN
    SELECT * INTO v_group FROM {schema}.groups g WHERE g.group_no = p_group;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT c.position INTO head FROM {schema}.counter c;
    cursor := v_group.cursor;
    up_to := cursor;
    open_entries := (
        SELECT coalesce(sum(o.entries), 0)
          FROM unnest(ARRAY[1, 2, 3]) AS s (state)
         CROSS JOIN LATERAL (SELECT l.entries FROM {schema}.group_lanes l
                              WHERE l.group_no = p_group AND l.state = s.state OFFSET 0) o);
    -- Both columns of an index are compared as one, so that no other gives the order asked for.
    IF cursor < head AND open_entries < p_open THEN
        IF v_group.stream IS NOT NULL THEN
            SELECT s.stream_no, s.version INTO v_stream, v_version
              FROM {schema}.streams s WHERE s.name = v_group.stream;
            v_version := {schema}.version_from_v1(v_stream, v_version, v_group.cursor + 1);
            SELECT count(*), max(e.position),
                   array_agg(e.position ORDER BY e.position) FILTER (WHERE e.passes),
                   array_agg(e.lane ORDER BY e.position) FILTER (WHERE e.passes)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane,
                           (v_group.types IS NULL OR v.type = ANY (v_group.types))
                           AND (v_group.tags IS NULL OR v.tags @> v_group.tags) AS passes
                      FROM {schema}.events v
                     WHERE (v.stream_no, v.version) >= (v_stream, v_version)
                       AND (v.stream_no, v.version) < (v_stream + 1, 0)
                     ORDER BY v.stream_no, v.version LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN head ELSE v_last END;
        ELSIF v_group.categories IS NOT NULL THEN
            SELECT count(*), max(e.position),
                   array_agg(e.position ORDER BY e.position) FILTER (WHERE e.passes),
                   array_agg(e.lane ORDER BY e.position) FILTER (WHERE e.passes)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane,
                           (v_group.types IS NULL OR v.type = ANY (v_group.types))
                           AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                           AND (v_group.with_system OR v.category < '$' OR v.category >= '%')
                           AS passes
                      FROM unnest(v_group.categories) AS c (category)
                     CROSS JOIN LATERAL
                           (SELECT * FROM {schema}.events x
                             WHERE (x.category, x.position) > (c.category, v_group.cursor)
                               AND (x.category, x.position) <= (c.category, head)
                             ORDER BY x.category, x.position LIMIT p_page) v
                     ORDER BY v.position LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN head ELSE v_last END;
        ELSE
            SELECT count(*), max(e.position), array_agg(e.position ORDER BY e.position),
                   array_agg(e.lane ORDER BY e.position)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane
                      FROM {schema}.events v
                     WHERE v.position > v_group.cursor
                       AND v.position <= least(head, v_group.cursor + p_positions)
                       AND (v_group.with_system OR v.category < '$' OR v.category >= '%')
                       AND (v_group.types IS NULL OR v.type = ANY (v_group.types))
                       AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                     ORDER BY v.position LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN least(head, v_group.cursor + p_positions)
                          ELSE v_last END;
        END IF;
    END IF;
    positions := coalesce(positions, '{}');
    lanes := coalesce(lanes, '{}');
    RETURN NEXT;
END
$function$;

-- The next events of the log for a group: at most p_page of those that it looks at through an
-- index of theirs, or all that pass its filter among the next p_positions. No row: there is no such
-- group. up_to is the cursor when p_open or more entries wait or are under way, or the log is at
-- its end. Its condition is not looked at. Copies do not pass if the group says so, or reads the
-- whole log and says nothing.
CREATE FUNCTION {schema}.group_next_v2(
    p_group     bigint,
    p_page      bigint,
    p_positions bigint,
    p_open      bigint
) RETURNS TABLE (
    cursor       bigint,
    head         bigint,
    up_to        bigint,
    positions    bigint[],
    lanes        bigint[],
    open_entries bigint
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_group   {schema}.groups%ROWTYPE;
    v_copies  boolean;
    v_stream  bigint;
    v_version bigint;
    v_looked  bigint;
    v_last    bigint;
BEGIN
    SELECT * INTO v_group FROM {schema}.groups g WHERE g.group_no = p_group;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_copies := CASE WHEN v_group.copies IS NULL
                     THEN v_group.stream IS NOT NULL OR v_group.categories IS NOT NULL
                     ELSE v_group.copies = 1 END;
    SELECT c.position INTO head FROM {schema}.counter c;
    cursor := v_group.cursor;
    up_to := cursor;
    open_entries := (
        SELECT coalesce(sum(o.entries), 0)
          FROM unnest(ARRAY[1, 2, 3]) AS s (state)
         CROSS JOIN LATERAL (SELECT l.entries FROM {schema}.group_lanes l
                              WHERE l.group_no = p_group AND l.state = s.state OFFSET 0) o);
    -- Both columns of an index are compared as one, so that no other gives the order asked for.
    IF cursor < head AND open_entries < p_open THEN
        IF v_group.stream IS NOT NULL THEN
            SELECT s.stream_no, s.version INTO v_stream, v_version
              FROM {schema}.streams s WHERE s.name = v_group.stream;
            v_version := {schema}.version_from_v1(v_stream, v_version, v_group.cursor + 1);
            SELECT count(*), max(e.position),
                   array_agg(e.position ORDER BY e.position) FILTER (WHERE e.passes),
                   array_agg(e.lane ORDER BY e.position) FILTER (WHERE e.passes)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane,
                           (v_group.types IS NULL OR v.type = ANY (v_group.types))
                           AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                           AND (v_copies OR v.copied_from IS NULL) AS passes
                      FROM {schema}.events v
                     WHERE (v.stream_no, v.version) >= (v_stream, v_version)
                       AND (v.stream_no, v.version) < (v_stream + 1, 0)
                     ORDER BY v.stream_no, v.version LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN head ELSE v_last END;
        ELSIF v_group.categories IS NOT NULL THEN
            SELECT count(*), max(e.position),
                   array_agg(e.position ORDER BY e.position) FILTER (WHERE e.passes),
                   array_agg(e.lane ORDER BY e.position) FILTER (WHERE e.passes)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane,
                           (v_group.types IS NULL OR v.type = ANY (v_group.types))
                           AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                           AND (v_group.with_system OR v.category < '$' OR v.category >= '%')
                           AND (v_copies OR v.copied_from IS NULL) AS passes
                      FROM unnest(v_group.categories) AS c (category)
                     CROSS JOIN LATERAL
                           (SELECT * FROM {schema}.events x
                             WHERE (x.category, x.position) > (c.category, v_group.cursor)
                               AND (x.category, x.position) <= (c.category, head)
                             ORDER BY x.category, x.position LIMIT p_page) v
                     ORDER BY v.position LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN head ELSE v_last END;
        ELSE
            SELECT count(*), max(e.position), array_agg(e.position ORDER BY e.position),
                   array_agg(e.lane ORDER BY e.position)
              INTO v_looked, v_last, positions, lanes
              FROM (SELECT v.position,
                           CASE WHEN v_group.ordered THEN v.stream_no ELSE v.position END AS lane
                      FROM {schema}.events v
                     WHERE v.position > v_group.cursor
                       AND v.position <= least(head, v_group.cursor + p_positions)
                       AND (v_group.with_system OR v.category < '$' OR v.category >= '%')
                       AND (v_group.types IS NULL OR v.type = ANY (v_group.types))
                       AND (v_group.tags IS NULL OR v.tags @> v_group.tags)
                       AND (v_copies OR v.copied_from IS NULL)
                     ORDER BY v.position LIMIT p_page) e;
            up_to := CASE WHEN v_looked < p_page THEN least(head, v_group.cursor + p_positions)
                          ELSE v_last END;
        END IF;
    END IF;
    positions := coalesce(positions, '{}');
    lanes := coalesce(lanes, '{}');
    RETURN NEXT;
END
$function$;

-- Takes events into a group and moves its cursor, with why it stops there if it does; false: the
-- cursor has moved since, or another session is at it.
CREATE FUNCTION {schema}.group_take_in_v1(
    p_group     bigint,
    p_cursor    bigint,
    p_up_to     bigint,
    p_positions bigint[],
    p_lanes     bigint[],
    p_stopped   jsonb
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
AS $function$
BEGIN
    PERFORM FROM {schema}.groups g WHERE g.group_no = p_group AND g.cursor = p_cursor
        FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- Lanes before entries, here and everywhere, and in order of their numbers: whoever has locked
    -- a lane sees all entries of it with its next statement.
    INSERT INTO {schema}.group_lanes AS l (group_no, lane, state, head, entries)
    SELECT p_group, n.lane, 1, min(n.position), count(*)
      FROM unnest(p_lanes, p_positions) AS n (lane, position)
     GROUP BY n.lane ORDER BY n.lane
    ON CONFLICT (group_no, lane) DO UPDATE
       SET entries = l.entries + excluded.entries, head = coalesce(l.head, excluded.head);
    INSERT INTO {schema}.group_entries (group_no, lane, position)
    SELECT p_group, n.lane, n.position FROM unnest(p_lanes, p_positions) AS n (lane, position);
    UPDATE {schema}.groups g SET cursor = p_up_to, stopped = p_stopped WHERE g.group_no = p_group;
    RETURN true;
END
$function$;

-- Moves entries of locked lanes to the parked events, an element of the arrays each.
CREATE FUNCTION {schema}.group_park_v1(
    p_group     bigint,
    p_lanes     bigint[],
    p_positions bigint[],
    p_cause     bigint,
    p_reasons   text[],
    p_consumers text[],
    p_hold_back boolean
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
BEGIN
    WITH found AS MATERIALIZED (
        SELECT n.lane, n.position, n.reason, n.consumer, e.id, e.attempts
          FROM unnest(p_lanes, p_positions, p_reasons, p_consumers)
               AS n (lane, position, reason, consumer)
         CROSS JOIN LATERAL
               (SELECT x.ctid AS id, x.attempts FROM {schema}.group_entries x
                 WHERE x.group_no = p_group AND x.lane = n.lane AND x.position = n.position
                OFFSET 0) e),
    taken AS (
        DELETE FROM {schema}.group_entries e WHERE e.ctid = ANY (ARRAY(SELECT f.id FROM found f)))
    INSERT INTO {schema}.group_parked
           (group_no, position, lane, attempts, cause, reason, consumer, holds)
    -- One that a consumer parks has failed in the attempt under way.
    SELECT p_group, f.position, f.lane, f.attempts + CASE WHEN p_cause = 1 THEN 1 ELSE 0 END,
           p_cause, f.reason, f.consumer, p_hold_back
      FROM found f;
END
$function$;

-- Brings locked lanes to the state that they are in after entries of theirs were settled or parked:
-- so many were removed; whether the lease ends; and how long the lane waits after that.
CREATE FUNCTION {schema}.group_move_lanes_v1(
    p_group       bigint,
    p_lanes       bigint[],
    p_removed     bigint[],
    p_ends        boolean[],
    p_waits       interval[],
    p_ack_timeout interval
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    WITH n AS MATERIALIZED (
        SELECT o.id, u.removed, u.wait, h.head,
               CASE WHEN EXISTS (SELECT FROM {schema}.group_parked p
                                  WHERE p.group_no = p_group AND p.lane = u.lane AND p.holds)
                    THEN 4
                    WHEN u.ends AND u.wait > '0 s' THEN 3
                    WHEN u.ends OR o.under_way = u.removed THEN 1
                    ELSE 2 END AS state
          FROM unnest(p_lanes, p_removed, p_ends, p_waits) AS u (lane, removed, ends, wait)
         CROSS JOIN LATERAL
               (SELECT l.ctid AS id, l.under_way FROM {schema}.group_lanes l
                 WHERE l.group_no = p_group AND l.lane = u.lane OFFSET 0) o
          LEFT JOIN LATERAL
               (SELECT e.position AS head FROM {schema}.group_entries e
                 WHERE e.group_no = p_group AND e.lane = u.lane ORDER BY e.position LIMIT 1) h
               ON true),
    -- A lane without entries that nothing holds is over.
    over AS (
        DELETE FROM {schema}.group_lanes l
         WHERE l.ctid = ANY (ARRAY(SELECT n.id FROM n WHERE n.head IS NULL AND n.state <> 4)))
    UPDATE {schema}.group_lanes l
       SET state = n.state, head = n.head, entries = l.entries - n.removed,
           due_at = CASE n.state WHEN 2 THEN v_now + p_ack_timeout WHEN 3 THEN v_now + n.wait END,
           lease = CASE WHEN n.state = 2 THEN l.lease END,
           session = CASE WHEN n.state = 2 THEN l.session END,
           up_to = CASE WHEN n.state = 2 THEN l.up_to END,
           under_way = CASE WHEN n.state = 2 THEN l.under_way - n.removed ELSE 0 END
      FROM n WHERE l.ctid = n.id AND (n.head IS NOT NULL OR n.state = 4);
END
$function$;

-- How long an event waits that was delivered in vain so often.
CREATE FUNCTION {schema}.group_wait_v1(p_group {schema}.groups, p_attempts bigint)
RETURNS interval LANGUAGE sql IMMUTABLE AS $function$
    -- The power is cut off before it leaves the range of its type.
    SELECT make_interval(secs => least(
               extract(epoch FROM p_group.retry_max),
               extract(epoch FROM p_group.retry_initial)
               * p_group.retry_factor ^ least(p_attempts - 1, 100)));
$function$;

-- Ends leases: those of a session, or (NULL) those that have run out. With p_failed the oldest
-- entry of each lane, which the consumer was at, counts as delivered in vain.
CREATE FUNCTION {schema}.group_end_leases_v1(p_group bigint, p_session bigint, p_failed boolean)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_group     {schema}.groups%ROWTYPE;
    v_lanes     bigint[];
    v_heads     bigint[];
    v_sessions  bigint[];
    v_leases    bigint[];
    v_spent     bigint[] := '{}';
    v_at        bigint[];
    v_consumers text[];
BEGIN
    SELECT * INTO v_group FROM {schema}.groups g WHERE g.group_no = p_group;
    -- Those that somebody has locked at the moment are looked at again soon, if they ran out.
    IF p_session IS NULL THEN
        SELECT array_agg(x.lane), array_agg(x.head), array_agg(x.session),
               array_agg(x.lease)
          INTO v_lanes, v_heads, v_sessions, v_leases
          FROM (SELECT l.lane FROM {schema}.group_lanes l
                 WHERE l.group_no = p_group AND l.due_at <= clock_timestamp() OFFSET 0) o
         CROSS JOIN LATERAL
               (SELECT l.lane, l.head, l.session, l.lease FROM {schema}.group_lanes l
                 WHERE l.group_no = p_group AND l.lane = o.lane AND l.state = 2
                   AND l.due_at <= clock_timestamp() FOR UPDATE SKIP LOCKED) x;
    ELSE
        SELECT array_agg(x.lane), array_agg(x.head), array_agg(x.session),
               array_agg(x.lease)
          INTO v_lanes, v_heads, v_sessions, v_leases
          FROM (SELECT l.lane FROM {schema}.group_lanes l
                 WHERE l.session = p_session AND l.lease IS NOT NULL ORDER BY l.lane OFFSET 0) o
         CROSS JOIN LATERAL
               (SELECT l.lane, l.head, l.session, l.lease FROM {schema}.group_lanes l
                 WHERE l.group_no = p_group AND l.lane = o.lane AND l.session = p_session
                   FOR UPDATE) x;
    END IF;
    IF v_lanes IS NULL THEN
        RETURN;
    END IF;
    IF p_failed THEN
        WITH counted AS (
            UPDATE {schema}.group_entries e SET attempts = e.attempts + 1
              FROM (SELECT n.session, x.id
                      FROM unnest(v_lanes, v_heads, v_sessions, v_leases)
                           AS n (lane, head, session, lease)
                     CROSS JOIN LATERAL
                           (SELECT y.ctid AS id FROM {schema}.group_entries y
                             WHERE y.group_no = p_group AND y.lane = n.lane AND y.position = n.head
                               -- One that was replayed meanwhile is not the consumer's.
                               AND y.fence < n.lease OFFSET 0) x) n
             WHERE e.ctid = n.id
            RETURNING e.lane, e.position, e.attempts, n.session)
        SELECT array_agg(c.lane), array_agg(c.position), array_agg(coalesce(s.consumer, ''))
          INTO v_spent, v_at, v_consumers
          FROM counted c
          LEFT JOIN LATERAL (SELECT t.consumer FROM {schema}.group_sessions t
                              WHERE t.session = c.session OFFSET 0) s ON true
         WHERE c.attempts >= v_group.attempts_max;
        IF v_spent IS NOT NULL THEN
            PERFORM {schema}.group_park_v1(
                p_group, v_spent, v_at, 3, array_fill(''::text, ARRAY[cardinality(v_spent)]),
                v_consumers, v_group.hold_back);
        END IF;
    END IF;
    PERFORM {schema}.group_move_lanes_v1(
        p_group, v_lanes,
        ARRAY(SELECT (n.lane = ANY (coalesce(v_spent, '{}')))::integer::bigint
                FROM unnest(v_lanes) WITH ORDINALITY AS n (lane, n) ORDER BY n.n),
        array_fill(true, ARRAY[cardinality(v_lanes)]),
        array_fill(interval '0 s', ARRAY[cardinality(v_lanes)]), v_group.ack_timeout);
END
$function$;

-- Ends a session and gives back what it has; p_failed as above.
CREATE FUNCTION {schema}.group_end_session_v1(p_group bigint, p_session bigint, p_failed boolean)
RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
    -- Waits for a claim under way, the last one that gives it something.
    UPDATE {schema}.group_sessions s SET ended = true WHERE s.session = p_session;
    PERFORM {schema}.group_end_leases_v1(p_group, p_session, p_failed);
    DELETE FROM {schema}.group_sessions s WHERE s.session = p_session;
END
$function$;

-- Gives lanes that are ready to sessions, the oldest first and one session after the other, up to
-- the credits of each, and at most p_lane_max entries of a lane. Answers a row for each session
-- that got something, and one with dealt = 0 that tells how long nothing more can be given unless
-- something happens (NULL: for ever). Notes too that the sessions p_alive are alive.
CREATE FUNCTION {schema}.group_claim_v1(
    p_group    bigint,
    p_sessions bigint[],
    p_credits  bigint[],
    p_lane_max bigint,
    p_alive    bigint[]
) RETURNS TABLE (
    dealt     bigint,
    positions bigint[],
    leases    bigint[],
    attempts  bigint[],
    due_in    interval
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_now     timestamptz := clock_timestamp();
    v_timeout interval;
    v_lanes   bigint[];
    v_leases  bigint[];
    v_credits bigint[];
BEGIN
    SELECT g.ack_timeout INTO v_timeout FROM {schema}.groups g WHERE g.group_no = p_group;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE {schema}.group_sessions s SET seen_at = v_now WHERE s.session = ANY (p_alive);
    -- A session may end at this very moment: what it is given now, its end waits to give back.
    v_credits := ARRAY(
        SELECT CASE WHEN EXISTS (SELECT FROM {schema}.group_sessions t
                                  WHERE t.session = c.session AND NOT t.ended FOR SHARE)
                    THEN c.credits ELSE 0 END
          FROM unnest(p_sessions, p_credits) WITH ORDINALITY AS c (session, credits, n)
         ORDER BY c.n);

    -- Nobody takes over what nobody wants.
    IF 0 < ANY (v_credits)
       AND EXISTS (SELECT FROM {schema}.group_lanes l
                    WHERE l.group_no = p_group AND l.due_at <= v_now) THEN
        PERFORM {schema}.group_end_leases_v1(p_group, NULL, true);
        UPDATE {schema}.group_lanes l SET state = 1, due_at = NULL
         WHERE l.ctid = ANY (ARRAY(
               SELECT x.id
                 FROM (SELECT w.lane FROM {schema}.group_lanes w
                        WHERE w.group_no = p_group AND w.due_at <= v_now OFFSET 0) o
                CROSS JOIN LATERAL
                      (SELECT w.ctid AS id FROM {schema}.group_lanes w
                        WHERE w.group_no = p_group AND w.lane = o.lane AND w.state = 3
                          AND w.due_at <= v_now FOR UPDATE SKIP LOCKED) x));
    END IF;

    -- In a statement of its own: entries are read and leases numbered after the lanes were locked.
    SELECT array_agg(o.lane ORDER BY o.head) INTO v_lanes
      FROM (SELECT l.lane, l.head FROM {schema}.group_lanes l
             WHERE l.group_no = p_group AND l.state = 1
             ORDER BY l.head
             LIMIT (SELECT coalesce(sum(c.credits), 0) FROM unnest(v_credits) AS c (credits))
               FOR UPDATE SKIP LOCKED) o;
    v_leases := ARRAY(SELECT nextval('{schema}.group_numbers') FROM unnest(v_lanes));
    RETURN QUERY
    WITH offered AS (
        SELECT o.session, o.lane, o.lease, e.position, e.attempts,
               row_number() OVER (PARTITION BY o.session ORDER BY o.n, e.position) AS nth
          FROM (SELECT v.lane, v.lease, v.n, 1 + (v.n - 1) % cardinality(p_sessions) AS session
                  FROM unnest(v_lanes, v_leases) WITH ORDINALITY AS v (lane, lease, n)) o
         CROSS JOIN LATERAL
               (SELECT x.position, x.attempts FROM {schema}.group_entries x
                 WHERE x.group_no = p_group AND x.lane = o.lane
                 ORDER BY x.position LIMIT least(p_lane_max, v_credits[o.session])) e),
    taken AS MATERIALIZED (SELECT * FROM offered f WHERE f.nth <= v_credits[f.session]),
    moved AS (
        UPDATE {schema}.group_lanes l
           SET state = 2, due_at = clock_timestamp() + v_timeout, lease = g.lease,
               session = p_sessions[g.session], up_to = g.up_to, under_way = g.under_way
          FROM (SELECT m.*, o.id
                  FROM (SELECT k.session, k.lane, k.lease, max(k.position) AS up_to,
                               count(*) AS under_way
                          FROM taken k GROUP BY k.session, k.lane, k.lease) m
                 CROSS JOIN LATERAL
                       (SELECT x.ctid AS id FROM {schema}.group_lanes x
                         WHERE x.group_no = p_group AND x.lane = m.lane OFFSET 0) o) g
         WHERE l.ctid = g.id)
    SELECT t.session, array_agg(t.position ORDER BY t.position),
           array_agg(t.lease ORDER BY t.position),
           array_agg(t.attempts::bigint + 1 ORDER BY t.position), NULL::interval
      FROM taken t GROUP BY t.session;

    dealt := 0; positions := '{}'; leases := '{}'; attempts := '{}';
    SELECT min(l.due_at) - v_now INTO due_in FROM {schema}.group_lanes l
     WHERE l.group_no = p_group AND l.due_at IS NOT NULL;
    RETURN NEXT;
END
$function$;

-- Settles events. A settlement is an element of p_actions (the numbers of the proto's
-- SettleAction), p_sessions, p_reasons, p_waits (NULL: what the group says) and p_ends, the number
-- of the last of its events; these are the elements of p_positions and p_leases. Settlements take
-- effect one after the other, and all in one transaction. Answers a row for each event that is not
-- settled because its lease is lost, or was parked because its attempts are used up. No group: all
-- is lost.
CREATE FUNCTION {schema}.group_settle_v1(
    p_group     bigint,
    p_actions   bigint[],
    p_sessions  bigint[],
    p_reasons   text[],
    p_waits     interval[],
    p_ends      bigint[],
    p_positions bigint[],
    p_leases    bigint[]
) RETURNS TABLE (settlement bigint, pos bigint, lost boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
    v_group       {schema}.groups%ROWTYPE;
    -- By event, the number of its settlement.
    v_settlements bigint[];
    -- Lanes of them, and what becomes of each.
    v_lanes       bigint[];
    v_removed     bigint[];
    v_ends        boolean[];
    v_waits       interval[];
    -- Events whose lease holds: number of the settlement, lane, position.
    v_n           bigint[];
    v_lane        bigint[];
    v_position    bigint[];
    v_ids         tid[];
    -- Those of them that are retried, and how often they were delivered in vain.
    v_retried_n   bigint[];
    v_retried     bigint[];
    v_retried_at  bigint[];
    v_attempts    bigint[];
BEGIN
    SELECT * INTO v_group FROM {schema}.groups g WHERE g.group_no = p_group;
    v_settlements := ARRAY(
        SELECT s.n FROM generate_subscripts(p_ends, 1) AS s (n)
         CROSS JOIN generate_series(coalesce(p_ends[s.n - 1], 0) + 1, p_ends[s.n]) AS e (n)
         ORDER BY e.n);
    -- In order of the lanes, so that nobody waits for each other.
    PERFORM FROM (SELECT k.lane, d.session, d.lease
                    FROM (SELECT DISTINCT p_sessions[u.n] AS session, u.lease
                            FROM unnest(v_settlements, p_leases) AS u (n, lease)) d
                   CROSS JOIN LATERAL
                         (SELECT l.lane FROM {schema}.group_lanes l
                           WHERE l.session = d.session AND l.lease = d.lease OFFSET 0) k
                   ORDER BY k.lane OFFSET 0) o
           CROSS JOIN LATERAL
                 (SELECT FROM {schema}.group_lanes l
                   WHERE l.session = o.session AND l.lease = o.lease FOR UPDATE) x;

    -- In a statement of its own, after the lanes were locked. Of an event that is settled twice the
    -- first counts; of a lane, what comes behind a settlement that gives it back is lost.
    WITH named AS (
        SELECT DISTINCT u.n, p_actions[u.n] AS action, l.lane, u.position, e.id
          FROM unnest(v_settlements, p_positions, p_leases) AS u (n, position, lease)
         CROSS JOIN LATERAL
               (SELECT x.lane, x.up_to, x.lease FROM {schema}.group_lanes x
                 WHERE x.session = p_sessions[u.n] AND x.lease = u.lease OFFSET 0) l
         CROSS JOIN LATERAL
               (SELECT x.ctid AS id, x.fence FROM {schema}.group_entries x
                 WHERE x.group_no = p_group AND x.lane = l.lane AND x.position = u.position
                OFFSET 0) e
         WHERE u.position <= l.up_to AND e.fence < l.lease),
    firsts AS (
        SELECT m.*, min(m.n) FILTER (WHERE m.action <> 5)
                    OVER (PARTITION BY m.lane, m.position) AS first
          FROM named m),
    ends AS (
        SELECT f.*, min(f.n) FILTER (WHERE f.n = f.first
                                       AND (f.action = 2 OR f.action = 3 AND v_group.hold_back))
                    OVER (PARTITION BY f.lane) AS giving_back
          FROM firsts f)
    SELECT coalesce(array_agg(d.n), '{}'), coalesce(array_agg(d.lane), '{}'),
           coalesce(array_agg(d.position), '{}'), array_agg(d.id)
      INTO v_n, v_lane, v_position, v_ids
      FROM ends d
     WHERE (d.first IS NULL OR d.n <= d.first)
       AND (d.giving_back IS NULL OR d.n <= d.giving_back);
    RETURN QUERY
    SELECT u.n, u.position, true
      FROM (SELECT * FROM unnest(v_settlements, p_positions) AS v (n, position)
            EXCEPT SELECT * FROM unnest(v_n, v_position)) u;
    IF v_n = '{}' THEN
        RETURN;
    END IF;

    DELETE FROM {schema}.group_entries e
     WHERE e.ctid = ANY (ARRAY(SELECT g.id FROM unnest(v_n, v_ids) AS g (n, id)
                                WHERE p_actions[g.n] IN (1, 4)));
    WITH counted AS (
        UPDATE {schema}.group_entries e SET attempts = e.attempts + 1
          FROM unnest(v_n, v_ids) AS g (n, id)
         WHERE e.ctid = g.id AND p_actions[g.n] = 2
        RETURNING g.n, e.lane, e.position, e.attempts)
    SELECT array_agg(c.n), array_agg(c.lane), array_agg(c.position), array_agg(c.attempts)
      INTO v_retried_n, v_retried, v_retried_at, v_attempts
      FROM counted c;
    PERFORM {schema}.group_park_v1(
                p_group, array_agg(k.lane), array_agg(k.position), k.cause,
                array_agg(p_reasons[k.n]), array_agg(coalesce(s.consumer, '')), v_group.hold_back)
       FROM (SELECT g.n, g.lane, g.position, 1 AS cause
               FROM unnest(v_n, v_lane, v_position) AS g (n, lane, position)
              WHERE p_actions[g.n] = 3
              UNION ALL
             SELECT g.n, g.lane, g.position, 2
               FROM unnest(v_retried_n, v_retried, v_retried_at, v_attempts)
                    AS g (n, lane, position, attempts)
              WHERE g.attempts >= v_group.attempts_max) k
       LEFT JOIN LATERAL (SELECT t.consumer FROM {schema}.group_sessions t
                           WHERE t.session = p_sessions[k.n] OFFSET 0) s ON true
      GROUP BY k.cause;
    RETURN QUERY
    SELECT g.n, g.position, false
      FROM unnest(v_retried_n, v_retried_at, v_attempts) AS g (n, position, attempts)
     WHERE g.attempts >= v_group.attempts_max;

    -- A lane waits for the oldest of its events that are tried again.
    SELECT array_agg(t.lane), array_agg(t.removed), array_agg(t.ends),
           array_agg(coalesce(t.wait, '0 s'))
      INTO v_lanes, v_removed, v_ends, v_waits
      FROM (SELECT k.lane, count(*) FILTER (WHERE k.removed) AS removed, bool_or(k.ends) AS ends,
                   (array_agg(k.wait ORDER BY k.position) FILTER (WHERE NOT k.removed))[1] AS wait
              FROM (SELECT g.lane, g.position, p_actions[g.n] <> 5 AS removed,
                           p_actions[g.n] = 3 AND v_group.hold_back AS ends, NULL::interval AS wait
                      FROM unnest(v_n, v_lane, v_position) AS g (n, lane, position)
                     WHERE p_actions[g.n] <> 2
                     UNION ALL
                    SELECT g.lane, g.position, g.attempts >= v_group.attempts_max, true,
                           coalesce(p_waits[g.n], {schema}.group_wait_v1(v_group, g.attempts))
                      FROM unnest(v_retried_n, v_retried, v_retried_at, v_attempts)
                           AS g (n, lane, position, attempts)) k
             GROUP BY k.lane) t;
    PERFORM {schema}.group_move_lanes_v1(
        p_group, v_lanes, v_removed, v_ends, v_waits, v_group.ack_timeout);
END
$function$;

-- Delivers parked events again (p_positions, NULL: all; those parked before p_before, at most
-- p_limit, the oldest first), or with p_purge gives them up; answers how many. NULL: there is no
-- such group.
CREATE FUNCTION {schema}.group_unpark_v1(
    p_group     bigint,
    p_positions bigint[],
    p_before    timestamptz,
    p_limit     bigint,
    p_purge     boolean
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
AS $function$
DECLARE
    v_lanes bigint[];
    v_at    bigint[];
BEGIN
    -- One at a time of what changes a group as a whole; consumers go on.
    PERFORM FROM {schema}.groups g WHERE g.group_no = p_group FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF p_positions IS NULL THEN
        SELECT array_agg(o.lane), array_agg(o.position) INTO v_lanes, v_at
          FROM (SELECT p.lane, p.position FROM {schema}.group_parked p
                 WHERE p.group_no = p_group AND p.parked_at < p_before
                 ORDER BY p.position LIMIT p_limit) o;
    ELSE
        SELECT array_agg(p.lane), array_agg(p.position) INTO v_lanes, v_at
          FROM {schema}.group_parked p
         WHERE p.group_no = p_group AND p.position = ANY (p_positions);
    END IF;
    IF v_at IS NULL THEN
        RETURN 0;
    END IF;
    IF p_purge THEN
        PERFORM FROM (SELECT DISTINCT u.lane FROM unnest(v_lanes) AS u (lane)
                       ORDER BY u.lane OFFSET 0) o
               CROSS JOIN LATERAL
                     (SELECT FROM {schema}.group_lanes l
                       WHERE l.group_no = p_group AND l.lane = o.lane FOR UPDATE) x;
    ELSE
        INSERT INTO {schema}.group_lanes AS l (group_no, lane, state, head, entries)
        SELECT p_group, n.lane, 1, min(n.position), count(*)
          FROM unnest(v_lanes, v_at) AS n (lane, position)
         GROUP BY n.lane ORDER BY n.lane
        ON CONFLICT (group_no, lane) DO UPDATE
           SET entries = l.entries + excluded.entries, head = least(l.head, excluded.head);
        -- The lane may be leased, to whoever parked the event; that lease is not for it any more.
        INSERT INTO {schema}.group_entries (group_no, lane, position, fence)
        SELECT p_group, n.lane, n.position, coalesce(l.lease, 0)
          FROM unnest(v_lanes, v_at) AS n (lane, position)
         CROSS JOIN LATERAL
               (SELECT x.lease FROM {schema}.group_lanes x
                 WHERE x.group_no = p_group AND x.lane = n.lane OFFSET 0) l;
    END IF;
    DELETE FROM {schema}.group_parked p
     WHERE p.ctid = ANY (ARRAY(
           SELECT x.id FROM unnest(v_at) AS n (position)
            CROSS JOIN LATERAL
                  (SELECT y.ctid AS id FROM {schema}.group_parked y
                    WHERE y.group_no = p_group AND y.position = n.position OFFSET 0) x));
    -- Lanes that nothing holds any more.
    WITH n AS MATERIALIZED (
        SELECT l.id, l.entries
          FROM (SELECT DISTINCT u.lane FROM unnest(v_lanes) AS u (lane)) d
         CROSS JOIN LATERAL
               (SELECT x.ctid AS id, x.entries, x.state FROM {schema}.group_lanes x
                 WHERE x.group_no = p_group AND x.lane = d.lane OFFSET 0) l
         WHERE l.state = 4
           AND NOT EXISTS (SELECT FROM {schema}.group_parked p
                            WHERE p.group_no = p_group AND p.lane = d.lane AND p.holds)),
    over AS (
        DELETE FROM {schema}.group_lanes l
         WHERE l.ctid = ANY (ARRAY(SELECT n.id FROM n WHERE n.entries = 0)))
    UPDATE {schema}.group_lanes l SET state = 1
     WHERE l.ctid = ANY (ARRAY(SELECT n.id FROM n WHERE n.entries > 0));
    RETURN cardinality(v_at);
END
$function$;

-- Lets a group begin anew behind a position (NULL: deletes it); false: there is no such group.
CREATE FUNCTION {schema}.group_reset_v1(p_group bigint, p_cursor bigint)
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
AS $function$
BEGIN
    PERFORM FROM {schema}.groups g WHERE g.group_no = p_group FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_cursor IS NULL THEN
        -- Before the lanes, as sessions that end and claims do.
        PERFORM FROM {schema}.group_sessions s WHERE s.group_no = p_group
          ORDER BY s.session FOR UPDATE;
    END IF;
    -- In the order in which settlements lock them.
    PERFORM FROM {schema}.group_lanes l WHERE l.group_no = p_group ORDER BY l.lane FOR UPDATE;
    DELETE FROM {schema}.group_entries e WHERE e.group_no = p_group;
    DELETE FROM {schema}.group_lanes l WHERE l.group_no = p_group;
    DELETE FROM {schema}.group_parked p
     WHERE p.group_no = p_group AND (p_cursor IS NULL OR p.position > p_cursor);
    IF p_cursor IS NULL THEN
        DELETE FROM {schema}.group_sessions s WHERE s.group_no = p_group;
        DELETE FROM {schema}.groups g WHERE g.group_no = p_group;
    ELSE
        INSERT INTO {schema}.group_lanes (group_no, lane, state, entries)
        SELECT DISTINCT p_group, p.lane, 4, 0 FROM {schema}.group_parked p
         WHERE p.group_no = p_group AND p.holds;
        UPDATE {schema}.groups g
           SET cursor = p_cursor, stopped = NULL, generation = g.generation + 1
         WHERE g.group_no = p_group;
    END IF;
    RETURN true;
END
$function$;

-- Numbers of generations and leases of projections. A later lease has a higher number.
CREATE SEQUENCE {schema}.projection_numbers AS bigint;

-- A column of a projection whose values may be personal: sealed, or of a row into which no personal
-- value went.
CREATE DOMAIN {schema}.sealed_text AS text COLLATE "C"
    CHECK (VALUE LIKE '$sealed:1:%' OR VALUE LIKE '$plain:%');

-- Projections. Each generation has a table of its own, `projection_` and its generation_no, which
-- storage/sql/projections.sql describes.
CREATE TABLE {schema}.projections (
    projection_no bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        COLLATE "C" NOT NULL UNIQUE
                              CHECK (octet_length(name) BETWEEN 1 AND 63),
    -- generation_no of what queries see; NULL: none has caught up yet.
    active        bigint,
    -- Number that the next generation gets.
    next          bigint      NOT NULL DEFAULT 1 CHECK (next >= 1)
);

CREATE TABLE {schema}.projection_generations (
    generation_no bigint      PRIMARY KEY DEFAULT nextval('{schema}.projection_numbers'),
    projection_no bigint      NOT NULL REFERENCES {schema}.projections,
    -- Counts from 1 within the projection.
    generation    bigint      NOT NULL CHECK (generation >= 1),
    -- The document as it came in.
    source        text        NOT NULL,
    -- The registered fold that it reuses: name, revision and document; NULL: its fold is its own.
    fold_name     text        COLLATE "C",
    fold_revision bigint,
    fold_source   text,
    -- SHA-256 of the normal form of both, lower-case hexadecimal.
    digest        text        NOT NULL,
    -- The numbers of the proto's GenerationState and ProjectionSwitch.
    state         smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 4),
    switch        smallint    NOT NULL CHECK (switch BETWEEN 1 AND 3),
    -- What the last verification found, as the fields of the proto's Verification; NULL: none.
    verification  jsonb,
    put_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by        text        NOT NULL,
    caught_up_at  timestamptz,
    switched_at   timestamptz,
    -- Under which catalogue it began to read; 0: before there was one.
    catalogue_version bigint  NOT NULL DEFAULT {schema}.catalogue_version_v1(),
    UNIQUE (projection_no, generation),
    CHECK ((fold_name IS NULL) = (fold_source IS NULL)),
    CHECK ((fold_name IS NULL) = (fold_revision IS NULL))
);

-- How far a generation is, and who builds it: written with every batch, apart from what rarely
-- changes, and with room on the page for its dead versions.
CREATE TABLE {schema}.projection_progress (
    generation_no bigint           PRIMARY KEY
                                   REFERENCES {schema}.projection_generations ON DELETE CASCADE,
    -- Position up to which all events of its source are in its table, or on the lists below.
    position      bigint           NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- Events that were folded.
    events        bigint           NOT NULL DEFAULT 0 CHECK (events >= 0),
    -- Positions that it passes in a second, of late.
    rate          double precision NOT NULL DEFAULT 0 CHECK (rate >= 0),
    -- Why it stopped at the event behind its position: reason, message and facts of the error.
    -- NULL: it did not.
    stopped       jsonb,
    -- The fencing token: it goes up with each server process that takes the generation.
    lease         bigint           NOT NULL DEFAULT 0 CHECK (lease >= 0),
    -- By PostgreSQL's clock; NULL: nobody has it.
    lease_until   timestamptz
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Keys whose events are set aside since one failed, and the events of each.
CREATE TABLE {schema}.projection_parked_keys (
    generation_no bigint      NOT NULL
                              REFERENCES {schema}.projection_generations ON DELETE CASCADE,
    key           text        COLLATE "C" NOT NULL,
    -- Reason, message and facts of the error.
    error         jsonb       NOT NULL,
    parked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (generation_no, key)
);

CREATE TABLE {schema}.projection_parked_events (
    generation_no bigint NOT NULL,
    key           text   COLLATE "C" NOT NULL,
    position      bigint NOT NULL CHECK (position >= 1),
    PRIMARY KEY (generation_no, key, position),
    FOREIGN KEY (generation_no, key) REFERENCES {schema}.projection_parked_keys ON DELETE CASCADE
);

-- Takes a generation out of the store. Its table goes by `projection_sweep_v1`, which need not wait
-- for those who read it. First its progress: a batch under way ends before, and none comes after.
CREATE FUNCTION {schema}.projection_forget_v1(p_generation_no bigint)
RETURNS void LANGUAGE plpgsql
AS $function$
BEGIN
    DELETE FROM {schema}.projection_progress p WHERE p.generation_no = p_generation_no;
    DELETE FROM {schema}.projection_generations g WHERE g.generation_no = p_generation_no;
END
$function$;

-- Takes a generation away from the server process that has it: whoever takes it next reads its
-- document anew.
CREATE FUNCTION {schema}.projection_fence_v1(p_generation_no bigint)
RETURNS void LANGUAGE sql
AS $function$
    UPDATE {schema}.projection_progress p
       SET lease = nextval('{schema}.projection_numbers'), lease_until = NULL
     WHERE p.generation_no = p_generation_no
$function$;

-- Registers a document. The same as the one that is being built, or as the active one if that is
-- not, stays the generation that it is; another one becomes the generation p_generation_no, with
-- the table that the statements p_table make. p_basis: the generation whose document is built anew,
-- whatever it says; outcome `moved` if it is not the last that was put any more, and nothing is
-- done.
CREATE FUNCTION {schema}.projection_put_v1(
    p_name text, p_generation_no bigint, p_source text, p_fold_name text, p_fold_revision bigint,
    p_fold_source text, p_digest text, p_switch smallint, p_writer text, p_table text,
    p_basis bigint)
RETURNS TABLE (outcome text, generation bigint) LANGUAGE plpgsql
AS $function$
DECLARE
    _projection bigint;
    _next       bigint;
    _last       bigint;
    _building   {schema}.projection_generations;
    _same       {schema}.projection_generations;
BEGIN
    LOOP
        SELECT p.projection_no, p.next INTO _projection, _next
          FROM {schema}.projections p WHERE p.name = p_name FOR UPDATE;
        EXIT WHEN FOUND;
        IF p_basis IS NOT NULL THEN
            RETURN QUERY SELECT 'moved', 0::bigint;
            RETURN;
        END IF;
        INSERT INTO {schema}.projections (name) VALUES (p_name) ON CONFLICT (name) DO NOTHING;
    END LOOP;
    SELECT g.generation_no INTO _last FROM {schema}.projection_generations g
     WHERE g.projection_no = _projection ORDER BY g.put_at DESC, g.generation DESC LIMIT 1;
    IF p_basis <> coalesce(_last, 0) THEN
        RETURN QUERY SELECT 'moved', 0::bigint;
        RETURN;
    END IF;
    SELECT * INTO _building FROM {schema}.projection_generations g
     WHERE g.projection_no = _projection AND g.state IN (1, 2);
    IF p_basis IS NULL THEN
        SELECT * INTO _same FROM {schema}.projection_generations g
         WHERE g.projection_no = _projection AND g.state IN (1, 2, 3) AND g.digest = p_digest
         ORDER BY g.state LIMIT 1;
    END IF;
    IF _building.generation_no <> coalesce(_same.generation_no, 0) THEN
        PERFORM {schema}.projection_forget_v1(_building.generation_no);
    END IF;
    IF _same.generation_no IS NOT NULL THEN
        UPDATE {schema}.projection_generations g
           SET switch = p_switch, source = p_source, fold_name = p_fold_name,
               fold_revision = p_fold_revision, fold_source = p_fold_source
         WHERE g.generation_no = _same.generation_no;
        IF _same.source <> p_source THEN
            PERFORM {schema}.projection_fence_v1(_same.generation_no);
        END IF;
        RETURN QUERY SELECT 'same', _same.generation;
        RETURN;
    END IF;
    INSERT INTO {schema}.projection_generations
           (generation_no, projection_no, generation, source, fold_name, fold_revision, fold_source,
            digest, switch, put_by)
    VALUES (p_generation_no, _projection, _next, p_source, p_fold_name, p_fold_revision,
            p_fold_source, p_digest, p_switch, p_writer);
    INSERT INTO {schema}.projection_progress (generation_no) VALUES (p_generation_no);
    UPDATE {schema}.projections p SET next = p.next + 1 WHERE p.projection_no = _projection;
    EXECUTE p_table;
    RETURN QUERY SELECT 'created', _next;
END
$function$;

-- Gives the active generation p_generation_no another document, if it still has the one with the
-- digest p_before, and lets one that is being built go. NULL: it has not.
CREATE FUNCTION {schema}.projection_replace_v1(
    p_generation_no bigint, p_before text, p_source text, p_fold_name text, p_fold_revision bigint,
    p_fold_source text, p_digest text, p_switch smallint, p_writer text)
RETURNS bigint LANGUAGE plpgsql
AS $function$
DECLARE
    _projection bigint;
    _generation bigint;
BEGIN
    SELECT p.projection_no INTO _projection FROM {schema}.projections p
     WHERE p.active = p_generation_no FOR UPDATE;
    PERFORM {schema}.projection_forget_v1(g.generation_no)
       FROM {schema}.projection_generations g
       JOIN {schema}.projection_generations a ON a.generation_no = p_generation_no
      WHERE g.projection_no = _projection AND g.state IN (1, 2) AND a.digest = p_before;
    UPDATE {schema}.projection_generations g
       SET source = p_source, fold_name = p_fold_name, fold_revision = p_fold_revision,
           fold_source = p_fold_source, digest = p_digest, switch = p_switch, verification = NULL,
           put_at = clock_timestamp(), put_by = p_writer
     WHERE g.generation_no = p_generation_no AND g.projection_no = _projection
       AND g.digest = p_before
    RETURNING g.generation INTO _generation;
    IF _generation IS NOT NULL THEN
        PERFORM {schema}.projection_fence_v1(p_generation_no);
    END IF;
    RETURN _generation;
END
$function$;

-- Makes the view p_view show what the query p_rows answers. Where its columns stay as they are, it
-- stays the same object; else grants on it are given anew. Never waits long for those who read it:
-- others would have to wait behind.
CREATE FUNCTION {schema}.projection_view_v1(
    p_schema text, p_view text, p_rows text, p_wait interval)
RETURNS void LANGUAGE plpgsql
AS $function$
DECLARE
    _grants text[];
    _grant  text;
BEGIN
    -- The owner of the database may not let the server make schemas: then there are no views.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n
                    WHERE n.nspname = p_schema AND has_schema_privilege(n.oid, 'CREATE')) THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', (extract(epoch FROM p_wait) * 1000)::integer::text, true);
    IF p_rows IS NULL THEN
        EXECUTE format('DROP VIEW IF EXISTS %I.%I', p_schema, p_view);
        RETURN;
    END IF;
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS %s', p_schema, p_view, p_rows);
        RETURN;
    EXCEPTION WHEN invalid_table_definition THEN
        -- Other columns.
        NULL;
    END;
    SELECT array_agg(format('GRANT %s ON %I.%I TO %s', a.privilege_type, p_schema, p_view,
                            CASE a.grantee WHEN 0 THEN 'PUBLIC'
                                           ELSE quote_ident(pg_get_userbyid(a.grantee)) END))
      INTO _grants
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL aclexplode(c.relacl) a
     WHERE n.nspname = p_schema AND c.relname = p_view AND a.grantee <> c.relowner;
    EXECUTE format('DROP VIEW %I.%I', p_schema, p_view);
    EXECUTE format('CREATE VIEW %I.%I AS %s', p_schema, p_view, p_rows);
    FOREACH _grant IN ARRAY coalesce(_grants, '{}') LOOP
        EXECUTE _grant;
    END LOOP;
END
$function$;

-- Lets queries see the generation p_generation_no of a projection. The active one before goes on
-- standby, and the one that was on standby goes. p_ahead: not before it has what the active one
-- has, so that nobody who asks twice goes back in time. p_lease: only if that lease has it still.
-- Answers `switched`, `active` (it was already), `gone`, `building` or `behind`.
CREATE FUNCTION {schema}.projection_switch_v1(
    p_generation_no bigint, p_lease bigint, p_ahead boolean, p_schema text, p_rows text,
    p_wait interval)
RETURNS text LANGUAGE plpgsql
AS $function$
DECLARE
    _projection {schema}.projections;
    _state      smallint;
    _standby    bigint;
BEGIN
    SELECT p.* INTO _projection FROM {schema}.projections p
     WHERE p.projection_no = (SELECT g.projection_no FROM {schema}.projection_generations g
                               WHERE g.generation_no = p_generation_no)
       FOR UPDATE;
    -- What it is now, since others may have had the lock.
    SELECT g.state INTO _state FROM {schema}.projection_generations g
     WHERE g.generation_no = p_generation_no;
    IF _state IS NULL THEN
        RETURN 'gone';
    ELSIF _state = 1 THEN
        RETURN 'building';
    ELSIF _state = 3 THEN
        RETURN 'active';
    END IF;
    -- Both stay where they are until the end.
    PERFORM FROM {schema}.projection_progress p
      WHERE p.generation_no IN (p_generation_no, _projection.active)
      ORDER BY p.generation_no FOR UPDATE;
    IF p_lease <> (SELECT p.lease FROM {schema}.projection_progress p
                    WHERE p.generation_no = p_generation_no) THEN
        RETURN 'gone';
    END IF;
    IF p_ahead AND (SELECT p.position FROM {schema}.projection_progress p
                     WHERE p.generation_no = p_generation_no)
                   < (SELECT p.position FROM {schema}.projection_progress p
                       WHERE p.generation_no = _projection.active) THEN
        RETURN 'behind';
    END IF;
    SELECT g.generation_no INTO _standby FROM {schema}.projection_generations g
     WHERE g.projection_no = _projection.projection_no AND g.state = 4
       AND g.generation_no <> p_generation_no;
    IF _standby IS NOT NULL THEN
        PERFORM {schema}.projection_forget_v1(_standby);
    END IF;
    UPDATE {schema}.projection_generations g SET state = 4
     WHERE g.generation_no = _projection.active;
    UPDATE {schema}.projection_generations g SET state = 3, switched_at = clock_timestamp()
     WHERE g.generation_no = p_generation_no;
    UPDATE {schema}.projections p SET active = p_generation_no
     WHERE p.projection_no = _projection.projection_no;
    PERFORM {schema}.projection_view_v1(p_schema, _projection.name, p_rows, p_wait);
    RETURN 'switched';
END
$function$;

-- Drops a generation of a projection, or all of it (p_generation 0). Answers `dropped`, `gone`, or
-- `active` for a generation that queries see.
CREATE FUNCTION {schema}.projection_drop_v1(
    p_name text, p_generation bigint, p_schema text, p_wait interval)
RETURNS text LANGUAGE plpgsql
AS $function$
DECLARE
    _projection {schema}.projections;
    _state      smallint;
    _number     bigint;
BEGIN
    SELECT p.* INTO _projection FROM {schema}.projections p WHERE p.name = p_name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'gone';
    END IF;
    IF p_generation <> 0 THEN
        SELECT g.generation_no, g.state INTO _number, _state
          FROM {schema}.projection_generations g
         WHERE g.projection_no = _projection.projection_no AND g.generation = p_generation;
        IF _number IS NULL THEN
            RETURN 'gone';
        ELSIF _state = 3 THEN
            RETURN 'active';
        END IF;
        PERFORM {schema}.projection_forget_v1(_number);
        -- A projection without any generation is none.
        DELETE FROM {schema}.projections p
         WHERE p.projection_no = _projection.projection_no
           AND NOT EXISTS (SELECT FROM {schema}.projection_generations g
                            WHERE g.projection_no = p.projection_no);
        RETURN 'dropped';
    END IF;
    PERFORM {schema}.projection_forget_v1(g.generation_no)
       FROM (SELECT x.generation_no FROM {schema}.projection_generations x
              WHERE x.projection_no = _projection.projection_no ORDER BY x.generation_no) g;
    DELETE FROM {schema}.projections p WHERE p.projection_no = _projection.projection_no;
    PERFORM {schema}.projection_view_v1(p_schema, p_name, NULL, p_wait);
    RETURN 'dropped';
END
$function$;

-- Drops tables of generations that are gone, save those that somebody reads for longer than
-- p_wait; how many are left.
CREATE FUNCTION {schema}.projection_sweep_v1(p_schema text, p_wait interval)
RETURNS integer LANGUAGE plpgsql
AS $function$
DECLARE
    _table text;
    _left  integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', (extract(epoch FROM p_wait) * 1000)::integer::text, true);
    FOR _table IN
        SELECT c.relname FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = p_schema AND c.relkind = 'r' AND c.relname ~ '^projection_[0-9]+$'
           AND NOT EXISTS (SELECT FROM {schema}.projection_generations g
                            WHERE c.relname = 'projection_' || g.generation_no)
         ORDER BY c.relname
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE IF EXISTS %I.%I', p_schema, _table);
        EXCEPTION WHEN lock_not_available OR deadlock_detected OR dependent_objects_still_exist THEN
            _left := _left + 1;
        END;
    END LOOP;
    RETURN _left;
END
$function$;

-- Lets a role read all views of the schema p_schema, those that are made later too.
CREATE FUNCTION {schema}.projection_grant_v1(p_schema text, p_role text)
RETURNS void LANGUAGE plpgsql
AS $function$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', p_schema, p_role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', p_schema, p_role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
                   p_schema, p_role);
END
$function$;

-- Makes a role that reads views. It may log in once somebody has given it a password.
CREATE FUNCTION {schema}.projection_role_v1(p_role text)
RETURNS void LANGUAGE plpgsql
AS $function$
BEGIN
    EXECUTE format('CREATE ROLE %I LOGIN', p_role);
END
$function$;

-- Makes the view of the active generation p_generation_no again, which a restored store may lack.
CREATE FUNCTION {schema}.projection_show_v1(
    p_generation_no bigint, p_schema text, p_rows text, p_wait interval)
RETURNS void LANGUAGE plpgsql
AS $function$
DECLARE
    _name text;
BEGIN
    SELECT p.name INTO _name FROM {schema}.projections p
     WHERE p.active = p_generation_no FOR UPDATE;
    IF FOUND THEN
        PERFORM {schema}.projection_view_v1(p_schema, _name, p_rows, p_wait);
    END IF;
END
$function$;

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

-- All revisions of privacy rules; the ones of an event type or category that were not dropped are
-- in force.
CREATE TABLE {schema}.privacy_rules (
    rules_no          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What they are rules of: one of both.
    type              text        COLLATE "C" CHECK (octet_length(type) BETWEEN 1 AND 128),
    category          text        COLLATE "C" CHECK (octet_length(category) BETWEEN 1 AND 64),
    revision          integer     NOT NULL CHECK (revision >= 1),
    -- SHA-256 of what is personal in canonical JSON, lower-case hexadecimal.
    digest            text        NOT NULL,
    -- The document as it came in; of a schema the normal form.
    source            text        NOT NULL,
    -- The document in canonical JSON.
    normal_form       text        NOT NULL,
    -- 1: a document, 2: annotations of the schema of the event type.
    origin            smallint    NOT NULL CHECK (origin BETWEEN 1 AND 2),
    -- Those of the personal fields.
    pointers          text[]      NOT NULL,
    -- Stored events with plaintext when they were put, and the head of the log then, if there were
    -- some: they are at or before it, and have paths that are not sealed.
    plaintext_events  bigint      NOT NULL CHECK (plaintext_events >= 0),
    plaintext_until   bigint      NOT NULL CHECK (plaintext_until >= 0),
    -- Of the catalogue when they came into force, and when they were dropped or others took their
    -- place; NULL: they were not.
    catalogue_version bigint      NOT NULL,
    dropped_version   bigint,
    put_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by            text        NOT NULL,
    CHECK ((type IS NULL) <> (category IS NULL)),
    CHECK (category IS NULL OR origin = 1),
    CHECK ((plaintext_events = 0) = (plaintext_until = 0))
);
CREATE UNIQUE INDEX privacy_rules_type ON {schema}.privacy_rules (type, revision)
    WHERE type IS NOT NULL;
CREATE UNIQUE INDEX privacy_rules_category ON {schema}.privacy_rules (category, revision)
    WHERE category IS NOT NULL;
CREATE UNIQUE INDEX privacy_rules_type_in_force ON {schema}.privacy_rules (type)
    WHERE type IS NOT NULL AND dropped_version IS NULL;
CREATE UNIQUE INDEX privacy_rules_category_in_force ON {schema}.privacy_rules (category)
    WHERE category IS NOT NULL AND dropped_version IS NULL;

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

-- Who refers to what: `target` is `e:` and the id of an event, or `s:` and the name of a stream;
-- `position` that of the event that refers to it. A table, not an index of events, which would have
-- to look through a log that is there already, and would find referrers in no order.
CREATE TABLE {schema}.event_references (
    target   text COLLATE "C" NOT NULL,
    position bigint           NOT NULL,
    PRIMARY KEY (target, position)
);

-- The targets that the metadata of an event name. As json, not jsonb: that would look at numbers,
-- and fail on some that are fine.
CREATE FUNCTION {schema}.references_v1(p_metadata bytea) RETURNS SETOF text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $function$
    SELECT 'e:' || lower(e.value)
      FROM json_array_elements_text(
               (convert_from(p_metadata, 'UTF8')::json -> 'refs') -> 'events') AS e
     UNION
    SELECT 's:' || s.value
      FROM json_array_elements_text(
               (convert_from(p_metadata, 'UTF8')::json -> 'refs') -> 'streams') AS s
$function$;

CREATE FUNCTION {schema}.note_references_v1() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {schema}.event_references (target, position)
        SELECT t, NEW.position FROM {schema}.references_v1(NEW.metadata) AS t;
    ELSE
        DELETE FROM {schema}.event_references r
         WHERE r.position = OLD.position
           AND r.target IN (SELECT t FROM {schema}.references_v1(OLD.metadata) AS t);
    END IF;
    RETURN NULL;
END
$function$;

-- Only events with the mark EVENT_FLAG_REFERS, whose `refs` were checked. With the payload goes
-- what it referred to.
CREATE TRIGGER events_references_added AFTER INSERT ON {schema}.events
    FOR EACH ROW WHEN (NEW.flags & 8 <> 0)
    EXECUTE FUNCTION {schema}.note_references_v1();
CREATE TRIGGER events_references_gone AFTER UPDATE OF deleted_at ON {schema}.events
    FOR EACH ROW
    WHEN (OLD.flags & 8 <> 0 AND OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION {schema}.note_references_v1();

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

-- As transform_append_v1, with p_sealed for each event, as in append_v4.
CREATE FUNCTION {schema}.transform_append_v2(
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
    p_sealed            text[],
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
          INTO v_position, v_recorded, transform_append_v2.catalogue_version
          FROM {schema}.counter c FOR UPDATE;
        IF transform_append_v2.catalogue_version <> p_catalogue_version THEN
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
                                     sent_digest, stored_digest, cancels, copied_from,
                                     sealed_paths)
        SELECT v_position + n, v_numbers[p_in[n]], v_versions[p_in[n]] + p_nth[n], v_recorded,
               p_occurred_at[n], p_ids[n], p_flags[n], p_types[n], p_categories[p_in[n]], p_writer,
               p_data[n], p_metadata[n],
               CASE WHEN p_tag_ends[n] > coalesce(p_tag_ends[n - 1], 0)
                    THEN ARRAY(SELECT p_tags[t]
                                 FROM generate_series(coalesce(p_tag_ends[n - 1], 0) + 1,
                                                      p_tag_ends[n]) AS t) END,
               p_sent[n], p_stored[n], p_cancels[n], p_copied_from[n],
               p_sealed[n]::text[]
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

-- Notes a chunk of a transform whose copies are stored on another server, and moves the transform
-- from position p_at to p_to. The arrays are those of transform_append_v1. False: somebody else has
-- the lease, or has moved it.
CREATE FUNCTION {schema}.transform_sent_v1(
    p_transform_no    bigint,
    p_lease           bigint,
    p_lease_ms        bigint,
    p_at              bigint,
    p_to              bigint,
    p_read            integer,
    p_counts          jsonb,
    p_sources         text[],
    p_source_versions bigint[],
    p_targets         text[],
    p_target_events   integer[],
    p_link_sources    integer[],
    p_link_targets    integer[],
    p_link_events     integer[])
RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
BEGIN
    UPDATE {schema}.transform_progress p
       SET position = p_to, events_read = p.events_read + p_read,
           events_written = p.events_written
                            + coalesce((SELECT sum(e) FROM unnest(p_target_events) AS e), 0),
           lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
     WHERE p.transform_no = p_transform_no AND p.lease = p_lease AND p.position = p_at;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
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
    INSERT INTO {schema}.transform_sources AS q (transform_no, stream, version)
    SELECT p_transform_no, p_sources[n], p_source_versions[n]
      FROM generate_series(1, cardinality(p_sources)) AS n
        ON CONFLICT (transform_no, stream) DO UPDATE
       SET version = greatest(q.version, excluded.version);
    IF p_read > 0 THEN
        UPDATE {schema}.transforms t SET counts = p_counts WHERE t.transform_no = p_transform_no;
    END IF;
    RETURN true;
END
$function$;

-- Whether copies may cancel what they say, in the stream p_stream: each an event that stands there,
-- or before it among p_ids, which cancels none itself and which nothing else cancels.
CREATE FUNCTION {schema}.copies_cancel_v1(p_stream text, p_ids uuid[], p_cancels uuid[])
RETURNS boolean LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
    SELECT NOT EXISTS (
        SELECT FROM generate_series(1, cardinality(p_cancels)) AS n
         WHERE p_cancels[n] IS NOT NULL
           AND (NOT (EXISTS (SELECT FROM generate_series(1, n - 1) AS m
                              WHERE p_ids[m] = p_cancels[n] AND p_cancels[m] IS NULL)
                     OR EXISTS (SELECT FROM {schema}.events e
                                  JOIN {schema}.streams s ON s.stream_no = e.stream_no
                                 WHERE e.event_id = p_cancels[n] AND s.name = p_stream
                                   AND e.cancels IS NULL))
                OR p_cancels[n] = ANY (p_cancels[: n - 1])
                OR EXISTS (SELECT FROM {schema}.events e
                             JOIN {schema}.streams s ON s.stream_no = e.stream_no
                            WHERE e.cancels = p_cancels[n] AND s.name = p_stream
                              AND e.event_id <> p_ids[n])))
$function$;

-- Appends copies that another server sends, as append_v3 does. Its outcomes, and `cancels`: they
-- may not cancel what they say.
CREATE FUNCTION {schema}.append_copies_v1(
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
    p_cancels           uuid[],
    p_copied_from       uuid[],
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
#variable_conflict use_column
BEGIN
    -- What is read below nobody changes any more.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    IF NOT {schema}.copies_cancel_v1(p_stream, p_ids, p_cancels) THEN
        outcome := 'cancels';
        RETURN;
    END IF;
    SELECT a.outcome, a.first_version, a.first_position, a.positions, a.recorded_at,
           a.actual_version, a.successor, a.differs_at, a.problem, a.catalogue_version
      INTO outcome, first_version, first_position, positions, recorded_at, actual_version,
           successor, differs_at, problem, append_copies_v1.catalogue_version
      FROM {schema}.append_v3(p_stream, p_category, p_expected, p_ids, p_types, p_data, p_metadata,
                              p_tags, p_tag_ends, p_occurred_at, p_flags, p_sent, p_stored,
                              p_writer, p_trace_context, p_catalogue_version, p_cancels,
                              p_copied_from) a;
END
$function$;

-- As append_copies_v1, with p_sealed for each event and p_root, as in append_v4.
CREATE FUNCTION {schema}.append_copies_v2(
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
    p_cancels           uuid[],
    p_copied_from       uuid[],
    p_sealed            text[],
    p_root              text,
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
#variable_conflict use_column
BEGIN
    -- What is read below nobody changes any more.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    IF NOT {schema}.copies_cancel_v1(p_stream, p_ids, p_cancels) THEN
        outcome := 'cancels';
        RETURN;
    END IF;
    SELECT a.outcome, a.first_version, a.first_position, a.positions, a.recorded_at,
           a.actual_version, a.successor, a.differs_at, a.problem, a.catalogue_version
      INTO outcome, first_version, first_position, positions, recorded_at, actual_version,
           successor, differs_at, problem, append_copies_v2.catalogue_version
      FROM {schema}.append_v5(p_stream, p_category, p_expected, p_ids, p_types, p_data, p_metadata,
                              p_tags, p_tag_ends, p_occurred_at, p_flags, p_sent, p_stored,
                              p_writer, p_trace_context, p_catalogue_version, p_cancels,
                              p_copied_from, p_sealed, p_root) a;
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

-- A server process that may have data keys in memory. It may use them until its lease runs out.
CREATE TABLE {schema}.privacy_servers (
    server_id              uuid        PRIMARY KEY,
    started_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at             timestamptz NOT NULL,
    -- Its memory holds no key of a subject that was fenced up to this version of the catalogue.
    seen_catalogue_version bigint      NOT NULL
);

-- Who is to be forgotten, as the ledger of fences has it.
CREATE TABLE {schema}.fences (
    fence_no          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- HMAC-SHA256 of the subject's name: the log never holds the name here.
    subject_hash      bytea       NOT NULL CHECK (octet_length(subject_hash) = 32),
    -- In the key store; NULL if that did not know it.
    subject_id        uuid,
    -- The version of the catalogue that appends are held to since then.
    catalogue_version bigint      NOT NULL,
    fenced_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The entry of the ledger, and its digest.
    ledger_no         bigint      NOT NULL UNIQUE CHECK (ledger_no >= 1),
    ledger_digest     bytea       NOT NULL,
    -- The subject may have keys again since then, under another id.
    readmitted_at     timestamptz,
    readmit_no        bigint      UNIQUE CHECK (readmit_no > ledger_no),
    readmit_digest    bytea,
    -- The erasure that set it; NULL: it was done again from the ledger.
    erasure_no        bigint,
    CHECK ((readmitted_at IS NULL) = (readmit_no IS NULL)),
    CHECK ((readmit_no IS NULL) = (readmit_digest IS NULL))
);

CREATE UNIQUE INDEX fences_in_force ON {schema}.fences (subject_hash)
    WHERE readmitted_at IS NULL;
CREATE INDEX fences_catalogue_version ON {schema}.fences (catalogue_version);

-- The last time that data keys got new versions: servers seal under these from then on.
CREATE TABLE {schema}.key_rotation (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    catalogue_version bigint  NOT NULL
);

-- Has every server look for the newest versions of data keys.
CREATE FUNCTION {schema}.keys_rotated_v1() RETURNS bigint LANGUAGE sql AS $function$
    INSERT INTO {schema}.key_rotation AS r (catalogue_version)
    VALUES ({schema}.catalogue_changed_v1())
        ON CONFLICT (only_row) DO UPDATE SET catalogue_version = excluded.catalogue_version
    RETURNING r.catalogue_version
$function$;

-- Fences a subject, as the entry p_ledger_no of the ledger says; the version of the catalogue from
-- which on servers know. An entry is followed once, and one that is out of date not at all.
CREATE FUNCTION {schema}.fence_subject_v1(
    p_subject_hash  bytea,
    p_subject_id    uuid,
    p_ledger_no     bigint,
    p_ledger_digest bytea,
    p_erasure_no    bigint)
RETURNS bigint LANGUAGE plpgsql AS $function$
DECLARE
    _version bigint;
BEGIN
    -- One at a time, and between appends.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    SELECT f.catalogue_version INTO _version FROM {schema}.fences f
     WHERE f.ledger_no = p_ledger_no
        OR f.subject_hash = p_subject_hash
           AND (f.readmitted_at IS NULL OR f.readmit_no > p_ledger_no)
     ORDER BY f.fence_no DESC LIMIT 1;
    IF _version IS NULL THEN
        _version := {schema}.catalogue_changed_v1();
        INSERT INTO {schema}.fences
               (subject_hash, subject_id, catalogue_version, ledger_no, ledger_digest, erasure_no)
        VALUES (p_subject_hash, p_subject_id, _version, p_ledger_no, p_ledger_digest,
                p_erasure_no);
    END IF;
    RETURN _version;
END
$function$;

-- Lets a subject have keys again, as the entry p_ledger_no of the ledger says. False: it was not
-- fenced before that entry, or is no more.
CREATE FUNCTION {schema}.readmit_subject_v1(
    p_subject_hash  bytea,
    p_ledger_no     bigint,
    p_ledger_digest bytea)
RETURNS boolean LANGUAGE plpgsql AS $function$
BEGIN
    PERFORM FROM {schema}.counter c FOR UPDATE;
    UPDATE {schema}.fences f
       SET readmitted_at = clock_timestamp(), readmit_no = p_ledger_no,
           readmit_digest = p_ledger_digest
     WHERE f.subject_hash = p_subject_hash AND f.readmitted_at IS NULL
       AND f.ledger_no < p_ledger_no;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM {schema}.catalogue_changed_v1();
    RETURN true;
END
$function$;

-- Gives a server process its lease for so long; p_seen is the version of the catalogue whose fences
-- it has followed, NULL for one that has no key in memory. Answers the version now, and the
-- subjects that were fenced since p_seen; `rotated`: data keys got new versions since then.
CREATE FUNCTION {schema}.renew_privacy_lease_v1(
    p_server_id uuid,
    p_lease_ms  bigint,
    p_seen      bigint,
    OUT catalogue_version bigint,
    OUT subject_ids       uuid[],
    OUT rotated           boolean
) LANGUAGE plpgsql AS $function$
#variable_conflict use_column
BEGIN
    -- In one statement: no fence comes between the version and the list.
    SELECT c.catalogue_version,
           ARRAY(SELECT f.subject_id FROM {schema}.fences f
                  WHERE f.catalogue_version > p_seen AND f.subject_id IS NOT NULL),
           EXISTS (SELECT FROM {schema}.key_rotation r WHERE r.catalogue_version > p_seen)
      INTO catalogue_version, subject_ids, rotated
      FROM {schema}.counter c;
    INSERT INTO {schema}.privacy_servers AS s (server_id, expires_at, seen_catalogue_version)
    VALUES (p_server_id, clock_timestamp() + p_lease_ms * interval '1 millisecond',
            coalesce(p_seen, renew_privacy_lease_v1.catalogue_version))
        ON CONFLICT (server_id) DO UPDATE
       SET expires_at = excluded.expires_at,
           seen_catalogue_version = excluded.seen_catalogue_version;
END
$function$;

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

-- Deletions of streams: what their events hold goes, and what was made of it.

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

-- Which migrations were applied, and what they held then.
CREATE TABLE {schema}.migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    -- SHA-256 of the file, lower-case hexadecimal: a changed old migration is refused at start.
    digest     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO {schema}.store DEFAULT VALUES;
INSERT INTO {schema}.counter DEFAULT VALUES;
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

-- The categories that transforms read from and write to, for as long as there are copies of theirs:
-- who reads some of both by name has to say whether copies are among what it reads.
CREATE TABLE {schema}.transform_categories (
    transform_no bigint  NOT NULL,
    -- `*`: the source is the log, which is every category that is no target.
    category     text    COLLATE "C" NOT NULL CHECK (octet_length(category) BETWEEN 1 AND 64),
    is_source    boolean NOT NULL,
    is_target    boolean NOT NULL,
    PRIMARY KEY (transform_no, category),
    CHECK (is_source OR is_target),
    CHECK (category <> '*' OR (is_source AND NOT is_target))
);

-- A transform of which both a source and a target are among the categories, with one of each;
-- no row: there is none.
CREATE FUNCTION {schema}.ambiguous_transform_v1(p_categories text[])
RETURNS TABLE (transform_no bigint, source text, target text) LANGUAGE sql STABLE AS $function$
    SELECT t.transform_no, s.source, t.category
      FROM {schema}.transform_categories t
     CROSS JOIN LATERAL
           (SELECT CASE WHEN x.category = '*' THEN c.category ELSE x.category END AS source
              FROM {schema}.transform_categories x
              JOIN unnest(p_categories) AS c (category)
                ON c.category = x.category OR x.category = '*'
             WHERE x.transform_no = t.transform_no AND x.is_source
               AND (x.category <> '*'
                    OR NOT EXISTS (SELECT FROM {schema}.transform_categories y
                                    WHERE y.transform_no = t.transform_no AND y.is_target
                                      AND y.category = c.category))) s
     WHERE t.is_target AND t.category = ANY (p_categories)
     ORDER BY t.transform_no, s.source COLLATE "C", t.category LIMIT 1
$function$;

-- The parts of a JSON pointer.
CREATE FUNCTION {schema}.pointer_parts_v1(p_pointer text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $function$
    SELECT coalesce(array_agg(replace(replace(p.part, '~1', '/'), '~0', '~') ORDER BY p.n), '{}')
      FROM unnest(string_to_array(substr(p_pointer, 2), '/')) WITH ORDINALITY AS p (part, n)
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
    -- anew, and projections that are built anew and waited for.
    events            bigint      NOT NULL DEFAULT 0,
    kept_states       bigint      NOT NULL DEFAULT 0,
    rows              bigint      NOT NULL DEFAULT 0,
    projections       text[]      NOT NULL DEFAULT '{}',
    waiting           text[]      NOT NULL DEFAULT '{}',
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

-- What servers have counted of personal data, together.
CREATE TABLE {schema}.privacy_counters (
    name  text   COLLATE "C" PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 64),
    value bigint NOT NULL CHECK (value >= 0)
);
