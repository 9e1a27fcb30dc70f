-- Numbers of leases and sessions. A later lease has a higher number, whatever becomes of its group.
CREATE SEQUENCE {schema}.group_numbers AS bigint;

-- Consumer groups. What a group has taken in from the log, and what is not settled of it, stands in
-- the tables below, which only these functions write to. They fill and empty all the time, so that
-- what the planner knows of their sizes is never true. So the functions leave it no choice: single
-- rows are looked up in subqueries that it cannot turn into joins, and changed by their ctid, which
-- stays the same while their lane is locked.
CREATE TABLE {schema}.groups (
    group_no      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        COLLATE "C" NOT NULL UNIQUE
                              CHECK (octet_length(name) BETWEEN 1 AND 128),
    -- Sorted sets; NULL: no demand.
    categories    text[]      COLLATE "C" CHECK (cardinality(categories) >= 1),
    stream        text        COLLATE "C" CHECK (octet_length(stream) BETWEEN 1 AND 255),
    types         text[]      COLLATE "C" CHECK (cardinality(types) >= 1),
    tags          text[]      COLLATE "C" CHECK (cardinality(tags) >= 1),
    -- A CEL expression; NULL: no demand.
    condition     text        CHECK (octet_length(condition) BETWEEN 1 AND 4096),
    with_system   boolean     NOT NULL,
    ack_timeout   interval    NOT NULL CHECK (ack_timeout BETWEEN '1 s' AND '12 h'),
    attempts_max  integer     NOT NULL CHECK (attempts_max BETWEEN 1 AND 1000000),
    retry_initial interval    NOT NULL CHECK (retry_initial >= '0 s'),
    retry_factor  double precision NOT NULL CHECK (retry_factor BETWEEN 1 AND 100),
    retry_max     interval    NOT NULL CHECK (retry_max <= '24 h'),
    -- Whether a parked event holds back the later ones of its stream.
    hold_back     boolean     NOT NULL,
    ordered       boolean     NOT NULL,
    generation    bigint      NOT NULL DEFAULT 1 CHECK (generation >= 1),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by    text        NOT NULL,
    -- Position up to which the log was taken in.
    cursor        bigint      NOT NULL CHECK (cursor >= 0),
    -- Why the event behind the cursor could not be told to pass the condition or not: reason,
    -- message and facts of the error; NULL: nothing stands in the way.
    stopped       jsonb,
    -- Whether copies are among its events: 1 they are, 2 they are not; NULL: it was not said.
    copies        smallint    CHECK (copies BETWEEN 1 AND 2),
    CHECK (categories IS NULL OR stream IS NULL),
    CHECK (retry_initial <= retry_max),
    CHECK (ordered OR NOT hold_back)
) WITH (fillfactor = 50);

-- A lane is what is with one consumer at a time: of an ordered group the stream with that number,
-- of another the event at that position. It has a row for as long as it has entries, or is held.
CREATE TABLE {schema}.group_lanes (
    group_no  bigint      NOT NULL,
    lane      bigint      NOT NULL,
    -- 1 ready, 2 leased, 3 waiting for a retry, 4 held back by a parked event.
    state     smallint    NOT NULL CHECK (state BETWEEN 1 AND 4),
    -- Position of its oldest entry; NULL: it has none.
    head      bigint      CHECK (head >= 1),
    -- How many entries it has.
    entries   bigint      NOT NULL CHECK (entries >= 0),
    -- When the lease runs out, or the wait ends; by PostgreSQL's clock.
    due_at    timestamptz,
    -- The fencing token: it goes up with each consumer that the lane is given to.
    lease     bigint,
    -- Session of the consumer that has it.
    session   bigint,
    -- Entries up to this position were delivered under the lease, and so many are not settled yet.
    up_to     bigint,
    under_way bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (group_no, lane),
    CHECK ((head IS NULL) = (entries = 0)),
    CHECK (entries > 0 OR state = 4),
    CHECK ((due_at IS NOT NULL) = (state IN (2, 3))),
    CHECK ((state = 2) = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (session IS NULL) AND (lease IS NULL) = (up_to IS NULL)),
    CHECK ((lease IS NULL) = (under_way = 0) AND under_way BETWEEN 0 AND entries)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- In order of the oldest entry: which lane is next, and how far the group is.
CREATE INDEX group_lanes_head ON {schema}.group_lanes (group_no, state, head);
-- What a session has.
CREATE UNIQUE INDEX group_lanes_lease ON {schema}.group_lanes (session, lease)
    WHERE lease IS NOT NULL;
CREATE INDEX group_lanes_due ON {schema}.group_lanes (group_no, due_at) WHERE due_at IS NOT NULL;

-- Events that were taken in, and are neither settled nor parked.
CREATE TABLE {schema}.group_entries (
    group_no bigint  NOT NULL,
    lane     bigint  NOT NULL,
    position bigint  NOT NULL CHECK (position >= 1),
    -- How often it was delivered in vain.
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- It was replayed while the lane had this lease, which it does not belong to; 0: it was not.
    fence    bigint  NOT NULL DEFAULT 0 CHECK (fence >= 0),
    PRIMARY KEY (group_no, lane, position)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE TABLE {schema}.group_parked (
    group_no  bigint      NOT NULL,
    position  bigint      NOT NULL CHECK (position >= 1),
    lane      bigint      NOT NULL,
    attempts  integer     NOT NULL CHECK (attempts >= 1),
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The numbers of the proto's ParkCause.
    cause     smallint    NOT NULL CHECK (cause BETWEEN 1 AND 3),
    reason    text        NOT NULL CHECK (octet_length(reason) <= 1024),
    consumer  text        NOT NULL,
    -- Whether it holds back the later events of its lane.
    holds     boolean     NOT NULL,
    PRIMARY KEY (group_no, position)
);
CREATE INDEX group_parked_holds ON {schema}.group_parked (group_no, lane) WHERE holds;

-- Sessions: one that has ended, or has no row, is given nothing any more.
CREATE TABLE {schema}.group_sessions (
    session  bigint      PRIMARY KEY DEFAULT nextval('{schema}.group_numbers'),
    ended    boolean     NOT NULL DEFAULT false,
    group_no bigint      NOT NULL,
    consumer text        NOT NULL CHECK (octet_length(consumer) <= 128),
    caller   text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
CREATE INDEX group_sessions_group ON {schema}.group_sessions (group_no);
