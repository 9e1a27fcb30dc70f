-- Statements on the store as a whole: what it is, its migrations, its clock, its channel.

-- fragment: catalogue
-- The version of the catalogue.
(SELECT c.catalogue_version FROM {schema}.counter c) AS catalogue_version

-- name: settings
-- What the server must know before it trusts a database.
SELECT current_setting('server_version_num')::integer AS server_version,
       current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('server_encoding') AS server_encoding;

-- name: ping
-- Whether PostgreSQL answers.
SELECT 1;

-- name: schema_exists
-- Whether the store's schema has its table of migrations.
SELECT to_regclass($1 || '.migrations') IS NOT NULL;

-- name: kept_states_exists
-- Whether the cache of states is there, which may be dropped.
SELECT to_regclass($1 || '.kept_states') IS NOT NULL;

-- name: lock_migrations
-- One server at a time migrates; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('eventfold.migrations:' || $1, 0));

-- name: namespace_exists
-- CREATE SCHEMA IF NOT EXISTS needs its permission even for a schema that exists, which the owner
-- of a database may have made for a store that may not make its own.
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1);

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: create_query_schema
CREATE SCHEMA {query_schema};

-- name: role_exists
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1);

-- name: create_query_role
-- Makes a role that may log in once somebody gives it a password.
SELECT {schema}.projection_role_v1($1);

-- name: applied_migrations
SELECT number, name, digest FROM {schema}.migrations ORDER BY number;

-- name: note_migration
INSERT INTO {schema}.migrations (number, name, digest) VALUES ($1, $2, $3);

-- name: analyze
-- Statistics of the tables that plans depend on, after they were created.
ANALYZE {schema}.events, {schema}.streams;

-- name: store
SELECT store_id, incarnation, created_at FROM {schema}.store;

-- name: notify
-- Wakes the servers that listen on the channel $1; $2 is the position that the log has reached.
SELECT pg_notify($1, $2);

-- name: clock
-- PostgreSQL's clock.
SELECT clock_timestamp();
