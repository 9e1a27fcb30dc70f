-- The key store: data keys of subjects, wrapped. {schema} stands for the quoted name of its schema,
-- which holds nothing of the log, so that backups of the log hold no keys.

-- One row that says which key store this is.
CREATE TABLE {schema}.key_store (
    only_row         boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Never changes; what is wrapped is bound to it.
    key_store_id     uuid        NOT NULL DEFAULT gen_random_uuid(),
    -- The log whose keys these are; NULL until the first server came.
    store_id         uuid,
    -- The key of subject hashes, wrapped as data keys are; NULL until the first server came.
    index_key        bytea,
    index_master_key text        COLLATE "C",
    -- How far it has followed the ledger of fences, and the digest of that entry.
    ledger_no        bigint      NOT NULL DEFAULT 0 CHECK (ledger_no >= 0),
    ledger_digest    bytea,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((index_key IS NULL) = (index_master_key IS NULL)),
    CHECK ((ledger_no = 0) = (ledger_digest IS NULL))
);

INSERT INTO {schema}.key_store DEFAULT VALUES;

CREATE TABLE {schema}.subjects (
    subject_id    uuid        PRIMARY KEY,
    -- As streams are named; NULL once it is erased, and of one that never had a key.
    name          text        COLLATE "C" CHECK (octet_length(name) BETWEEN 1 AND 255),
    -- HMAC-SHA256 of the name under the index key: what stands where a name must not.
    subject_hash  bytea       NOT NULL CHECK (octet_length(subject_hash) = 32),
    -- 1 active, 2 fenced: no key of it is given away any more, 3 erased: its keys are gone.
    status        smallint    NOT NULL DEFAULT 1 CHECK (status IN (1, 2, 3)),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at     timestamptz,
    -- Keys that it had when it was erased.
    keys_destroyed integer    NOT NULL DEFAULT 0 CHECK (keys_destroyed >= 0),
    -- A later row stands for the name since then.
    readmitted_at timestamptz,
    CHECK (status <> 1 OR name IS NOT NULL),
    CHECK ((status = 3) = (erased_at IS NOT NULL)),
    CHECK (status <> 3 OR name IS NULL),
    CHECK (readmitted_at IS NULL OR status = 3)
);

-- One row stands for a name, whatever its status: nobody gets a key silently again.
CREATE UNIQUE INDEX subjects_present ON {schema}.subjects (subject_hash)
    WHERE readmitted_at IS NULL;

CREATE INDEX subjects_category ON {schema}.subjects (split_part(name, '-', 1), subject_id)
    WHERE status = 1;

CREATE TABLE {schema}.data_keys (
    subject_id uuid        NOT NULL REFERENCES {schema}.subjects,
    -- From 1; the highest seals.
    version    integer     NOT NULL CHECK (version >= 1),
    -- Overwritten when another master key wraps it.
    wrapped    bytea       NOT NULL CHECK (octet_length(wrapped) > 0),
    -- Which master key wrapped it, as the key provider names it.
    master_key text        COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subject_id, version)
);

CREATE INDEX data_keys_master_key ON {schema}.data_keys (master_key);

-- Destroys all keys of a fenced subject, and its name; how many keys that were, by this call or an
-- earlier one. NULL: the subject is not fenced.
CREATE FUNCTION {schema}.destroy_keys_v1(p_subject_id uuid) RETURNS integer
LANGUAGE plpgsql AS $function$
DECLARE
    _status smallint;
    _keys   integer;
BEGIN
    SELECT s.status, s.keys_destroyed INTO _status, _keys
      FROM {schema}.subjects s WHERE s.subject_id = p_subject_id FOR UPDATE;
    IF _status IS DISTINCT FROM 2 THEN
        RETURN CASE WHEN _status = 3 THEN _keys END;
    END IF;
    DELETE FROM {schema}.data_keys k WHERE k.subject_id = p_subject_id;
    GET DIAGNOSTICS _keys = ROW_COUNT;
    UPDATE {schema}.subjects s
       SET status = 3, name = NULL, erased_at = clock_timestamp(), keys_destroyed = _keys
     WHERE s.subject_id = p_subject_id;
    RETURN _keys;
END
$function$;

-- Does what the entry p_no of the ledger of fences says of the subject with a hash: a fence
-- destroys its keys. Each entry once, and in order: `done` is false for one that comes too early.
-- p_new_id becomes the id of one that never had a key.
CREATE FUNCTION {schema}.follow_ledger_v1(
    p_no           bigint,
    p_digest       bytea,
    p_fence        boolean,
    p_subject_hash bytea,
    p_new_id       uuid,
    OUT done       boolean,
    OUT subject_id uuid
) LANGUAGE plpgsql AS $function$
#variable_conflict use_column
DECLARE
    _followed bigint;
BEGIN
    SELECT k.ledger_no INTO _followed FROM {schema}.key_store k FOR UPDATE;
    done := _followed >= p_no - 1;
    IF _followed = p_no - 1 AND p_fence THEN
        INSERT INTO {schema}.subjects AS s (subject_id, subject_hash, status)
        VALUES (p_new_id, p_subject_hash, 2)
            ON CONFLICT (subject_hash) WHERE readmitted_at IS NULL
            DO UPDATE SET status = greatest(s.status, 2);
    END IF;
    SELECT s.subject_id INTO follow_ledger_v1.subject_id FROM {schema}.subjects s
     WHERE s.subject_hash = p_subject_hash AND s.readmitted_at IS NULL;
    IF _followed = p_no - 1 THEN
        IF p_fence THEN
            PERFORM {schema}.destroy_keys_v1(follow_ledger_v1.subject_id);
        ELSE
            UPDATE {schema}.subjects s SET readmitted_at = clock_timestamp()
             WHERE s.subject_id = follow_ledger_v1.subject_id AND s.status = 3;
        END IF;
        UPDATE {schema}.key_store k SET ledger_no = p_no, ledger_digest = p_digest;
    END IF;
END
$function$;

-- Which migrations were applied, and what they held then.
CREATE TABLE {schema}.migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    digest     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
