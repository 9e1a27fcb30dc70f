-- Statements on what is known of event types: schemas, mappings, modes, and what is demanded of
-- references. `queries.py` says how this file is read.

-- name: catalogue
-- All that is in force and its version, in one snapshot: a row for each thing, or one alone. Of
-- schemas, mappings and privacy rules that are known as in $1, $2 and $3 the documents are left
-- out.
SELECT c.catalogue_version AS version, r.*
  FROM {schema}.counter c
  LEFT JOIN (
       SELECT 'schema' AS kind, s.type AS name, s.revision, s.digest, s.digest AS known_as,
              s.formats,
              CASE WHEN s.digest <> ALL($1::text[]) THEN s.source END AS source,
              CASE WHEN s.digest <> ALL($1::text[]) THEN s.resource_ids END AS resource_ids,
              CASE WHEN s.digest <> ALL($1::text[]) THEN s.resources END AS resources,
              NULL::smallint AS mode
         FROM {schema}.schemas s
        WHERE s.type IS NOT NULL
          AND NOT EXISTS (SELECT FROM {schema}.schemas n
                           WHERE n.type = s.type AND n.revision > s.revision)
       UNION ALL
       SELECT 'mapping', m.type, m.revision, m.digest, k.known_as, NULL,
              CASE WHEN k.known_as <> ALL($2::text[]) THEN m.source END, NULL, NULL,
              NULL
         FROM {schema}.mappings m
        CROSS JOIN LATERAL (SELECT m.digest || ' ' || m.type AS known_as) k
        WHERE m.dropped_version IS NULL
       UNION ALL
       -- Mappings of before: what was made of events as these gave them may be gone on from.
       SELECT DISTINCT 'past_mapping', m.type, 0, m.digest, k.known_as, NULL::boolean,
              CASE WHEN k.known_as <> ALL($2::text[]) THEN m.source END, NULL::text[],
              NULL::text[], NULL::smallint
         FROM {schema}.mappings m
        CROSS JOIN LATERAL (SELECT m.digest || ' ' || m.type AS known_as) k
        WHERE m.dropped_version IS NOT NULL
          AND (EXISTS (SELECT FROM {schema}.privacy_rules)
               OR EXISTS (SELECT FROM {schema}.carried_marks))
       UNION ALL
       SELECT 'carried', m.category, 0, NULL, NULL, NULL, m.pointer, NULL, NULL, NULL
         FROM {schema}.carried_marks m
       UNION ALL
       SELECT 'type_mode', t.type, NULL, NULL, NULL, NULL, NULL, NULL, NULL, t.schema_mode
         FROM {schema}.event_types t WHERE t.schema_mode <> 0
       UNION ALL
       SELECT 'category_mode', k.category, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
              k.schema_mode
         FROM {schema}.categories k
       UNION ALL
       SELECT 'references', t.type, NULL, NULL, NULL, NULL, NULL, NULL, NULL, t.refs_mode
         FROM {schema}.event_types t WHERE t.refs_mode = 2
       UNION ALL
       SELECT CASE WHEN p.type IS NULL THEN 'personal_category' ELSE 'personal' END,
              coalesce(p.type, p.category), p.revision, p.digest, k.known_as, NULL,
              CASE WHEN k.known_as <> ALL($3::text[]) THEN p.normal_form END, NULL, NULL, NULL
         FROM {schema}.privacy_rules p
        CROSS JOIN LATERAL (SELECT p.digest || CASE WHEN p.type IS NULL THEN ' c ' ELSE ' t ' END
                                   || coalesce(p.type, p.category) AS known_as) k
        WHERE p.dropped_version IS NULL
       UNION ALL
       -- What was personal once: values that were sealed by it still are.
       SELECT DISTINCT CASE WHEN p.type IS NULL THEN 'past_personal_category'
                            ELSE 'past_personal' END,
              coalesce(p.type, p.category), 0, p.digest, k.known_as, NULL::boolean,
              CASE WHEN k.known_as <> ALL($3::text[]) THEN p.normal_form END,
              NULL::text[], NULL::text[], NULL::smallint
         FROM {schema}.privacy_rules p
        CROSS JOIN LATERAL (SELECT p.digest || CASE WHEN p.type IS NULL THEN ' c ' ELSE ' t ' END
                                   || coalesce(p.type, p.category) AS known_as) k
        WHERE p.dropped_version IS NOT NULL
  ) r ON true;

-- name: lock_catalogue
-- Who changes the catalogue begins with this, so that changes come one after the other, and each
-- knows what is in force; no event is stored meanwhile. Answers the head of the log.
SELECT c.position FROM {schema}.counter c FOR UPDATE;

-- name: type_behind
-- The first events of the type $1 behind the position $2, up to $3, in one row: as many as have $4
-- bytes, the last beyond that, and at most $5. Each column is a binary array, which the core
-- decodes. In the order of positions, so that their index is followed whatever the planner thinks
-- of the type.
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
                         WHERE x.position > $2 AND x.position <= $3 AND x.type = $1
                         ORDER BY x.position LIMIT $5) v) e
          JOIN {schema}.streams s ON s.stream_no = e.stream_no
         WHERE e.bytes_before IS NULL OR e.bytes_before < $4
         ORDER BY e.position) e;

-- name: catalogue_changed
-- Answers the version of the catalogue that the transaction leaves behind.
SELECT {schema}.catalogue_changed_v1();

-- fragment: schema_row
s.type, s.schema_id, s.revision, s.digest, s.source, s.resource_ids, s.resources, s.draft,
       s.formats, s.accepted_misfits, s.put_at, s.put_by

-- name: type_schema
-- The schema of the event type $1 in the revision $2; 0: the newest, which is in force.
SELECT {schema_row} FROM {schema}.schemas s
 WHERE s.type = $1 AND ($2::integer = 0 OR s.revision = $2) ORDER BY s.revision DESC LIMIT 1;

-- name: shared_schema
-- The same of the shared schema with the id $1.
SELECT {schema_row} FROM {schema}.schemas s
 WHERE s.type IS NULL AND s.schema_id = $1 AND ($2::integer = 0 OR s.revision = $2)
 ORDER BY s.revision DESC LIMIT 1;

-- name: shared_sources
-- The newest documents of those shared schemas with the ids $1 that there are.
SELECT s.schema_id, s.source FROM {schema}.schemas s
 WHERE s.type IS NULL AND s.schema_id = ANY ($1)
   AND NOT EXISTS (SELECT FROM {schema}.schemas n
                    WHERE n.type IS NULL AND n.schema_id = s.schema_id
                      AND n.revision > s.revision);

-- name: put_schema
-- Puts a revision of a schema in force.
INSERT INTO {schema}.schemas (type, schema_id, revision, digest, source, resource_ids, resources,
                              draft, formats, accepted_misfits, put_by, catalogue_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
RETURNING put_at;

-- name: schemas_page
-- Newest revisions: of event types (NULL: no more of these) behind $1, then of shared schemas whose
-- id is behind $2; at most $3, or about $4 bytes of documents, but at least one. Each tells how
-- many there are without regard to bytes.
SELECT type, schema_id, revision, digest, source, resource_ids, '{}'::text[] AS resources, draft,
       formats, accepted_misfits, put_at, put_by, found
  FROM (SELECT q.*, count(*) OVER () AS found,
               sum(octet_length(q.source)) OVER (ORDER BY q.type NULLS LAST, q.schema_id
                                                 ROWS UNBOUNDED PRECEDING) AS bytes
          FROM (SELECT * FROM {schema}.schemas s
                 WHERE (s.type > $1 OR s.type IS NULL AND s.schema_id > $2)
                   AND NOT EXISTS (SELECT FROM {schema}.schemas n
                                    WHERE (n.type = s.type
                                           OR n.type IS NULL AND s.type IS NULL
                                              AND n.schema_id = s.schema_id)
                                      AND n.revision > s.revision)
                 ORDER BY s.type NULLS LAST, s.schema_id LIMIT $3) q) p
 WHERE p.bytes - octet_length(p.source) < $4
 ORDER BY type NULLS LAST, schema_id;

-- fragment: mapping_row
m.type, m.revision, m.digest, m.source, m.put_at, m.put_by

-- name: mapping
-- The mapping of the event type $1 in the revision $2; 0: the one in force.
SELECT {mapping_row} FROM {schema}.mappings m
 WHERE m.type = $1 AND CASE WHEN $2::integer = 0 THEN m.dropped_version IS NULL
                            ELSE m.revision = $2 END
 ORDER BY m.revision DESC LIMIT 1;

-- name: put_mapping
-- Puts the next revision of a mapping in force.
INSERT INTO {schema}.mappings (type, revision, digest, source, put_by, catalogue_version)
VALUES ($1, 1 + coalesce((SELECT max(m.revision) FROM {schema}.mappings m WHERE m.type = $1), 0),
        $2, $3, $4, $5)
RETURNING revision, put_at;

-- name: drop_mapping
-- Takes the mapping of the event type $1 out of force with the version $2 of the catalogue.
UPDATE {schema}.mappings m SET dropped_version = $2
 WHERE m.type = $1 AND m.dropped_version IS NULL;

-- name: mappings_page
-- Mappings in force of event types behind $1; at most $2, or about $3 bytes of documents, but at
-- least one. As in schemas_page.
SELECT {mapping_row}, m.found
  FROM (SELECT q.*, count(*) OVER () AS found,
               sum(octet_length(q.source)) OVER (ORDER BY q.type
                                                 ROWS UNBOUNDED PRECEDING) AS bytes
          FROM (SELECT * FROM {schema}.mappings f
                 WHERE f.type > $1 AND f.dropped_version IS NULL
                 ORDER BY f.type LIMIT $2) q) m
 WHERE m.bytes - octet_length(m.source) < $3
 ORDER BY m.type;

-- name: event_type_said
-- What was said of an event type.
SELECT t.description, t.replaced_by, t.schema_mode, t.refs_mode FROM {schema}.event_types t
 WHERE t.type = $1;

-- name: put_event_type
-- Says it anew.
INSERT INTO {schema}.event_types (type, description, replaced_by, schema_mode, refs_mode, put_by)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (type) DO UPDATE
   SET description = excluded.description, replaced_by = excluded.replaced_by,
       schema_mode = excluded.schema_mode, refs_mode = excluded.refs_mode,
       put_at = clock_timestamp(), put_by = excluded.put_by;

-- name: forget_event_type
-- All that was said is taken back.
DELETE FROM {schema}.event_types WHERE type = $1;

-- name: replacements
-- The event types that $1 is replaced by, one by the other; with $2 as the last if it is one.
WITH RECURSIVE by (type) AS (
    SELECT $1::text COLLATE "C"
     UNION
    SELECT t.replaced_by FROM by b JOIN {schema}.event_types t ON t.type = b.type
     WHERE t.replaced_by IS NOT NULL AND b.type <> $2
)
SELECT type FROM by;

-- fragment: described
-- What was said of event types called n.type, and what is in force.
SELECT n.type, t.description, t.replaced_by,
       ARRAY(SELECT o.type FROM {schema}.event_types o
              WHERE o.replaced_by = n.type ORDER BY o.type) AS replaces,
       t.schema_mode, t.refs_mode, s.revision AS schema_revision, s.digest AS schema_digest,
       m.revision AS mapping_revision, m.digest AS mapping_digest, p.pointers AS personal

-- fragment: descriptions
-- Where `described` finds it.
LEFT JOIN {schema}.event_types t ON t.type = n.type
  LEFT JOIN LATERAL (SELECT x.revision, x.digest FROM {schema}.schemas x
                      WHERE x.type = n.type ORDER BY x.revision DESC LIMIT 1) s ON true
  LEFT JOIN {schema}.mappings m ON m.type = n.type AND m.dropped_version IS NULL
  LEFT JOIN {schema}.privacy_rules p ON p.type = n.type AND p.dropped_version IS NULL

-- name: event_type
{described} FROM (SELECT $1::text COLLATE "C" AS type) n {descriptions};

-- name: event_types_count
-- Counts at most $1 further events; $2: waits for others who count.
SELECT c.counted, c.head FROM {schema}.event_types_count_v1($1, $2) c;

-- name: event_types_page
-- Event types behind $1 from $2 up to below $3 (NULL: no upper bound), in byte order; at most $4,
-- each with at most $5 of its writers. Every row, of which there is one in any case, says up to
-- which position events are counted, and the head of the log.
SELECT p.position, k.position AS head, q.*
  FROM {schema}.event_type_progress p CROSS JOIN {schema}.counter k LEFT JOIN (
       {described}, c.events, c.violations, c.first_position, c.last_position,
              c.first_recorded_at, c.last_recorded_at, w.writers, w.writers_events,
              w.writers_last, w.writers_count
         FROM (SELECT type FROM {schema}.event_types
                UNION SELECT type FROM {schema}.event_type_counts
                UNION SELECT type FROM {schema}.schemas
                UNION SELECT type FROM {schema}.mappings
                UNION SELECT type FROM {schema}.privacy_rules WHERE type IS NOT NULL) n
         {descriptions}
         LEFT JOIN {schema}.event_type_counts c ON c.type = n.type
        CROSS JOIN LATERAL (
              SELECT array_agg(x.writer ORDER BY x.n) AS writers,
                     array_agg(x.events ORDER BY x.n) AS writers_events,
                     array_agg(x.last_recorded_at ORDER BY x.n) AS writers_last,
                     max(x.writers_count) AS writers_count
                FROM (SELECT y.*, row_number() OVER (ORDER BY y.events DESC, y.writer) AS n,
                             count(*) OVER () AS writers_count
                        FROM {schema}.event_type_writers y WHERE y.type = n.type) x
               WHERE x.n <= $5) w
        WHERE n.type > $1 AND n.type >= $2 AND ($3::text IS NULL OR n.type < $3)
        ORDER BY n.type LIMIT $4) q ON true
 ORDER BY q.type;

-- name: put_category
INSERT INTO {schema}.categories (category, schema_mode) VALUES ($1, $2)
ON CONFLICT (category) DO UPDATE SET schema_mode = excluded.schema_mode;

-- name: forget_category
DELETE FROM {schema}.categories WHERE category = $1;

-- name: category_modes_page
SELECT category, schema_mode FROM {schema}.categories
 WHERE category > $1 ORDER BY category LIMIT $2;
