-- Projections and their generations: documents, progress, leases. Their tables have a file of their
-- own.

-- fragment: generation
-- A generation with its progress: what is shown of it.
g.generation_no, g.generation, g.source, g.fold_source, g.digest, g.state, g.switch,
       g.verification, g.put_at, g.put_by, g.caught_up_at, g.switched_at,
       coalesce(g.fold_name, '') AS fold,
       coalesce(g.fold_revision, 0) AS fold_revision, q.position, q.events, q.rate, q.stopped,
       ARRAY(SELECT DISTINCT m.type FROM {schema}.mappings m
              WHERE greatest(m.catalogue_version, m.dropped_version) > g.catalogue_version
              ORDER BY m.type) AS remapped_types,
       (SELECT count(*) FROM {schema}.projection_parked_keys k
         WHERE k.generation_no = g.generation_no) AS parked_keys

-- fragment: projection
-- Of projections p: each of their generations, with the head of the log. $2: schema of the views.
p.name, quote_ident($2::text) || '.' || quote_ident(p.name) AS view,
       (SELECT c.position FROM {schema}.counter c) AS head, {generation}
  FROM p
  JOIN {schema}.projection_generations g ON g.projection_no = p.projection_no
  JOIN {schema}.projection_progress q ON q.generation_no = g.generation_no
 ORDER BY p.name, g.generation

-- name: projection
-- The projection $1.
WITH p AS (SELECT * FROM {schema}.projections WHERE name = $1)
SELECT {projection};

-- name: projections_page
-- Projections whose name is after $1, in byte order, $3 of them.
WITH p AS (SELECT * FROM {schema}.projections WHERE name > $1 ORDER BY name LIMIT $3)
SELECT {projection};

-- name: projection_number
-- A number for a new generation, with which its table is named.
SELECT nextval('{schema}.projection_numbers');

-- name: put_projection
SELECT outcome, generation
  FROM {schema}.projection_put_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: replace_projection
SELECT {schema}.projection_replace_v1($1, $2, $3, $4, $5, $6, $7, $8, $9) AS generation;

-- name: switch_projection
SELECT {schema}.projection_switch_v1($1, $2, $3, $4, $5, $6) AS outcome;

-- name: drop_projection
SELECT {schema}.projection_drop_v1($1, $2, $3, $4) AS outcome;

-- name: sweep_projections
SELECT {schema}.projection_sweep_v1($1, $2) AS tables_left;

-- name: show_projection
SELECT {schema}.projection_show_v1($1, $2, $3, $4);

-- name: grant_projections
SELECT {schema}.projection_grant_v1($1, $2);

-- name: projection_parked_page
-- Parked keys of the generation $1 after the key $2, with the events that are set aside.
SELECT k.key, k.error, k.parked_at, e.position, e.events
  FROM {schema}.projection_parked_keys k
 CROSS JOIN LATERAL (SELECT coalesce(min(x.position), 0) AS position, count(*) AS events
                       FROM {schema}.projection_parked_events x
                      WHERE x.generation_no = k.generation_no AND x.key = k.key) e
 WHERE k.generation_no = $1 AND k.key > $2 ORDER BY k.key LIMIT $3;

-- name: claim_projections
-- Takes generations that nobody has for $1: half of them, so that several servers that look at once
-- share them. What stopped rests. Not those in $2, at which this process failed a moment ago. $3:
-- schema of the views.
WITH free AS (
    SELECT p.generation_no FROM {schema}.projection_progress p
     WHERE p.stopped IS NULL AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())
       AND p.generation_no <> ALL ($2::bigint[])
), taken AS (
    SELECT p.generation_no FROM {schema}.projection_progress p
     WHERE p.generation_no IN (SELECT generation_no FROM free)
       AND p.stopped IS NULL AND (p.lease_until IS NULL OR p.lease_until < clock_timestamp())
     ORDER BY p.generation_no LIMIT (SELECT (count(*) + 1) / 2 FROM free)
       FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {schema}.projection_progress p
       SET lease = nextval('{schema}.projection_numbers'), lease_until = clock_timestamp() + $1
      FROM taken t WHERE p.generation_no = t.generation_no
    RETURNING p.generation_no, p.lease
)
SELECT p.name, g.generation, g.source, g.fold_source, g.state, c.generation_no, c.lease,
       p.active = g.generation_no
       AND to_regclass(quote_ident($3) || '.' || quote_ident(p.name)) IS NULL AS lacks_view
  FROM claimed c
  JOIN {schema}.projection_generations g ON g.generation_no = c.generation_no
  JOIN {schema}.projections p ON p.projection_no = g.projection_no
 ORDER BY c.generation_no;

-- name: renew_projections
-- Keeps the generations $1 with the leases $2 for another $3. Those under a batch are left out,
-- which renews them itself.
WITH mine AS (
    SELECT p.generation_no FROM {schema}.projection_progress p
      JOIN unnest($1::bigint[], $2::bigint[]) AS m (generation_no, lease)
        ON m.generation_no = p.generation_no AND m.lease = p.lease
     ORDER BY p.generation_no FOR UPDATE OF p SKIP LOCKED
)
UPDATE {schema}.projection_progress p SET lease_until = clock_timestamp() + $3
  FROM mine m WHERE p.generation_no = m.generation_no;

-- name: release_projections
-- Gives the generations $1 with the leases $2 back.
UPDATE {schema}.projection_progress p SET lease_until = NULL
  FROM unnest($1::bigint[], $2::bigint[]) AS m (generation_no, lease)
 WHERE m.generation_no = p.generation_no AND m.lease = p.lease;

-- name: projection_caught_up
-- Notes that the generation $1 has caught up, for who has the lease $2.
UPDATE {schema}.projection_generations g SET state = 2, caught_up_at = clock_timestamp()
  FROM {schema}.projection_progress q
 WHERE g.generation_no = $1 AND g.state = 1 AND q.generation_no = g.generation_no AND q.lease = $2;

-- name: projection_waiting
-- What the generation $1 waits for before queries see it, for who has the lease $2.
SELECT g.switch, p.active IS NOT NULL AS has_active,
       (g.verification ->> 'keys_differing')::bigint AS keys_differing
  FROM {schema}.projection_generations g
  JOIN {schema}.projection_progress q ON q.generation_no = g.generation_no
  JOIN {schema}.projections p ON p.projection_no = g.projection_no
 WHERE g.generation_no = $1 AND g.state = 2 AND q.lease = $2;
