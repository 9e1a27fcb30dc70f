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
