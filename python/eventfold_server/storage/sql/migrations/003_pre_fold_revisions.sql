-- A revision is also another order of the keys of `initial`, and another `keep`.
-- Servers of before go on with put_fold_v1, and leave both columns empty.
ALTER TABLE {schema}.folds
    -- SHA-256 of digest and initial state: names kept states. NULL: not known yet.
    ADD COLUMN kept_digest text COLLATE "C" CHECK (kept_digest ~ '^[0-9a-f]{64}$'),
    -- Events between two kept states; 0: none are kept; NULL: the document does not say.
    ADD COLUMN keep_every bigint CHECK (keep_every >= 0);

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
