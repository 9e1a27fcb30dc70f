-- The registered folds.

-- name: incomplete_folds
-- Revisions that a server registered which knew no kept digests.
SELECT name, revision, source FROM {schema}.folds WHERE kept_digest IS NULL
 ORDER BY name, revision LIMIT $1;

-- name: complete_fold
-- Adds what such a server left out.
UPDATE {schema}.folds SET kept_digest = $3, keep_every = $4
 WHERE name = $1 AND revision = $2 AND kept_digest IS NULL;

-- name: put_fold
SELECT revision, source, put_at, put_by, created FROM {schema}.put_fold_v2($1, $2, $3, $4, $5, $6);

-- name: fold
-- A revision of a fold; revision 0 is the newest.
SELECT name, revision, digest, source, put_at, put_by FROM {schema}.folds
 WHERE name = $1 AND ($2::bigint = 0 OR revision = $2) ORDER BY revision DESC LIMIT 1;

-- name: folds_page
-- Newest revisions of folds whose name is after $1, in byte order.
SELECT DISTINCT ON (name) name, revision, digest, source, put_at, put_by FROM {schema}.folds
 WHERE name > $1 ORDER BY name, revision DESC LIMIT $2;
