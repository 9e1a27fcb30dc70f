-- Statements on leases of servers, and on fences.

-- name: renew_privacy_lease
SELECT catalogue_version, subject_ids, rotated, ledger_no
  FROM {schema}.renew_privacy_lease_v1($1, $2, $3);

-- name: end_privacy_lease
-- Ends the lease of the server $1, which has no key in memory any more.
DELETE FROM {schema}.privacy_servers s WHERE s.server_id = $1::uuid;

-- name: drop_privacy_leases
-- Forgets servers whose leases ran out long ago.
DELETE FROM {schema}.privacy_servers s WHERE s.expires_at < clock_timestamp() - interval '1 day';

-- name: privacy_leases_behind
-- How many servers may still use keys of subjects that were fenced up to the version $1, since
-- their leases ran out less than $2 milliseconds ago or have not yet.
SELECT count(*) FROM {schema}.privacy_servers s
 WHERE s.seen_catalogue_version < $1::bigint
   AND s.expires_at + $2::bigint * interval '1 millisecond' > clock_timestamp();

-- name: keys_rotated
SELECT {schema}.keys_rotated_v1() AS version;

-- name: fence_subject_in_log
SELECT {schema}.fence_subject_v1($1, $2, $3, $4, $5) AS catalogue_version;

-- name: readmit_subject_in_log
SELECT {schema}.readmit_subject_v1($1, $2, $3) AS done;

-- name: readmitted_in_log
-- The subject whose name was admitted again by the entry $1 of the ledger of fences.
SELECT f.subject_id FROM {schema}.fences f WHERE f.readmit_no = $1;

-- name: followed_in_log
-- The last entry of the ledger of fences that the log has followed.
SELECT e.number, e.digest
  FROM (SELECT f.ledger_no AS number, f.ledger_digest AS digest FROM {schema}.fences f
        UNION ALL
        SELECT f.readmit_no, f.readmit_digest FROM {schema}.fences f
         WHERE f.readmit_no IS NOT NULL) e
 ORDER BY e.number DESC LIMIT 1;
