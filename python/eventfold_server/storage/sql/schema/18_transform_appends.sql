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
