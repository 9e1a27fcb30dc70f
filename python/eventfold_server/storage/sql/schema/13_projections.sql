-- Numbers of generations and leases of projections. A later lease has a higher number.
CREATE SEQUENCE {schema}.projection_numbers AS bigint;

-- A column of a projection whose values may be personal: sealed, or of a row into which no personal
-- value went.
CREATE DOMAIN {schema}.sealed_text AS text COLLATE "C"
    CHECK (VALUE LIKE '$sealed:1:%' OR VALUE LIKE '$plain:%');

-- Projections. Each generation has a table of its own, `projection_` and its generation_no, which
-- storage/sql/projections.sql describes.
CREATE TABLE {schema}.projections (
    projection_no bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        COLLATE "C" NOT NULL UNIQUE
                              CHECK (octet_length(name) BETWEEN 1 AND 63),
    -- generation_no of what queries see; NULL: none has caught up yet.
    active        bigint,
    -- Number that the next generation gets.
    next          bigint      NOT NULL DEFAULT 1 CHECK (next >= 1)
);

CREATE TABLE {schema}.projection_generations (
    generation_no bigint      PRIMARY KEY DEFAULT nextval('{schema}.projection_numbers'),
    projection_no bigint      NOT NULL REFERENCES {schema}.projections,
    -- Counts from 1 within the projection.
    generation    bigint      NOT NULL CHECK (generation >= 1),
    -- The document as it came in.
    source        text        NOT NULL,
    -- The registered fold that it reuses: name, revision and document; NULL: its fold is its own.
    fold_name     text        COLLATE "C",
    fold_revision bigint,
    fold_source   text,
    -- SHA-256 of the normal form of both, lower-case hexadecimal.
    digest        text        NOT NULL,
    -- The numbers of the proto's GenerationState and ProjectionSwitch.
    state         smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 4),
    switch        smallint    NOT NULL CHECK (switch BETWEEN 1 AND 3),
    -- What the last verification found, as the fields of the proto's Verification; NULL: none.
    verification  jsonb,
    put_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by        text        NOT NULL,
    caught_up_at  timestamptz,
    switched_at   timestamptz,
    -- Under which catalogue it began to read; 0: before there was one.
    catalogue_version bigint  NOT NULL DEFAULT {schema}.catalogue_version_v1(),
    UNIQUE (projection_no, generation),
    CHECK ((fold_name IS NULL) = (fold_source IS NULL)),
    CHECK ((fold_name IS NULL) = (fold_revision IS NULL))
);

-- How far a generation is, and who builds it: written with every batch, apart from what rarely
-- changes, and with room on the page for its dead versions.
CREATE TABLE {schema}.projection_progress (
    generation_no bigint           PRIMARY KEY
                                   REFERENCES {schema}.projection_generations ON DELETE CASCADE,
    -- Position up to which all events of its source are in its table, or on the lists below.
    position      bigint           NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- Events that were folded.
    events        bigint           NOT NULL DEFAULT 0 CHECK (events >= 0),
    -- Positions that it passes in a second, of late.
    rate          double precision NOT NULL DEFAULT 0 CHECK (rate >= 0),
    -- Why it stopped at the event behind its position: reason, message and facts of the error.
    -- NULL: it did not.
    stopped       jsonb,
    -- The fencing token: it goes up with each server process that takes the generation.
    lease         bigint           NOT NULL DEFAULT 0 CHECK (lease >= 0),
    -- By PostgreSQL's clock; NULL: nobody has it.
    lease_until   timestamptz
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- Keys whose events are set aside since one failed, and the events of each.
CREATE TABLE {schema}.projection_parked_keys (
    generation_no bigint      NOT NULL
                              REFERENCES {schema}.projection_generations ON DELETE CASCADE,
    key           text        COLLATE "C" NOT NULL,
    -- Reason, message and facts of the error.
    error         jsonb       NOT NULL,
    parked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (generation_no, key)
);

CREATE TABLE {schema}.projection_parked_events (
    generation_no bigint NOT NULL,
    key           text   COLLATE "C" NOT NULL,
    position      bigint NOT NULL CHECK (position >= 1),
    PRIMARY KEY (generation_no, key, position),
    FOREIGN KEY (generation_no, key) REFERENCES {schema}.projection_parked_keys ON DELETE CASCADE
);

-- Takes a generation out of the store. Its table goes by `projection_sweep_v1`, which need not wait
-- for those who read it. First its progress: a batch under way ends before, and none comes after.
CREATE FUNCTION {schema}.projection_forget_v1(p_generation_no bigint)
RETURNS void LANGUAGE plpgsql
AS $function$
BEGIN
    DELETE FROM {schema}.projection_progress p WHERE p.generation_no = p_generation_no;
    DELETE FROM {schema}.projection_generations g WHERE g.generation_no = p_generation_no;
END
$function$;

-- Takes a generation away from the server process that has it: whoever takes it next reads its
-- document anew.
CREATE FUNCTION {schema}.projection_fence_v1(p_generation_no bigint)
RETURNS void LANGUAGE sql
AS $function$
    UPDATE {schema}.projection_progress p
       SET lease = nextval('{schema}.projection_numbers'), lease_until = NULL
     WHERE p.generation_no = p_generation_no
$function$;

-- Registers a document. The same as the one that is being built, or as the active one if that is
-- not, stays the generation that it is; another one becomes the generation p_generation_no, with
-- the table that the statements p_table make. p_basis: the generation whose document is built anew,
-- whatever it says; outcome `moved` if it is not the last that was put any more, and nothing is
-- done.
CREATE FUNCTION {schema}.projection_put_v1(
    p_name text, p_generation_no bigint, p_source text, p_fold_name text, p_fold_revision bigint,
    p_fold_source text, p_digest text, p_switch smallint, p_writer text, p_table text,
    p_basis bigint)
RETURNS TABLE (outcome text, generation bigint) LANGUAGE plpgsql
AS $function$
DECLARE
    _projection bigint;
    _next       bigint;
    _last       bigint;
    _building   {schema}.projection_generations;
    _same       {schema}.projection_generations;
BEGIN
    LOOP
        SELECT p.projection_no, p.next INTO _projection, _next
          FROM {schema}.projections p WHERE p.name = p_name FOR UPDATE;
        EXIT WHEN FOUND;
        IF p_basis IS NOT NULL THEN
            RETURN QUERY SELECT 'moved', 0::bigint;
            RETURN;
        END IF;
        INSERT INTO {schema}.projections (name) VALUES (p_name) ON CONFLICT (name) DO NOTHING;
    END LOOP;
    SELECT g.generation_no INTO _last FROM {schema}.projection_generations g
     WHERE g.projection_no = _projection ORDER BY g.put_at DESC, g.generation DESC LIMIT 1;
    IF p_basis <> coalesce(_last, 0) THEN
        RETURN QUERY SELECT 'moved', 0::bigint;
        RETURN;
    END IF;
    SELECT * INTO _building FROM {schema}.projection_generations g
     WHERE g.projection_no = _projection AND g.state IN (1, 2);
    IF p_basis IS NULL THEN
        SELECT * INTO _same FROM {schema}.projection_generations g
         WHERE g.projection_no = _projection AND g.state IN (1, 2, 3) AND g.digest = p_digest
         ORDER BY g.state LIMIT 1;
    END IF;
    IF _building.generation_no <> coalesce(_same.generation_no, 0) THEN
        PERFORM {schema}.projection_forget_v1(_building.generation_no);
    END IF;
    IF _same.generation_no IS NOT NULL THEN
        UPDATE {schema}.projection_generations g
           SET switch = p_switch, source = p_source, fold_name = p_fold_name,
               fold_revision = p_fold_revision, fold_source = p_fold_source
         WHERE g.generation_no = _same.generation_no;
        IF _same.source <> p_source THEN
            PERFORM {schema}.projection_fence_v1(_same.generation_no);
        END IF;
        RETURN QUERY SELECT 'same', _same.generation;
        RETURN;
    END IF;
    INSERT INTO {schema}.projection_generations
           (generation_no, projection_no, generation, source, fold_name, fold_revision, fold_source,
            digest, switch, put_by)
    VALUES (p_generation_no, _projection, _next, p_source, p_fold_name, p_fold_revision,
            p_fold_source, p_digest, p_switch, p_writer);
    INSERT INTO {schema}.projection_progress (generation_no) VALUES (p_generation_no);
    UPDATE {schema}.projections p SET next = p.next + 1 WHERE p.projection_no = _projection;
    EXECUTE p_table;
    RETURN QUERY SELECT 'created', _next;
END
$function$;

-- Gives the active generation p_generation_no another document, if it still has the one with the
-- digest p_before, and lets one that is being built go. NULL: it has not.
CREATE FUNCTION {schema}.projection_replace_v1(
    p_generation_no bigint, p_before text, p_source text, p_fold_name text, p_fold_revision bigint,
    p_fold_source text, p_digest text, p_switch smallint, p_writer text)
RETURNS bigint LANGUAGE plpgsql
AS $function$
DECLARE
    _projection bigint;
    _generation bigint;
BEGIN
    SELECT p.projection_no INTO _projection FROM {schema}.projections p
     WHERE p.active = p_generation_no FOR UPDATE;
    PERFORM {schema}.projection_forget_v1(g.generation_no)
       FROM {schema}.projection_generations g
       JOIN {schema}.projection_generations a ON a.generation_no = p_generation_no
      WHERE g.projection_no = _projection AND g.state IN (1, 2) AND a.digest = p_before;
    UPDATE {schema}.projection_generations g
       SET source = p_source, fold_name = p_fold_name, fold_revision = p_fold_revision,
           fold_source = p_fold_source, digest = p_digest, switch = p_switch, verification = NULL,
           put_at = clock_timestamp(), put_by = p_writer
     WHERE g.generation_no = p_generation_no AND g.projection_no = _projection
       AND g.digest = p_before
    RETURNING g.generation INTO _generation;
    IF _generation IS NOT NULL THEN
        PERFORM {schema}.projection_fence_v1(p_generation_no);
    END IF;
    RETURN _generation;
END
$function$;

-- Makes the view p_view show what the query p_rows answers. Where its columns stay as they are, it
-- stays the same object; else grants on it are given anew. Never waits long for those who read it:
-- others would have to wait behind.
CREATE FUNCTION {schema}.projection_view_v1(
    p_schema text, p_view text, p_rows text, p_wait interval)
RETURNS void LANGUAGE plpgsql
AS $function$
DECLARE
    _grants text[];
    _grant  text;
BEGIN
    -- The owner of the database may not let the server make schemas: then there are no views.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n
                    WHERE n.nspname = p_schema AND has_schema_privilege(n.oid, 'CREATE')) THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', (extract(epoch FROM p_wait) * 1000)::integer::text, true);
    IF p_rows IS NULL THEN
        EXECUTE format('DROP VIEW IF EXISTS %I.%I', p_schema, p_view);
        RETURN;
    END IF;
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS %s', p_schema, p_view, p_rows);
        RETURN;
    EXCEPTION WHEN invalid_table_definition THEN
        -- Other columns.
        NULL;
    END;
    SELECT array_agg(format('GRANT %s ON %I.%I TO %s', a.privilege_type, p_schema, p_view,
                            CASE a.grantee WHEN 0 THEN 'PUBLIC'
                                           ELSE quote_ident(pg_get_userbyid(a.grantee)) END))
      INTO _grants
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL aclexplode(c.relacl) a
     WHERE n.nspname = p_schema AND c.relname = p_view AND a.grantee <> c.relowner;
    EXECUTE format('DROP VIEW %I.%I', p_schema, p_view);
    EXECUTE format('CREATE VIEW %I.%I AS %s', p_schema, p_view, p_rows);
    FOREACH _grant IN ARRAY coalesce(_grants, '{}') LOOP
        EXECUTE _grant;
    END LOOP;
END
$function$;

-- Lets queries see the generation p_generation_no of a projection. The active one before goes on
-- standby, and the one that was on standby goes. p_ahead: not before it has what the active one
-- has, so that nobody who asks twice goes back in time. p_lease: only if that lease has it still.
-- Answers `switched`, `active` (it was already), `gone`, `building` or `behind`.
CREATE FUNCTION {schema}.projection_switch_v1(
    p_generation_no bigint, p_lease bigint, p_ahead boolean, p_schema text, p_rows text,
    p_wait interval)
RETURNS text LANGUAGE plpgsql
AS $function$
DECLARE
    _projection {schema}.projections;
    _state      smallint;
    _standby    bigint;
BEGIN
    SELECT p.* INTO _projection FROM {schema}.projections p
     WHERE p.projection_no = (SELECT g.projection_no FROM {schema}.projection_generations g
                               WHERE g.generation_no = p_generation_no)
       FOR UPDATE;
    -- What it is now, since others may have had the lock.
    SELECT g.state INTO _state FROM {schema}.projection_generations g
     WHERE g.generation_no = p_generation_no;
    IF _state IS NULL THEN
        RETURN 'gone';
    ELSIF _state = 1 THEN
        RETURN 'building';
    ELSIF _state = 3 THEN
        RETURN 'active';
    END IF;
    -- Both stay where they are until the end.
    PERFORM FROM {schema}.projection_progress p
      WHERE p.generation_no IN (p_generation_no, _projection.active)
      ORDER BY p.generation_no FOR UPDATE;
    IF p_lease <> (SELECT p.lease FROM {schema}.projection_progress p
                    WHERE p.generation_no = p_generation_no) THEN
        RETURN 'gone';
    END IF;
    IF p_ahead AND (SELECT p.position FROM {schema}.projection_progress p
                     WHERE p.generation_no = p_generation_no)
                   < (SELECT p.position FROM {schema}.projection_progress p
                       WHERE p.generation_no = _projection.active) THEN
        RETURN 'behind';
    END IF;
    SELECT g.generation_no INTO _standby FROM {schema}.projection_generations g
     WHERE g.projection_no = _projection.projection_no AND g.state = 4
       AND g.generation_no <> p_generation_no;
    IF _standby IS NOT NULL THEN
        PERFORM {schema}.projection_forget_v1(_standby);
    END IF;
    UPDATE {schema}.projection_generations g SET state = 4
     WHERE g.generation_no = _projection.active;
    UPDATE {schema}.projection_generations g SET state = 3, switched_at = clock_timestamp()
     WHERE g.generation_no = p_generation_no;
    UPDATE {schema}.projections p SET active = p_generation_no
     WHERE p.projection_no = _projection.projection_no;
    PERFORM {schema}.projection_view_v1(p_schema, _projection.name, p_rows, p_wait);
    RETURN 'switched';
END
$function$;

-- Drops a generation of a projection, or all of it (p_generation 0). Answers `dropped`, `gone`, or
-- `active` for a generation that queries see.
CREATE FUNCTION {schema}.projection_drop_v1(
    p_name text, p_generation bigint, p_schema text, p_wait interval)
RETURNS text LANGUAGE plpgsql
AS $function$
DECLARE
    _projection {schema}.projections;
    _state      smallint;
    _number     bigint;
BEGIN
    SELECT p.* INTO _projection FROM {schema}.projections p WHERE p.name = p_name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'gone';
    END IF;
    IF p_generation <> 0 THEN
        SELECT g.generation_no, g.state INTO _number, _state
          FROM {schema}.projection_generations g
         WHERE g.projection_no = _projection.projection_no AND g.generation = p_generation;
        IF _number IS NULL THEN
            RETURN 'gone';
        ELSIF _state = 3 THEN
            RETURN 'active';
        END IF;
        PERFORM {schema}.projection_forget_v1(_number);
        -- A projection without any generation is none.
        DELETE FROM {schema}.projections p
         WHERE p.projection_no = _projection.projection_no
           AND NOT EXISTS (SELECT FROM {schema}.projection_generations g
                            WHERE g.projection_no = p.projection_no);
        RETURN 'dropped';
    END IF;
    PERFORM {schema}.projection_forget_v1(g.generation_no)
       FROM (SELECT x.generation_no FROM {schema}.projection_generations x
              WHERE x.projection_no = _projection.projection_no ORDER BY x.generation_no) g;
    DELETE FROM {schema}.projections p WHERE p.projection_no = _projection.projection_no;
    PERFORM {schema}.projection_view_v1(p_schema, p_name, NULL, p_wait);
    RETURN 'dropped';
END
$function$;

-- Drops tables of generations that are gone, save those that somebody reads for longer than
-- p_wait; how many are left.
CREATE FUNCTION {schema}.projection_sweep_v1(p_schema text, p_wait interval)
RETURNS integer LANGUAGE plpgsql
AS $function$
DECLARE
    _table text;
    _left  integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', (extract(epoch FROM p_wait) * 1000)::integer::text, true);
    FOR _table IN
        SELECT c.relname FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = p_schema AND c.relkind = 'r' AND c.relname ~ '^projection_[0-9]+$'
           AND NOT EXISTS (SELECT FROM {schema}.projection_generations g
                            WHERE c.relname = 'projection_' || g.generation_no)
         ORDER BY c.relname
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE IF EXISTS %I.%I', p_schema, _table);
        EXCEPTION WHEN lock_not_available OR deadlock_detected OR dependent_objects_still_exist THEN
            _left := _left + 1;
        END;
    END LOOP;
    RETURN _left;
END
$function$;

-- Lets a role read all views of the schema p_schema, those that are made later too.
CREATE FUNCTION {schema}.projection_grant_v1(p_schema text, p_role text)
RETURNS void LANGUAGE plpgsql
AS $function$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', p_schema, p_role);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', p_schema, p_role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
                   p_schema, p_role);
END
$function$;

-- Makes a role that reads views. It may log in once somebody has given it a password.
CREATE FUNCTION {schema}.projection_role_v1(p_role text)
RETURNS void LANGUAGE plpgsql
AS $function$
BEGIN
    EXECUTE format('CREATE ROLE %I LOGIN', p_role);
END
$function$;

-- Makes the view of the active generation p_generation_no again, which a restored store may lack.
CREATE FUNCTION {schema}.projection_show_v1(
    p_generation_no bigint, p_schema text, p_rows text, p_wait interval)
RETURNS void LANGUAGE plpgsql
AS $function$
DECLARE
    _name text;
BEGIN
    SELECT p.name INTO _name FROM {schema}.projections p
     WHERE p.active = p_generation_no FOR UPDATE;
    IF FOUND THEN
        PERFORM {schema}.projection_view_v1(p_schema, _name, p_rows, p_wait);
    END IF;
END
$function$;
