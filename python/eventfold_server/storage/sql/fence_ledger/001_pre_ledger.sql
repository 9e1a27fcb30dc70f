-- A ledger of fences in a table. {schema} stands for the quoted name of its schema, which should
-- stand in another database than log and key store.

CREATE TABLE {schema}.ledger (
    -- 0: whose ledger it is.
    number bigint PRIMARY KEY CHECK (number >= 0),
    -- JSON, which names the digest of the line before.
    line   bytea  NOT NULL
);

CREATE FUNCTION {schema}.refuse_change_v1() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    RAISE EXCEPTION 'a ledger of fences is only appended to (% on %)', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$function$;

CREATE TRIGGER ledger_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change_v1();

-- Which migrations were applied, and what they held then.
CREATE TABLE {schema}.migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    digest     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
