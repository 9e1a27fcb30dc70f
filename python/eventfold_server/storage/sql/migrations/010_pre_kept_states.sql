-- The cache of states anew: with an index for the sweep that tells mappings too.
DROP TABLE IF EXISTS {schema}.kept_states;

-- A cache of states: dropped at any moment without harm, so that it need not be in the write-ahead
-- log (UNLOGGED: empty after a crash, absent on replicas). The key says of what the state is the
-- state: a fold, a mapping, a version of the core's semantics, a stream.
CREATE UNLOGGED TABLE {schema}.kept_states (
    stream_no      bigint      NOT NULL,
    -- Kept digest of the fold.
    fold_digest    text        COLLATE "C" NOT NULL,
    -- Empty: no mapping is in force for a type that the fold handles.
    mapping_digest text        COLLATE "C" NOT NULL,
    semantics      integer     NOT NULL,
    -- Version after which this was the state, and the event there: when the log has another one at
    -- that version, it is not the log that was folded.
    version        bigint      NOT NULL CHECK (version >= 1),
    event_id       uuid        NOT NULL,
    -- False: the fold had deleted the aggregate.
    alive          boolean     NOT NULL,
    -- JSON text.
    state          bytea       NOT NULL,
    kept_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream_no, fold_digest, mapping_digest, semantics)
) WITH (fillfactor = 70);
-- For the sweep of what no fold asks for any more.
CREATE INDEX kept_states_digest
    ON {schema}.kept_states (fold_digest, semantics, mapping_digest);
