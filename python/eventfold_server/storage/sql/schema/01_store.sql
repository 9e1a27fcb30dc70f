-- One row that says which store this is.
CREATE TABLE {schema}.store (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Never changes, not even by a restore.
    store_id    uuid        NOT NULL DEFAULT gen_random_uuid(),
    -- Changes when the product's own restore is used; informative.
    incarnation uuid        NOT NULL DEFAULT gen_random_uuid(),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row that every append locks: it makes positions dense and ordered by commit.
CREATE TABLE {schema}.counter (
    only_row          boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Position of the newest event; 0: the log is empty.
    position          bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- No event to come is recorded before this time; it never decreases.
    recorded_at       timestamptz NOT NULL DEFAULT '-infinity',
    -- Goes up with every change of a rule that appends are checked against.
    catalogue_version bigint      NOT NULL DEFAULT 1 CHECK (catalogue_version >= 1)
-- A low fill factor leaves room for the dead versions of the hottest row of all, so that its
-- updates stay on one page (HOT); small thresholds make autovacuum visit it often.
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Makes every append be checked again, under the rules that its transaction leaves behind; the new
-- version of the catalogue. Locks the counter: no append is between check and commit meanwhile.
-- Steps are of a random width: a store that was restored, or went on from a standby that had not
-- heard of the last changes, does not come to the number again that they had.
CREATE FUNCTION {schema}.catalogue_changed_v1() RETURNS bigint LANGUAGE sql AS $function$
    UPDATE {schema}.counter c
       SET catalogue_version = c.catalogue_version + 1 + (random() * 1000000)::bigint
    RETURNING c.catalogue_version
$function$;

-- The version of the catalogue as it is now.
CREATE FUNCTION {schema}.catalogue_version_v1() RETURNS bigint LANGUAGE sql STABLE AS $function$
    SELECT c.catalogue_version FROM {schema}.counter c
$function$;

-- Which migrations were applied, and what they held then.
CREATE TABLE {schema}.migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    -- SHA-256 of the file, lower-case hexadecimal: a changed old migration is refused at start.
    digest     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO {schema}.store DEFAULT VALUES;
INSERT INTO {schema}.counter DEFAULT VALUES;
