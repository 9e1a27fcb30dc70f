-- All revisions of privacy rules; the ones of an event type or category that were not dropped are
-- in force.
CREATE TABLE {schema}.privacy_rules (
    rules_no          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What they are rules of: one of both.
    type              text        COLLATE "C" CHECK (octet_length(type) BETWEEN 1 AND 128),
    category          text        COLLATE "C" CHECK (octet_length(category) BETWEEN 1 AND 64),
    revision          integer     NOT NULL CHECK (revision >= 1),
    -- SHA-256 of what is personal in canonical JSON, lower-case hexadecimal.
    digest            text        NOT NULL,
    -- The document as it came in; of a schema the normal form.
    source            text        NOT NULL,
    -- The document in canonical JSON.
    normal_form       text        NOT NULL,
    -- 1: a document, 2: annotations of the schema of the event type.
    origin            smallint    NOT NULL CHECK (origin BETWEEN 1 AND 2),
    -- Those of the personal fields.
    pointers          text[]      NOT NULL,
    -- Stored events with plaintext when they were put, and the head of the log then, if there were
    -- some: they are at or before it, and have paths that are not sealed.
    plaintext_events  bigint      NOT NULL CHECK (plaintext_events >= 0),
    plaintext_until   bigint      NOT NULL CHECK (plaintext_until >= 0),
    -- Of the catalogue when they came into force, and when they were dropped or others took their
    -- place; NULL: they were not.
    catalogue_version bigint      NOT NULL,
    dropped_version   bigint,
    put_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    put_by            text        NOT NULL,
    CHECK ((type IS NULL) <> (category IS NULL)),
    CHECK (category IS NULL OR origin = 1),
    CHECK ((plaintext_events = 0) = (plaintext_until = 0))
);
CREATE UNIQUE INDEX privacy_rules_type ON {schema}.privacy_rules (type, revision)
    WHERE type IS NOT NULL;
CREATE UNIQUE INDEX privacy_rules_category ON {schema}.privacy_rules (category, revision)
    WHERE category IS NOT NULL;
CREATE UNIQUE INDEX privacy_rules_type_in_force ON {schema}.privacy_rules (type)
    WHERE type IS NOT NULL AND dropped_version IS NULL;
CREATE UNIQUE INDEX privacy_rules_category_in_force ON {schema}.privacy_rules (category)
    WHERE category IS NOT NULL AND dropped_version IS NULL;

-- What is personal in events of a category although no rule says so: it came into them from events
-- where it was, sealed for its subject. `pointer` leads to it, with `*` for every element.
CREATE TABLE {schema}.carried_marks (
    category text COLLATE "C" NOT NULL CHECK (octet_length(category) BETWEEN 1 AND 64),
    pointer  text COLLATE "C" NOT NULL,
    PRIMARY KEY (category, pointer)
);
