-- Statements on privacy rules: which values of events are personal. `queries.py` says how this file
-- is read.

-- name: category_behind
-- As `type_behind`, of the category $1.
SELECT array_send(array_agg(e.stream)), array_send(array_agg(e.version)),
       array_send(array_agg(e.position)), array_send(array_agg(e.event_id)),
       array_send(array_agg(e.type)), array_send(array_agg(e.data)),
       array_send(array_agg(e.metadata)), array_send(array_agg(array_send(e.tags))),
       array_send(array_agg(e.recorded_at)), array_send(array_agg(e.occurred_at)),
       array_send(array_agg(e.writer)), array_send(array_agg(e.flags)),
       array_send(array_agg(e.copied_from)), array_send(array_agg(e.cancels)),
       array_send(array_agg(e.trace_context)), array_send(array_agg(e.deleted)),
       array_send(array_agg(array_send(e.sealed_paths)))
  FROM (SELECT s.name AS stream, {event}
          FROM (SELECT v.*, sum(octet_length(v.data) + octet_length(v.metadata))
                            OVER (ORDER BY v.position
                                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
                  FROM (SELECT * FROM {schema}.events x
                         WHERE x.position > $2 AND x.position <= $3 AND x.category = $1
                         ORDER BY x.position LIMIT $5) v) e
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
         WHERE e.bytes_before IS NULL OR e.bytes_before < $4
         ORDER BY e.position) e;

-- fragment: rules_row
p.type, p.category, p.revision, p.digest, p.source, p.normal_form, p.origin, p.plaintext_events,
       p.plaintext_until, p.put_at, p.put_by, p.dropped_version IS NULL AS in_force

-- name: type_privacy
-- The rules of the event type $1 in the revision $2; 0: those in force.
SELECT {rules_row} FROM {schema}.privacy_rules p
 WHERE p.type = $1 AND CASE WHEN $2::integer = 0 THEN p.dropped_version IS NULL
                            ELSE p.revision = $2 END
 ORDER BY p.revision DESC LIMIT 1;

-- name: category_privacy
-- The same of the category $1.
SELECT {rules_row} FROM {schema}.privacy_rules p
 WHERE p.category = $1 AND CASE WHEN $2::integer = 0 THEN p.dropped_version IS NULL
                                ELSE p.revision = $2 END
 ORDER BY p.revision DESC LIMIT 1;

-- name: any_category_privacy
-- Whether rules of a category as a whole are in force.
SELECT EXISTS (SELECT FROM {schema}.privacy_rules p
                WHERE p.category IS NOT NULL AND p.dropped_version IS NULL);

-- name: put_privacy
-- Puts the next revision of the rules of the event type $1, or of the category $2, in force.
INSERT INTO {schema}.privacy_rules (type, category, revision, digest, source, normal_form, origin,
                                    pointers, plaintext_events, plaintext_until, put_by,
                                    catalogue_version)
VALUES ($1, $2, 1 + coalesce((SELECT max(p.revision) FROM {schema}.privacy_rules p
                               WHERE p.type = $1 OR p.category = $2), 0),
        $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING revision, put_at;

-- name: drop_privacy
-- Takes the rules of the event type $1, or of the category $2, out of force with the version $3 of
-- the catalogue.
UPDATE {schema}.privacy_rules p SET dropped_version = $3
 WHERE (p.type = $1 OR p.category = $2) AND p.dropped_version IS NULL;

-- name: privacy_page
-- Rules in force: of event types (NULL: no more of these) behind $1, then of categories behind $2;
-- at most $3, or about $4 bytes of documents, but at least one. As in schemas_page.
SELECT {rules_row}, p.found
  FROM (SELECT q.*, count(*) OVER () AS found,
               sum(octet_length(q.source)) OVER (ORDER BY q.type NULLS LAST, q.category
                                                 ROWS UNBOUNDED PRECEDING) AS bytes
          FROM (SELECT * FROM {schema}.privacy_rules f
                 WHERE (f.type > $1 OR f.type IS NULL AND f.category > $2)
                   AND f.dropped_version IS NULL
                 ORDER BY f.type NULLS LAST, f.category LIMIT $3) q) p
 WHERE p.bytes - octet_length(p.source) < $4
 ORDER BY p.type NULLS LAST, p.category;

-- name: note_carried
-- Notes that values at the pointers $2 are personal in events of the categories $1, pair by pair; a
-- new catalogue, if that was not known.
WITH fresh AS (
    INSERT INTO {schema}.carried_marks (category, pointer)
    SELECT c.category, c.pointer FROM unnest($1::text[], $2::text[]) AS c (category, pointer)
        ON CONFLICT DO NOTHING RETURNING 1
)
SELECT {schema}.catalogue_changed_v1() WHERE EXISTS (SELECT FROM fresh);

-- name: forget_examples
-- Examples of transforms may hold what is personal from now on.
UPDATE {schema}.transforms t SET trial = jsonb_set(t.trial, ARRAY['examples'], '[]')
 WHERE t.trial -> 'examples' <> '[]';
