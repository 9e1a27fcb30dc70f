-- What servers have counted of personal data, together.

CREATE TABLE {schema}.privacy_counters (
    name  text   COLLATE "C" PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 64),
    value bigint NOT NULL CHECK (value >= 0)
);
