-- Registered folds; a name keeps all of its revisions.
CREATE TABLE {schema}.folds (
    name     text        COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 128),
    -- Counts from 1 by name.
    revision bigint      NOT NULL CHECK (revision >= 1),
    -- SHA-256 of the normal form, lower-case hexadecimal.
    digest   text        COLLATE "C" NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    -- The document as it came in.
    source   text        NOT NULL CHECK (octet_length(source) <= 65536),
    put_at   timestamptz NOT NULL,
    put_by   text        NOT NULL,
    -- SHA-256 of digest and initial state: names kept states. NULL: a server registered it that did
    -- not know of this yet.
    kept_digest text     COLLATE "C" CHECK (kept_digest ~ '^[0-9a-f]{64}$'),
    -- Events between two kept states; 0: none are kept; NULL: the document does not say.
    keep_every  bigint   CHECK (keep_every >= 0),
    PRIMARY KEY (name, revision)
);

-- Registers a fold, unless the newest revision of the name has the same digest.
CREATE FUNCTION {schema}.put_fold_v1(
    p_name   text,
    p_digest text,
    p_source text,
    p_by     text,
    OUT revision bigint,
    OUT source   text,
    OUT put_at   timestamptz,
    OUT put_by   text,
    OUT created  boolean
) LANGUAGE plpgsql AS $function$
DECLARE
    v_digest text;
BEGIN
    -- Puts are rare; one at a time keeps revisions dense. Readers are not held up.
    LOCK TABLE {schema}.folds IN SHARE ROW EXCLUSIVE MODE;
    SELECT f.revision, f.digest, f.source, f.put_at, f.put_by
      INTO put_fold_v1.revision, v_digest, put_fold_v1.source, put_fold_v1.put_at,
           put_fold_v1.put_by
      FROM {schema}.folds f WHERE f.name = p_name ORDER BY f.revision DESC LIMIT 1;
    created := v_digest IS DISTINCT FROM p_digest;
    IF created THEN
        INSERT INTO {schema}.folds AS f (name, revision, digest, source, put_at, put_by)
        VALUES (p_name, coalesce(put_fold_v1.revision, 0) + 1, p_digest, p_source,
                clock_timestamp(), p_by)
        RETURNING f.revision, f.source, f.put_at, f.put_by
             INTO put_fold_v1.revision, put_fold_v1.source, put_fold_v1.put_at,
                  put_fold_v1.put_by;
    END IF;
END
$function$;

-- Registers a fold, unless the newest revision of the name has the same kept digest and says the
-- same about keeping.
CREATE FUNCTION {schema}.put_fold_v2(
    p_name        text,
    p_digest      text,
    p_kept_digest text,
    p_keep_every  bigint,
    p_source      text,
    p_by          text,
    OUT revision bigint,
    OUT source   text,
    OUT put_at   timestamptz,
    OUT put_by   text,
    OUT created  boolean
) LANGUAGE plpgsql AS $function$
DECLARE
    v_kept_digest text;
    v_keep_every  bigint;
BEGIN
    -- Puts are rare; one at a time keeps revisions dense. Readers are not held up.
    LOCK TABLE {schema}.folds IN SHARE ROW EXCLUSIVE MODE;
    -- Of a document that a server of before registered, the same text tells all.
    UPDATE {schema}.folds f SET kept_digest = p_kept_digest, keep_every = p_keep_every
     WHERE f.name = p_name AND f.source = p_source AND f.kept_digest IS NULL;
    SELECT f.revision, f.kept_digest, f.keep_every, f.source, f.put_at, f.put_by
      INTO put_fold_v2.revision, v_kept_digest, v_keep_every, put_fold_v2.source,
           put_fold_v2.put_at, put_fold_v2.put_by
      FROM {schema}.folds f WHERE f.name = p_name ORDER BY f.revision DESC LIMIT 1;
    created := (v_kept_digest, v_keep_every) IS DISTINCT FROM (p_kept_digest, p_keep_every);
    IF created THEN
        INSERT INTO {schema}.folds AS f
               (name, revision, digest, kept_digest, keep_every, source, put_at, put_by)
        VALUES (p_name, coalesce(put_fold_v2.revision, 0) + 1, p_digest, p_kept_digest,
                p_keep_every, p_source, clock_timestamp(), p_by)
        RETURNING f.revision, f.source, f.put_at, f.put_by
             INTO put_fold_v2.revision, put_fold_v2.source, put_fold_v2.put_at,
                  put_fold_v2.put_by;
    END IF;
END
$function$;

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
