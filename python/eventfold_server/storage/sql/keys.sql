-- Statements on the key store; {schema} is its schema, not the log's.

-- fragment: key_row
k.subject_id, k.version, k.wrapped, k.master_key

-- name: key_store
SELECT key_store_id, store_id, index_key, index_master_key, ledger_no, ledger_digest
  FROM {schema}.key_store;

-- name: adopt_key_store
-- Makes the key store that of the log $1, with the index key $2 that the master key $3 wrapped,
-- where it has none: the first server does.
UPDATE {schema}.key_store s
   SET store_id = coalesce(s.store_id, $1::uuid),
       index_key = coalesce(s.index_key, $2::bytea),
       index_master_key = coalesce(s.index_master_key, $3::text)
RETURNING key_store_id, store_id, index_key, index_master_key, ledger_no, ledger_digest;

-- name: master_keys
-- Master keys that something is wrapped by, and how many data keys of which versions.
SELECT m.master_key, sum(m.keys)::bigint AS keys
  FROM (SELECT k.master_key, count(*) AS keys FROM {schema}.data_keys k GROUP BY k.master_key
        UNION ALL
        SELECT s.index_master_key, 0 FROM {schema}.key_store s WHERE s.index_key IS NOT NULL) m
 GROUP BY m.master_key ORDER BY m.master_key;

-- name: current_keys
-- The newest key of each subject with one of the hashes $1; no key, if it is not active. With each,
-- and where there is none, how far the key store has followed the ledger of fences.
SELECT q.ledger_no, s.subject_hash, s.status, s.subject_id, k.version, k.wrapped, k.master_key
  FROM {schema}.key_store q
  LEFT JOIN {schema}.subjects s
       ON s.subject_hash = ANY ($1::bytea[]) AND s.readmitted_at IS NULL
  LEFT JOIN LATERAL
       (SELECT * FROM {schema}.data_keys d WHERE d.subject_id = s.subject_id AND s.status = 1
         ORDER BY d.version DESC LIMIT 1) k ON true;

-- name: make_keys
-- Makes subjects $1 with the names $2 and the hashes $3, and their first keys $4 that the master
-- keys $5 wrapped, as far as nothing stands for a hash yet. In the order of the hashes, so that no
-- two of these wait for each other.
WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::text[])
                  AS w (subject_id, name, subject_hash, wrapped, master_key)
), made AS (
    INSERT INTO {schema}.subjects AS s (subject_id, name, subject_hash)
    SELECT w.subject_id, w.name, w.subject_hash FROM wanted w ORDER BY w.subject_hash
        ON CONFLICT (subject_hash) WHERE readmitted_at IS NULL DO NOTHING
    RETURNING s.subject_id
)
INSERT INTO {schema}.data_keys (subject_id, version, wrapped, master_key)
SELECT m.subject_id, 1, w.wrapped, w.master_key FROM made m JOIN wanted w USING (subject_id);

-- name: keys_by_ids
-- The status of each subject $1, and its key of the version $2; no key, if it is not active.
SELECT a.n, s.status, {key_row}
  FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY AS a (subject_id, version, n)
  JOIN {schema}.subjects s ON s.subject_id = a.subject_id
  LEFT JOIN {schema}.data_keys k
       ON k.subject_id = a.subject_id AND k.version = a.version AND s.status = 1;

-- name: keys_of_subjects
-- Status and name of each of the subjects $1, and every version of its key, the oldest first; one
-- row without a key, if it is not active. With each, and where there is none, how far the key store
-- has followed the ledger of fences.
SELECT q.ledger_no, f.*
  FROM {schema}.key_store q
  LEFT JOIN (SELECT s.subject_id, s.status, s.name, k.version, k.wrapped, k.master_key
               FROM {schema}.subjects s
               LEFT JOIN {schema}.data_keys k ON k.subject_id = s.subject_id AND s.status = 1
              WHERE s.subject_id = ANY ($1::uuid[])
                AND (s.status <> 1 OR k.version IS NOT NULL)) f ON true
 ORDER BY f.subject_id, f.version;

-- name: add_key_version
-- The next version of the key of the active subject $1, which is $2, if nobody else has made it.
INSERT INTO {schema}.data_keys (subject_id, version, wrapped, master_key)
SELECT s.subject_id, $2::integer, $3::bytea, $4::text FROM {schema}.subjects s
 WHERE s.subject_id = $1::uuid AND s.status = 1
   FOR SHARE
    ON CONFLICT DO NOTHING
RETURNING version;

-- name: fence_subject
-- Gives no key of the subject with the hash $1 away from here on; $2 becomes its id, if it never
-- had a key.
INSERT INTO {schema}.subjects AS s (subject_id, subject_hash, status) VALUES ($2::uuid, $1, 2)
    ON CONFLICT (subject_hash) WHERE readmitted_at IS NULL
    DO UPDATE SET status = greatest(s.status, 2)
RETURNING subject_id, status;

-- name: destroy_keys
SELECT {schema}.destroy_keys_v1($1::uuid) AS keys;

-- name: readmit_subject
-- Lets the erased subject with the hash $1 have keys again, under a new id.
UPDATE {schema}.subjects s SET readmitted_at = clock_timestamp()
 WHERE s.subject_hash = $1::bytea AND s.readmitted_at IS NULL AND s.status = 3
RETURNING subject_id;

-- name: follow_ledger
SELECT done, subject_id FROM {schema}.follow_ledger_v1($1, $2, $3, $4, $5);

-- name: keys_to_rewrap
-- The first $4 keys behind ($2, $3) that another master key than $1 wrapped.
SELECT {key_row} FROM {schema}.data_keys k
 WHERE k.master_key <> $1::text AND (k.subject_id, k.version) > ($2::uuid, $3::integer)
 ORDER BY k.subject_id, k.version LIMIT $4::integer;

-- name: rewrap_keys
-- Puts keys that are wrapped anew in the place of those that were read, where these still stand.
UPDATE {schema}.data_keys k SET wrapped = a.wrapped, master_key = a.master_key
  FROM unnest($1::uuid[], $2::integer[], $3::bytea[], $4::bytea[], $5::text[])
       AS a (subject_id, version, old, wrapped, master_key)
 WHERE k.subject_id = a.subject_id AND k.version = a.version AND k.wrapped = a.old
RETURNING k.subject_id;

-- name: rewrap_index_key
UPDATE {schema}.key_store s SET index_key = $2::bytea, index_master_key = $3::text
 WHERE s.index_key = $1::bytea;

-- name: keys_left_to_rewrap
SELECT count(*) FROM {schema}.data_keys k WHERE k.master_key <> $1::text;

-- fragment: subject_row
s.subject_id, s.name, s.subject_hash, s.status, s.created_at, s.erased_at, s.readmitted_at,
       s.keys_destroyed,
       (SELECT coalesce(max(k.version), 0) FROM {schema}.data_keys k
         WHERE k.subject_id = s.subject_id) AS newest_version,
       (SELECT count(*) FROM {schema}.data_keys k WHERE k.subject_id = s.subject_id) AS keys

-- name: subject_by_hash
-- The row that stands for a name.
SELECT {subject_row} FROM {schema}.subjects s
 WHERE s.subject_hash = $1::bytea AND s.readmitted_at IS NULL;

-- name: subject_by_id
SELECT {subject_row} FROM {schema}.subjects s WHERE s.subject_id = $1::uuid;

-- name: list_subjects
-- The first $4 subjects behind the id $1 with the status $2 (NULL: any), of the category $3 (NULL:
-- any; erased ones have none).
SELECT {subject_row} FROM {schema}.subjects s
 WHERE s.subject_id > $1::uuid AND ($2::smallint IS NULL OR s.status = $2)
   AND ($3::text IS NULL OR split_part(s.name, '-', 1) = $3)
 ORDER BY s.subject_id LIMIT $4::integer;

-- name: active_of_category
-- Ids of the first $3 active subjects of the category $1 behind the id $2, and the newest version
-- of each.
SELECT s.subject_id,
       (SELECT max(k.version) FROM {schema}.data_keys k WHERE k.subject_id = s.subject_id)
       AS newest_version
  FROM {schema}.subjects s
 WHERE s.status = 1 AND split_part(s.name, '-', 1) = $1::text AND s.subject_id > $2::uuid
 ORDER BY s.subject_id LIMIT $3::integer;

-- name: key_figures
-- Subjects by status, and active ones by the newest version of their keys (version 0: by status).
SELECT s.status, 0 AS version, count(*) AS subjects FROM {schema}.subjects s GROUP BY s.status
UNION ALL
SELECT 1, v.version, count(*)
  FROM (SELECT max(k.version) AS version
          FROM {schema}.data_keys k JOIN {schema}.subjects s ON s.subject_id = k.subject_id
         WHERE s.status = 1 GROUP BY k.subject_id) v
 GROUP BY v.version
 ORDER BY 1, 2;
