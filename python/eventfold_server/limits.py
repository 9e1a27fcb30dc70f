"""Every limit of the server, declared once; units stand last in the name.

What concerns one event or one expression is declared in `rust/eventfold-core/src/limits.rs` and
read from there.
"""

from eventfold import _core

CORE = _core.limits()

STREAM_NAME_BYTES_MAX = CORE["stream_name_bytes_max"]
APPEND_EVENTS_MAX = CORE["append_events_max"]
APPEND_BYTES_MAX = CORE["append_bytes_max"]
APPEND_CHECKS_MAX = CORE["append_checks_max"]
FOLD_SOURCE_BYTES_MAX = CORE["fold_source_bytes_max"]
FOLD_ACCEPTS_MAX = CORE["fold_accepts_max"]

# A page ends with the row that reaches it; every message fits gRPC's default of 4 MiB then.
PAGE_BYTES = 1024 * 1024
# The same of events that are read with what they refer to, and of that: both stand in one message.
RESOLVED_PAGE_BYTES = 256 * 1024
# Resolved events in an answer that cannot be longer than one message.
RESOLVED_BYTES_MAX = 2 * 1024 * 1024
# References to streams that are looked up at once.
RESOLVED_STREAMS_MAX = 500
# A filter on the log looks at this many positions in one query, so that none runs for long.
LOG_WINDOW_POSITIONS = 20_000
# The same where the index of a category is followed, which passes over all others.
CATEGORY_WINDOW_POSITIONS = 500_000

# What the server receives; above the limits on appends, so that the typed reason comes first.
MESSAGE_RECEIVE_BYTES_MAX = 8 * 1024 * 1024

UNARY_DEADLINE_S_DEFAULT = 10.0
UNARY_DEADLINE_S_MAX = 60.0

FILTER_TYPES_MAX = 100
FILTER_CATEGORIES_MAX = 100
FILTER_TAGS_MAX = CORE["event_tags_max"]
LIST_PAGE_SIZE_DEFAULT = 100
LIST_PAGE_SIZE_MAX = 1_000

FOLD_NAME_BYTES_MAX = 128
# Compiled folds kept by a server process.
FOLD_CACHE_ENTRIES_MAX = 256
# Evaluation steps that a call may take before it goes on in a thread; about a millisecond.
FOLD_INLINE_STEPS_MAX = 20_000
# Evaluation steps after which a fold in a thread lets others have it; about 50 milliseconds.
FOLD_SLICE_STEPS_MAX = 1_000_000
# What folding many streams takes before it goes on in a thread, and then before it lets others
# have that.
FOLD_MANY_INLINE_S = 0.002
FOLD_MANY_SLICE_S = 0.05
# Folds that run at once in a server process; they do not hold Python's lock.
FOLD_THREADS = 8

# Subjects whose keys are kept in memory by a server process; the one unused for longest goes first.
KEYRING_SUBJECTS_MAX = 100_000
# How often an answer is made that may not leave, since keys were taken out while it was.
ANSWER_TRIES_MAX = 3
# Subjects whose keys are brought from the key store in one statement.
KEY_LOADS_MAX = 1_000
# Streams with another root that a server process remembers, to seal values for that.
KNOWN_ROOTS_MAX = 100_000

# Of the core: goes up when the same fold and events would give another state than before.
FOLD_SEMANTICS = _core.FOLD_SEMANTICS
# States kept in memory by a server process, by the bytes of their JSON text.
KEPT_MEMORY_BYTES_MAX = 64 * 1024 * 1024
# A state above this is not kept: reading it would cost as much as many events.
KEPT_STATE_BYTES_MAX = 1024 * 1024
# Events between two kept states of a stream, where the fold does not say.
KEEP_EVERY_DEFAULT = 500
# States that wait to be written to PostgreSQL; beyond that they are kept in memory alone.
KEPT_WAITING_BYTES_MAX = 8 * 1024 * 1024
# A sweep goes on in chunks until nothing is left.
KEPT_SWEEP_ROWS_MAX = 1_000
KEPT_SWEEP_CHUNK_PAUSE_S = 0.05
KEPT_SWEEP_PAUSE_S = 600.0

# Why an event is cancelled, for people.
COMPENSATION_REASON_BYTES_MAX = 1_024

HYDRATE_MANY_STREAMS_MAX = 1_000
FOLD_FAILURES_REPORTED_MAX = 100
# What every watcher hears at least.
WATCH_SIGN_OF_LIFE_S = 10.0

# Earlier positions in a resume token, at doubling distances; 24 bytes each.
RESUME_TOKEN_PAIRS_MAX = 13

# What every subscriber hears at least, and how often at most that nothing passed the filter.
SUBSCRIPTION_HEARTBEAT_S = 10.0
SUBSCRIPTION_CHECKPOINT_S = 1.0
# The newest events, kept for all subscribers of a server process together.
TAIL_BYTES_MAX = 8 * 1024 * 1024
# A server process that hears of no append looks for itself.
TAIL_POLL_S = 1.0
# Between two notifications of a server process, and between attempts to listen.
NOTIFY_PAUSE_S = 0.005
LISTEN_PAUSE_S = 1.0

WRITER_BYTES_MAX = 64
# version-traceid-parentid-flags of W3C trace context.
TRACE_CONTEXT_BYTES_MAX = 55

# What one transaction of the writer takes; an append that is larger by itself goes alone.
BATCH_APPENDS_MAX = 256
# With more appends than this outstanding a batch takes half of them, so that clients, server and
# PostgreSQL work at once and not in turn; with fewer a second flush would cost more than it brings.
BATCH_ALL_APPENDS_MAX = 16
BATCH_EVENTS_MAX = 4_000
BATCH_BYTES_MAX = 8 * 1024 * 1024
# References that one statement looks up for appends, and those of one more append.
LOOKUP_REFERENCES_MAX = 10_000
# Appends that are held at once, in threads of a server process, to rules that take long; they do
# not hold Python's lock.
APPEND_JUDGING_THREADS = 2
# Appends that wait in a server process, or are under way.
APPENDS_WAITING_MAX = 8_192
APPENDS_WAITING_BYTES_MAX = 64 * 1024 * 1024

# Appends of one session under way; the server reads no further until there is room.
SESSION_APPENDS_MAX = 256
SESSION_BYTES_MAX = 8 * 1024 * 1024

GROUP_NAME_BYTES_MAX = 128
GROUP_CONSUMER_BYTES_MAX = 128
GROUP_ACK_TIMEOUT_S_DEFAULT = 30.0
GROUP_ACK_TIMEOUT_S_MIN = 1.0
GROUP_ACK_TIMEOUT_S_MAX = 12 * 3600.0
GROUP_ATTEMPTS_DEFAULT = 10
GROUP_ATTEMPTS_MAX = 1_000_000
GROUP_RETRY_INITIAL_S_DEFAULT = 1.0
GROUP_RETRY_FACTOR_DEFAULT = 2.0
GROUP_RETRY_FACTOR_MAX = 100.0
GROUP_RETRY_S_DEFAULT = 60.0
GROUP_RETRY_S_MAX = 24 * 3600.0
GROUP_REASON_BYTES_MAX = 1_024
# Of one session: events that it may be given, and events of settlements that are not answered.
GROUP_CREDITS_MAX = 10_000
GROUP_SETTLEMENT_EVENTS_MAX = 10_000
GROUP_UNANSWERED_EVENTS_MAX = 20_000
# What one statement settles for all sessions of a group in a server process, what it gives to one
# of them, and what it gives of one stream.
GROUP_SETTLE_EVENTS_MAX = 10_000
GROUP_CLAIM_EVENTS_MAX = 1_000
GROUP_LANE_EVENTS_MAX = 100
# What is taken from the log at once, and events that wait or are under way when nothing more is.
# Events that parked ones hold back do not count.
GROUP_PAGE_EVENTS_MAX = 1_000
GROUP_OPEN_EVENTS_MAX = 10_000
# Between two looks at a group of which other server processes may have changed something: while
# there is something to wait for, and while there is nothing.
GROUP_BUSY_PAUSE_S = 0.25
GROUP_IDLE_PAUSE_S = 1.0
# How often a session says that it is alive, and how long that counts when a group is shown.
GROUP_ALIVE_PAUSE_S = 10.0
GROUP_ALIVE_S = 30.0
GROUP_CONSUMERS_SHOWN_MAX = 1_000
# Parked events that one request names, and what one transaction replays or purges.
GROUP_PARKED_MAX = 1_000

EVENT_TYPE_DESCRIPTION_BYTES_MAX = 4_096
SCHEMA_ID_BYTES_MAX = 1_024
SCHEMA_ALL_BYTES_MAX = CORE["schema_all_bytes_max"]
# Misfits that a trial reports.
MISFITS_MAX = 1_000
MISFITS_DEFAULT = 10
# Puts of schemas and mappings that try stored events, under way at once in a server process, and
# checks; more wait.
TRIALS_MAX = 4
# Bytes after which a page of a trial ends; nothing ends a trial within a page.
TRIAL_PAGE_BYTES = 128 * 1024
# Positions that one part of a trial looks at, before it tells how far it is, and between two
# messages that do.
TRIAL_POSITIONS = 1_000_000
TRIAL_PAUSE_S = 1.0
# A put tries what was stored meanwhile round by round. Behind a round that took no longer, it lets
# no events in, and tries the rest for at most so long; then it lets them in and goes on.
TRIAL_ROUND_S_MAX = 0.1
TRIAL_HELD_S_MAX = 0.25
# Rounds in a row that were not shorter than those before, until the put is refused.
TRIAL_VAIN_ROUNDS_MAX = 10

# How long a server process has a generation of a projection to itself after each sign of life.
PROJECTION_LEASE_S = 10.0
# Compiled documents of projections kept by a server process.
PROJECTION_CACHE_ENTRIES_MAX = 256
# Steps of generations under way at once in a server process.
PROJECTION_STEPS_MAX = 4
# A server process looks this often for generations that nobody has, and, while it finds some, again
# after the shorter pause.
PROJECTION_LOOK_PAUSE_S = 1.0
PROJECTION_TAKE_PAUSE_S = 0.05
# A generation at which a server process failed is tried again after pauses that double.
PROJECTION_FAULT_PAUSE_S_MIN = 0.25
PROJECTION_FAULT_PAUSE_S_MAX = 30.0
# How long a change of a view waits for those who read it, at first and at most: who comes next
# waits behind it.
PROJECTION_VIEW_WAIT_S_MIN = 0.1
PROJECTION_VIEW_WAIT_S_MAX = 2.0
# Attempts of a call that switches or drops, in about 6 s.
PROJECTION_VIEW_ATTEMPTS_MAX = 6
# Between two attempts to drop tables of generations that are gone.
PROJECTION_SWEEP_PAUSE_S = 60.0
# A transaction of a projection takes whole pages of events until it has so many bytes of rows to
# write, or so many events, or has taken so long to fold; a step of the server is a few of them, one
# folded while the other is written.
PROJECTION_BATCH_BYTES = 8 * 1024 * 1024
PROJECTION_BATCH_EVENTS = 200_000
PROJECTION_BATCH_S = 0.5
PROJECTION_STEP_BATCHES = 4
PROJECTION_PAGE_BYTES = 8 * 1024 * 1024
# What the events of a page refer to, by `resolve`: the page ends where it passes this, behind its
# first event; and one statement looks up so many.
PROJECTION_TARGETS_BYTES = 8 * 1024 * 1024
PROJECTION_TARGETS_MAX = 10_000
# Events that were read longer ago are read again: they may have been erased meanwhile.
PROJECTION_PAGE_AGE_S = 5.0
PROJECTION_CACHE_BYTES = CORE["projection_cache_bytes"]
# States of rows that are loaded at once.
PROJECTION_ROWS_BYTES = 16 * 1024 * 1024
# Positions that a page looks at where other events lie, in as many statements as windows fit.
PROJECTION_SPAN_WINDOWS = 20
# A position that moves without an event is written once in this time.
PROJECTION_QUIET_S = 0.25
# Verifications and trials under way at once in a server process; more wait.
PROJECTION_ASIDE_MAX = 4
# Rows that one of them folds in memory: a verification leaves keys out, a trial ends.
PROJECTION_SHEET_BYTES = 64 * 1024 * 1024
PROJECTION_VERIFY_KEYS_MAX = 10_000
PROJECTION_VERIFY_KEYS_DEFAULT = 100
# Drawing keys from the log ends then, however few were found.
PROJECTION_DRAW_S_MAX = 10.0
PROJECTION_RETRY_KEYS_MAX = 1_000
# What one transaction of a retry takes: at least one key, whose whole list it is.
PROJECTION_RETRY_KEYS = 500
PROJECTION_RETRY_EVENTS = 2_000
# How often a retry takes a generation again that others took from it meanwhile, and the longest
# pause before.
PROJECTION_RETRY_TAKES_MAX = 10
PROJECTION_RETRY_PAUSE_S_MAX = 0.5
PROJECTION_TRY_EVENTS_MAX = 100_000
PROJECTION_TRY_EVENTS_DEFAULT = 10_000
# Of the time that a call has, what a trial may take for folding.
PROJECTION_TRY_SHARE = 0.5
# Projections of a server process that are folded at once.
PROJECTION_FOLD_THREADS = 4

# A chunk of a transform ends with the event at which what was read reaches this: one transaction,
# which holds up other appends.
TRANSFORM_CHUNK_BYTES = 128 * 1024
# Events that one statement reads for it.
TRANSFORM_PAGE_EVENTS = 2_000
# How long a server process has a transform to itself after each sign of life, and how often it
# looks for some that nobody has.
TRANSFORM_LEASE_S = 10.0
TRANSFORM_LOOK_PAUSE_S = 1.0
# Chunks of transforms under way at once in a server process.
TRANSFORM_STEPS_MAX = 2
# A transform has caught up when so few positions came while it copied those before.
TRANSFORM_CAUGHT_UP_POSITIONS = 1_000
# A position that moves without a copy is written once in this time.
TRANSFORM_QUIET_S = 0.25
# What trying a document reports.
TRANSFORM_EXAMPLES_MAX = 100
TRANSFORM_EXAMPLE_BYTES_MAX = 4_096
TRANSFORM_EXAMPLE_COPIES_MAX = 5
TRANSFORM_FAILURES_MAX = 20
# Pairs of streams whose states are compared, and the pairs that differ which are told.
TRANSFORM_STATES_MAX = 100_000
TRANSFORM_STATES_DEFAULT = 1_000
TRANSFORM_DIFFERING_MAX = 20
# How long a step of a cut-over may hold up appends; and the streams that a step closes, at first
# and at most. One that took too long is undone, and half as many are tried.
TRANSFORM_CUTOVER_MS_MIN = 20
TRANSFORM_CUTOVER_MS_MAX = 5_000
TRANSFORM_CUTOVER_MS_DEFAULT = 250
TRANSFORM_CLOSE_STREAMS = 100
TRANSFORM_CLOSE_STREAMS_MAX = 2_000
# Streams that one transaction names successors of, or opens again.
TRANSFORM_SWITCH_STREAMS = 500
# Streams of a transform that one answer tells.
TRANSFORM_STREAMS_MAX = 1_000
# Name of another server that transforms copy to, and how long a call there may take before it is
# made anew.
TRANSFORM_TARGET_NAME_BYTES_MAX = 64
TRANSFORM_CALL_S = 30.0
# Copies that one call sends to another server: so many appends at most, and it ends before the one
# that would exceed so many bytes, but has one at least.
COPIES_APPENDS_MAX = 100
COPIES_CALL_BYTES = 1024 * 1024
# Streams and copies that one call digests.
COPIES_STREAMS_MAX = 1_000
COPIES_IDS_MAX = 1_000

# Events that one transaction counts by their types, and how often a server process looks for some
# that nobody has counted yet.
TYPES_COUNT_EVENTS = 20_000
TYPES_COUNT_PAUSE_S = 60.0
# Who lists event types waits so long for events that nobody has counted yet, and at most for this
# share of the time that the call has.
TYPES_COUNT_S_MAX = 2.0
TYPES_COUNT_SHARE = 0.5
TYPES_WRITERS_SHOWN_MAX = 100

QUERY_ORDER_COLUMNS_MAX = CORE["query_order_columns_max"]
QUERY_PLACE_BYTES_MAX = CORE["query_place_bytes_max"]
# A query begins anew with the generation that queries were switched to while it looked.
QUERY_SWITCHES_MAX = 10
# Between two looks at how far a projection is, for queries that wait for a position: at first, and
# then doubling up to the longest.
QUERY_WAIT_PAUSE_S_MIN = 0.01
QUERY_WAIT_PAUSE_S_MAX = 0.1

# Between two looks at PostgreSQL, and how long it may not answer before health says so.
HEALTH_PAUSE_S = 0.5
HEALTH_STORAGE_LOST_S = 3.0

WORKERS_MAX = 64
# Of the embedded PostgreSQL, beyond what the workers open: tools, backups, a second server.
CONNECTIONS_SPARE = 88

CONCURRENT_CALLS_MAX = 1_000
# Of one token, so that one caller leaves room for the others.
CALLER_CALLS_MAX = 500
# Where gRPC itself refuses, without a reason; above the other, so that the typed reason comes
# first, and health still answers.
CONCURRENT_RPCS_MAX = 2 * CONCURRENT_CALLS_MAX
# As many as there may be calls: a lower bound makes gRPC refuse calls of a busy client for good,
# since it counts a call as open for longer than the client does.
CONCURRENT_STREAMS_PER_CONNECTION_MAX = CONCURRENT_CALLS_MAX

# Folds whose states one close carries on.
CLOSE_FOLDS_MAX = 100
# How often a close is tried while its stream moves.
CLOSE_ATTEMPTS_MAX = 20
# Streams of a line of periods that are asked for at once.
LINE_PAGE_STREAMS = 1_000

# Master keys in a file or in the environment, and the name of one.
MASTER_KEYS_MAX = 100
MASTER_KEY_NAME_BYTES_MAX = 64
# Data keys that one call has Vault wrap or unwrap, and how long it may take.
VAULT_BATCH_KEYS_MAX = 250
VAULT_CALL_S = 5.0
# Connections of a server process to the key store, and how long a statement there may take.
KEY_CONNECTIONS = 3
KEY_STATEMENT_S_MAX = 10.0
# Keys that one statement wraps anew, or subjects that one call gives new keys.
REWRAP_KEYS_MAX = 250
ROTATE_SUBJECTS_MAX = 250
# How often an entry of the fence ledger is tried while others append to it.
FENCE_APPENDS_MAX = 100
# How long a server may use the data keys in its memory without word from PostgreSQL, how often it
# asks, and what clocks may differ by.
PRIVACY_LEASE_S = 5.0
PRIVACY_LEASE_PAUSE_S = 1.0
PRIVACY_LEASE_MARGIN_S = 0.5
# Between two looks at the leases of others.
PRIVACY_WAIT_PAUSE_S = 0.1
# Links between streams: events that one transaction looks through, how often a server process looks
# for some that nobody has looked through, and how long a plan of a deletion waits for that.
LINK_RULE_NAME_BYTES_MAX = 128
LINK_POINTER_BYTES_MAX = 1024
LINKS_FOLLOW_EVENTS = 20_000
LINKS_FOLLOW_PAUSE_S = 5.0
LINKS_FOLLOW_S_MAX = 5.0

# Streams that one deletion takes with it, and links that it cuts.
DELETION_STREAMS_MAX = 1_000
DELETION_REASON_BYTES_MAX = 1_024
# Events that one transaction empties.
DELETION_CHUNK_EVENTS = 500
# Streams with copies, and streams that forbid a deletion, that are told.
DELETION_COPIES_SHOWN_MAX = 100
DELETION_STREAMS_TOLD_MAX = 10
# Rows of projections that one transaction drops.
CLEANUP_KEYS = 500
# As for transforms.
DELETION_LEASE_S = 10.0
DELETION_LOOK_PAUSE_S = 0.5
# Between two looks at a projection that is built anew.
DELETION_WAIT_PAUSE_S = 0.5

# The subject index: events that one transaction looks through, how often a server process looks for
# some that nobody has looked through, how long a plan waits for that, and entries that one
# transaction drops or one page has.
SUBJECT_INDEX_EVENTS = 20_000
SUBJECT_INDEX_PAUSE_S = 5.0
SUBJECT_INDEX_S_MAX = 5.0
SUBJECT_INDEX_ROWS = 10_000
SUBJECT_INDEX_PAGE_EVENTS = 1_000

# An export of a subject: streams that belong to it, and events that are looked up at once.
EXPORT_STREAMS_MAX = 10_000
EXPORT_POSITIONS = 10_000

# Seconds between two times when what a process has counted of personal data is stored, and for
# which figures that were looked up are told to who asks for metrics.
PRIVACY_COUNT_PAUSE_S = 1.0
METRICS_CACHE_S = 5.0
METRICS_S_MAX = 10.0

ERASURE_REASON_BYTES_MAX = 1_024
# Events whose rows are made anew at once.
ERASURE_CHUNK_EVENTS = 10_000
# How long an erasure waits for the subject index before it lets another server try.
ERASURE_INDEX_S_MAX = 3_600.0
# As for deletions.
ERASURE_LEASE_S = 10.0
ERASURE_LOOK_PAUSE_S = 0.5
ERASURE_WAIT_PAUSE_S = 0.5
LEGAL_HOLDS_MAX = 1_000
LEGAL_HOLD_NAME_BYTES_MAX = 128
# Days after which no backup holds a key that was destroyed, as the operator says.
BACKUP_HORIZON_DAYS_MAX = 36_500
