-- Statements on a ledger of fences in a table; {schema} is its schema.

-- name: ledger_lines
-- Lines from the number $1 on.
SELECT l.number, l.line FROM {schema}.ledger l WHERE l.number >= $1::bigint ORDER BY l.number;

-- name: append_to_ledger
-- Appends the line $2 with the number $1, if it is the next one and nobody else has appended it.
INSERT INTO {schema}.ledger (number, line)
SELECT $1::bigint, $2::bytea
 WHERE $1::bigint = (SELECT coalesce(max(l.number) + 1, 0) FROM {schema}.ledger l)
    ON CONFLICT DO NOTHING
RETURNING number;
