-- Numbers of generations and leases of projections. A later lease has a higher number.
CREATE SEQUENCE {schema}.projection_numbers AS bigint;

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
    -- Why it stopped at the event behind its position: reason, message and facts of the error; NULL:
    -- it did not.
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
