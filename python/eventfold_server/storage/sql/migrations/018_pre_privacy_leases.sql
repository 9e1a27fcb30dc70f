-- Leases of servers that open personal data, and the fences that they follow.

-- A server process that may have data keys in memory. It may use them until its lease runs out.
CREATE TABLE {schema}.privacy_servers (
    server_id              uuid        PRIMARY KEY,
    started_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at             timestamptz NOT NULL,
    -- Its memory holds no key of a subject that was fenced up to this version of the catalogue.
    seen_catalogue_version bigint      NOT NULL
);

-- Who is to be forgotten, as the ledger of fences has it.
CREATE TABLE {schema}.fences (
    fence_no          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- HMAC-SHA256 of the subject's name: the log never holds the name here.
    subject_hash      bytea       NOT NULL CHECK (octet_length(subject_hash) = 32),
    -- In the key store; NULL if that did not know it.
    subject_id        uuid,
    -- The version of the catalogue from which on servers know, as they were told last.
    catalogue_version bigint      NOT NULL,
    fenced_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The entry of the ledger, and its digest.
    ledger_no         bigint      NOT NULL UNIQUE CHECK (ledger_no >= 1),
    ledger_digest     bytea       NOT NULL,
    -- The subject may have keys again since then, under another id.
    readmitted_at     timestamptz,
    readmit_no        bigint      UNIQUE CHECK (readmit_no > ledger_no),
    readmit_digest    bytea,
    -- The erasure that set it; NULL: it was done again from the ledger.
    erasure_no        bigint,
    CHECK ((readmitted_at IS NULL) = (readmit_no IS NULL)),
    CHECK ((readmit_no IS NULL) = (readmit_digest IS NULL))
);

CREATE UNIQUE INDEX fences_in_force ON {schema}.fences (subject_hash)
    WHERE readmitted_at IS NULL;
CREATE INDEX fences_catalogue_version ON {schema}.fences (catalogue_version);

-- The last time that data keys got new versions, or that a name got keys again: servers seal under
-- these from then on.
CREATE TABLE {schema}.key_rotation (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    catalogue_version bigint  NOT NULL
);

-- Has every server throw all data keys away, and look for them anew.
CREATE FUNCTION {schema}.keys_rotated_v1() RETURNS bigint LANGUAGE sql AS $function$
    INSERT INTO {schema}.key_rotation AS r (catalogue_version)
    VALUES ({schema}.catalogue_changed_v1())
        ON CONFLICT (only_row) DO UPDATE SET catalogue_version = excluded.catalogue_version
    RETURNING r.catalogue_version
$function$;

-- Fences a subject, as the entry p_ledger_no of the ledger says; the version of the catalogue from
-- which on servers know. One that stands is told once more: a server may have got keys since then
-- that an old backup of the key store brought back.
CREATE FUNCTION {schema}.fence_subject_v1(
    p_subject_hash  bytea,
    p_subject_id    uuid,
    p_ledger_no     bigint,
    p_ledger_digest bytea,
    p_erasure_no    bigint)
RETURNS bigint LANGUAGE plpgsql AS $function$
DECLARE
    _version  bigint;
    _fence_no bigint;
BEGIN
    -- One at a time, and between appends.
    PERFORM FROM {schema}.counter c FOR UPDATE;
    _version := {schema}.catalogue_changed_v1();
    SELECT f.fence_no INTO _fence_no FROM {schema}.fences f
     WHERE f.ledger_no = p_ledger_no
        OR f.subject_hash = p_subject_hash
           AND (f.readmitted_at IS NULL OR f.readmit_no > p_ledger_no)
     ORDER BY (f.ledger_no = p_ledger_no) DESC, f.fence_no DESC LIMIT 1;
    IF FOUND THEN
        -- The name of one that was admitted again may stand for another subject.
        UPDATE {schema}.fences f
           SET catalogue_version = _version,
               subject_id = CASE WHEN f.readmitted_at IS NULL
                                 THEN coalesce(f.subject_id, p_subject_id)
                                 ELSE f.subject_id END,
               erasure_no = coalesce(f.erasure_no, p_erasure_no)
         WHERE f.fence_no = _fence_no;
    ELSE
        INSERT INTO {schema}.fences
               (subject_hash, subject_id, catalogue_version, ledger_no, ledger_digest, erasure_no)
        VALUES (p_subject_hash, p_subject_id, _version, p_ledger_no, p_ledger_digest,
                p_erasure_no);
    END IF;
    RETURN _version;
END
$function$;

-- Lets a subject have keys again, as the entry p_ledger_no of the ledger says, and has every server
-- look again: they remember that its name has none. False: it was not fenced before that entry, or
-- is no more.
CREATE FUNCTION {schema}.readmit_subject_v1(
    p_subject_hash  bytea,
    p_ledger_no     bigint,
    p_ledger_digest bytea)
RETURNS boolean LANGUAGE plpgsql AS $function$
BEGIN
    PERFORM FROM {schema}.counter c FOR UPDATE;
    UPDATE {schema}.fences f
       SET readmitted_at = clock_timestamp(), readmit_no = p_ledger_no,
           readmit_digest = p_ledger_digest
     WHERE f.subject_hash = p_subject_hash AND f.readmitted_at IS NULL
       AND f.ledger_no < p_ledger_no;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM {schema}.keys_rotated_v1();
    RETURN true;
END
$function$;

-- Gives a server process its lease for so long; p_seen is the version of the catalogue whose fences
-- it has followed, NULL for one that has no key in memory. Answers the version now, and the
-- subjects that were fenced since p_seen; `rotated`: data keys got new versions since then.
-- `ledger_no`: how far the log has followed the ledger of fences, and the key store before it.
CREATE FUNCTION {schema}.renew_privacy_lease_v1(
    p_server_id uuid,
    p_lease_ms  bigint,
    p_seen      bigint,
    OUT catalogue_version bigint,
    OUT subject_ids       uuid[],
    OUT rotated           boolean,
    OUT ledger_no         bigint
) LANGUAGE plpgsql AS $function$
#variable_conflict use_column
BEGIN
    -- In one statement: no fence comes between the version and the list.
    SELECT c.catalogue_version,
           ARRAY(SELECT f.subject_id FROM {schema}.fences f
                  WHERE f.catalogue_version > p_seen AND f.subject_id IS NOT NULL),
           EXISTS (SELECT FROM {schema}.key_rotation r WHERE r.catalogue_version > p_seen),
           greatest(0, (SELECT max(f.ledger_no) FROM {schema}.fences f),
                    (SELECT max(f.readmit_no) FROM {schema}.fences f))
      INTO catalogue_version, subject_ids, rotated, ledger_no
      FROM {schema}.counter c;
    INSERT INTO {schema}.privacy_servers AS s (server_id, expires_at, seen_catalogue_version)
    VALUES (p_server_id, clock_timestamp() + p_lease_ms * interval '1 millisecond',
            coalesce(p_seen, renew_privacy_lease_v1.catalogue_version))
        ON CONFLICT (server_id) DO UPDATE
       SET expires_at = excluded.expires_at,
           seen_catalogue_version = excluded.seen_catalogue_version;
END
$function$;
