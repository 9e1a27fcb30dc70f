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
    sent_digest   bytea       NOT NULL CHECK (octet_length(sent_digest) = 32),
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
-- eventfold.deleting for its transaction and leaves all other columns as they are. A guard against
-- mistakes, not against the owner of the schema.
CREATE FUNCTION {schema}.refuse_change_v1() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('eventfold.deleting', true) = 'on'
       AND NEW.deleted_at IS NOT NULL
       AND (NEW.position, NEW.stream_no, NEW.version, NEW.recorded_at, NEW.occurred_at,
            NEW.event_id, NEW.type, NEW.category, NEW.writer, NEW.sent_digest)
           IS NOT DISTINCT FROM
           (OLD.position, OLD.stream_no, OLD.version, OLD.recorded_at, OLD.occurred_at,
            OLD.event_id, OLD.type, OLD.category, OLD.writer, OLD.sent_digest)
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
    -- Empty: no mapping is in force.
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
CREATE INDEX kept_states_digest ON {schema}.kept_states (fold_digest, semantics);

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
