-- Erasures of subjects. They tell a subject by the keyed hash of its name, and never the name.
CREATE TABLE {schema}.erasures (
    erasure_no        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    erasure_id        uuid        NOT NULL UNIQUE,
    subject_hash      bytea       NOT NULL CHECK (octet_length(subject_hash) = 32),
    -- In the key store; NULL: it is not known before the fence.
    subject_id        uuid,
    reason            text        NOT NULL,
    -- Of the plan, lower-case hexadecimal, and what it said, as JSON; NULL: it was done again from
    -- the ledger of fences, without a plan.
    plan_digest       text,
    plan              text,
    -- The number of the proto's ErasureState.
    state             smallint    NOT NULL DEFAULT 1 CHECK (state BETWEEN 1 AND 6),
    requested_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    requested_by      text        NOT NULL,
    -- The fence: its entry in the ledger, and the version of the catalogue that servers must have
    -- seen until nobody uses a key any more.
    ledger_no         bigint,
    ledger_digest     bytea,
    catalogue_version bigint,
    fenced_at         timestamptz,
    keys_destroyed_at timestamptz,
    keys_destroyed    integer     NOT NULL DEFAULT 0,
    -- Servers that said that they have thrown the keys away, and those whose leases ran out.
    evicted_at        timestamptz,
    acknowledged      integer     NOT NULL DEFAULT 0,
    expired           integer     NOT NULL DEFAULT 0,
    -- Generations of projections with a higher number were begun when nobody had a key any more.
    generation_mark   bigint,
    -- Events with sealed values, kept states and rows of projections that were dropped or made
    -- anew, projections that are built anew and waited for, and those that were dropped since
    -- they cannot be.
    events            bigint      NOT NULL DEFAULT 0,
    kept_states       bigint      NOT NULL DEFAULT 0,
    rows              bigint      NOT NULL DEFAULT 0,
    projections       text[]      NOT NULL DEFAULT '{}',
    waiting           text[]      NOT NULL DEFAULT '{}',
    projections_dropped text[]    NOT NULL DEFAULT '{}',
    scrubbed_at       timestamptz,
    announced_at      timestamptz,
    ended_at          timestamptz,
    -- JSON; it stands with the end.
    receipt           text,
    -- The fencing token: it goes up with each server process that takes the job.
    lease             bigint      NOT NULL DEFAULT 0,
    -- By PostgreSQL's clock; NULL: nobody has it.
    lease_until       timestamptz,
    CHECK ((state < 2) = (ledger_no IS NULL)),
    CHECK ((state < 2) OR subject_id IS NOT NULL),
    CHECK ((state < 3) = (generation_mark IS NULL)),
    CHECK ((state = 6) = (receipt IS NOT NULL))
);
-- One at a time of a subject.
CREATE UNIQUE INDEX erasures_open ON {schema}.erasures (subject_hash) WHERE state < 6;
CREATE INDEX erasures_subject ON {schema}.erasures (subject_hash, erasure_no);
CREATE INDEX erasures_ledger ON {schema}.erasures (ledger_no);

-- Streams that an erasure deletes, with all that belongs to them: first streams of their lines.
CREATE TABLE {schema}.erasure_streams (
    erasure_no  bigint NOT NULL REFERENCES {schema}.erasures,
    stream      text   COLLATE "C" NOT NULL,
    PRIMARY KEY (erasure_no, stream)
);

-- What must not be erased or deleted, until it is released.
CREATE TABLE {schema}.legal_holds (
    name         text        COLLATE "C" PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 128),
    -- What is held: a subject, by the keyed hash of its name, or the line of a stream, by its
    -- first.
    subject_hash bytea       CHECK (octet_length(subject_hash) = 32),
    stream       text        COLLATE "C",
    reason       text        NOT NULL,
    put_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by       text        NOT NULL,
    CHECK ((subject_hash IS NULL) <> (stream IS NULL))
);
