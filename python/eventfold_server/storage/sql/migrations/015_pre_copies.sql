-- Readers that leave copies out. Servers of before go on with `group_next_v1`, which takes in all
-- events: there are no copies before a server of now makes some.

ALTER TABLE {schema}.groups ADD COLUMN copies smallint CHECK (copies BETWEEN 1 AND 2);

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
