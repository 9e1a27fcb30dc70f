"""Goal: appends that share a transaction are decided as if each had come alone, in any company.

Method: a writer on a real PostgreSQL. Appends that are handed over without a pause are one batch,
which the transaction id of their rows shows. Batches are made of every outcome there is, and of
appends that exclude each other; random ones are held against single appends in
`test_batches_at_random.py`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from tests.support.database import appends_held, connected
from tests.support.writers import (
    ANY,
    EXISTS,
    NewEvents,
    Store,
    blocked,
    many,
    new,
    one_mebibyte,
    opened,
    outcome,
)

from eventfold_server import limits
from eventfold_server.errors import Refusal


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with opened(database_url, f"test_{uuid.uuid4().hex}") as one:
        yield one


def halves(outstanding: int) -> list[int]:
    """The batches of so many appends that come together."""
    batches = []
    while outstanding > limits.BATCH_ALL_APPENDS_MAX:
        batches.append(min((outstanding + 1) // 2, limits.BATCH_APPENDS_MAX))
        outstanding -= batches[-1]
    return [*batches, outstanding]


async def test_what_comes_together_is_stored_in_one_transaction(store: Store) -> None:
    together = limits.BATCH_ALL_APPENDS_MAX
    outcomes = await store.together(*(new(f"a-{n}", 0) for n in range(together)))
    assert outcomes == [("stored", "1", str(n + 1)) for n in range(together)]
    assert store.batches() == [together]
    assert store.rows("SELECT count(DISTINCT recorded_at) FROM {}.events") == [(1,)]
    assert store.rows("SELECT position FROM {}.counter") == [(together,)]


async def test_of_many_one_transaction_takes_half(store: Store) -> None:
    outcomes = await store.together(*(new(f"a-{n}", 0) for n in range(100)))
    assert outcomes == [("stored", "1", str(n + 1)) for n in range(100)]
    assert store.batches() == halves(100) == [50, 25, 13, 12]


async def test_what_comes_during_a_transaction_waits_for_the_next(store: Store) -> None:
    with appends_held(store.url, store.schema):
        first = store.start(new("first-1"))
        await blocked(store)
        others = [store.start(new(f"a-{n}")) for n in range(16)]
    for started in (first, *others):
        assert (await outcome(started))[0] == "stored"
    assert store.batches() == [1, 16]


async def test_one_does_not_touch_the_others(store: Store) -> None:
    """Every outcome there is, each in the middle of appends that pass."""
    known = [str(uuid.uuid4()) for _ in range(3)]
    await store.append(new("known-1", 0, known))
    for lifecycle in ("closed", "deleted"):
        await store.append(new(f"{lifecycle}-1"))
    store_sql = "UPDATE {}.streams SET lifecycle = %d, successor = %s WHERE name = '%s'"
    with connected(store.url) as postgres:
        for number, successor, name in ((2, "'closed-2'", "closed-1"), (3, "NULL", "deleted-1")):
            statement = store_sql % (number, successor, name)
            postgres.execute(statement.replace("{}", store.schema))
    outcomes = await store.together(
        new("good-1", 0),
        new("known-2", 7),
        new("good-2", 0, ["", ""]),
        new("known-1", 99, known[1:]),
        new("closed-1"),
        new("good-3", EXISTS),
        new("deleted-1", 1),
        new("other-1", 0, ["", known[0]]),
        new("good-4", 0),
    )
    reused = outcomes.pop(7)
    assert outcomes == [
        ("stored", "1", "6"),
        ("VERSION_CONFLICT", "actual=0", "expected=7", "stream=known-2"),
        ("stored", "1", "7", "8"),
        ("duplicate", "2", "2", "3"),
        ("STREAM_CLOSED", "stream=closed-1", "successor=closed-2"),
        ("VERSION_CONFLICT", "actual=0", "expected=exists", "stream=good-3"),
        ("STREAM_DELETED", "stream=deleted-1"),
        ("stored", "1", "9"),
    ]
    assert reused[0] == "EVENT_ID_REUSED"
    assert {"event_index=0", "problem=not_stored", "stream=other-1"} <= set(reused)
    assert store.rows("SELECT count(*) FROM {}.streams WHERE name LIKE 'other-%'") == [(0,)]


async def test_appends_to_one_stream_are_decided_in_order(store: Store) -> None:
    outcomes = await store.together(
        new("a-1", 0), new("b-1", 0), new("a-1", 1), new("a-1", 1), new("a-1", 2), new("b-1", 1)
    )
    assert [kind for kind, *_ in outcomes] == [
        "stored",
        "stored",
        "stored",
        "VERSION_CONFLICT",
        "stored",
        "stored",
    ]
    assert store.batches() == [2, 2, 1]


async def test_one_id_in_two_streams_is_stored_once(store: Store) -> None:
    shared = str(uuid.uuid4())
    first, second, third = await store.together(
        new("a-1", 0, [shared]), new("b-1", 0, [shared]), new("c-1", 0)
    )
    assert (first[0], third[0]) == ("stored", "stored")
    assert second[0] == "EVENT_ID_REUSED"
    assert "problem=other_stream" in second
    assert store.batches() == [2]


async def test_what_breaks_a_statement_breaks_it_for_itself(store: Store) -> None:
    """PostgreSQL fails at one append, for reasons that no check foresees."""
    with connected(store.url) as postgres:
        postgres.execute(
            f"ALTER TABLE {store.schema}.events ADD CONSTRAINT no_poison CHECK (type <> 'Poison')"
        )
    started = [store.start(new(f"a-{n}", 0, kind="Poison" if n == 2 else "T")) for n in range(5)]
    with pytest.raises(Exception, match="no_poison"):
        await outcome(started[2])
    assert [(await outcome(one))[:2] for one in (*started[:2], *started[3:])] == [
        ("stored", "1")
    ] * 4
    assert store.batches() == [1] * 4
    assert await store.together(new("b-1"), new("b-2")) == [
        ("stored", "1", "5"),
        ("stored", "1", "6"),
    ]


@pytest.mark.parametrize(
    ("appends", "batches"),
    [
        (
            [new(f"a-{n}") for n in range(2 * limits.BATCH_APPENDS_MAX + 1)],
            halves(2 * limits.BATCH_APPENDS_MAX + 1),
        ),
        ([new(f"a-{n}", ids=[""] * 1000) for n in range(5)], [limits.BATCH_EVENTS_MAX, 1000]),
        ([one_mebibyte(n) for n in range(9)], [8, 1]),
    ],
    ids=["appends", "events", "bytes"],
)
async def test_a_batch_has_limits(
    store: Store, appends: list[NewEvents], batches: list[int]
) -> None:
    assert {kind for kind, *_ in await store.together(*appends)} == {"stored"}
    assert store.batches() == batches


async def test_the_queue_has_limits(store: Store) -> None:
    with appends_held(store.url, store.schema):
        started = [store.start(new(f"a-{n}")) for n in range(limits.APPENDS_WAITING_MAX)]
        with pytest.raises(Refusal) as full:
            store.start(new("b-1"))
        assert full.value.reason == "OVERLOADED"
        assert full.value.facts == {
            "resource": "appends_waiting",
            "limit": str(limits.APPENDS_WAITING_MAX),
        }
        for one in started[limits.BATCH_APPENDS_MAX + 1 :]:
            one.withdraw(Refusal("DEADLINE_EXCEEDED", "too late"))
    outcomes = [(await outcome(one))[0] for one in started]
    assert outcomes.count("DEADLINE_EXCEEDED") >= 7_000
    assert (await store.together(new("b-1")))[0][0] == "stored"
    stored = sum(store.batches())
    assert stored == outcomes.count("stored") + 1


async def test_the_queue_has_a_limit_of_bytes(store: Store) -> None:
    with appends_held(store.url, store.schema):
        started = [store.start(one_mebibyte(n)) for n in range(64)]
        with pytest.raises(Refusal) as full:
            store.start(new("x-1"))
        assert full.value.reason == "OVERLOADED"
        assert full.value.facts == {
            "resource": "appends_waiting_bytes",
            "limit": str(limits.APPENDS_WAITING_BYTES_MAX),
        }
    assert {(await outcome(one))[0] for one in started} == {"stored"}
    assert (await store.together(new("x-1")))[0][0] == "stored"


async def test_a_change_of_the_rules_is_noticed_and_changes_no_order(store: Store) -> None:
    with connected(store.url) as postgres:
        # A restore may bring older ones back.
        for version in (2, 7, 4):
            postgres.execute(f"UPDATE {store.schema}.counter SET catalogue_version = {version}")
            outcomes = await store.together(
                *(new(f"a-{n % 4}", ANY if n < 4 else EXISTS) for n in range(12))
            )
            assert {kind for kind, *_ in outcomes} == {"stored"}
    found = store.rows("SELECT name, version FROM {}.streams ORDER BY name")
    assert found == [(f"a-{n}", 9) for n in range(4)]
    assert store.catalogue.rules.version == 4


async def test_the_first_append_of_a_process_knows_the_rules(store: Store) -> None:
    with connected(store.url) as postgres:
        postgres.execute(f"UPDATE {store.schema}.counter SET catalogue_version = 5")
    async with opened(store.url, store.schema) as other:
        assert other.catalogue.rules.version == 5


async def test_two_that_exclude_each_other_in_one_batch(store: Store) -> None:
    """Each writes what the other looks at; in one batch the second sees the first."""
    first, second, third = await asyncio.gather(
        many(store, [new("a-1", 0)], [("b-1", 0)]),
        many(store, [new("b-1", 0)], [("a-1", 0)]),
        many(store, [new("c-1", 0), new("d-1", 0)], [("a-1", 1)]),
    )
    assert first == ("stored", "1", "1")
    assert second == ("None/0: VERSION_CONFLICT 1",)
    assert third == ("stored", "1", "2", "stored", "1", "3")
    assert store.batches() == [3]
    # An append that stands for itself goes before them, whoever came first.
    told_many, alone = await asyncio.gather(
        many(store, [new("e-1", 0)], [("f-1", 0)]), store.append(new("f-1", 0))
    )
    assert told_many == ("None/0: VERSION_CONFLICT 1",)
    assert not alone.duplicate


async def test_two_servers_exclude_each_other(store: Store) -> None:
    """The lock is the database's: writers of two processes never act on an old version."""
    async with opened(store.url, store.schema) as other:
        for number in range(30):
            a, b = f"a-{number}", f"b-{number}"
            outcomes = await asyncio.gather(
                many(store, [new(a, 0)], [(b, 0)]), many(other, [new(b, 0)], [(a, 0)])
            )
            stored = [told for told in outcomes if told[0] == "stored"]
            assert len(stored) == 1, outcomes
    assert store.rows("SELECT count(*), max(position) FROM {}.events") == [(30, 30)]


async def test_a_cut_connection_leaves_all_of_a_batch_open(store: Store) -> None:
    """Whoever was under way is told that nobody knows; whoever waited is served after."""
    with appends_held(store.url, store.schema):
        under_way = [store.start(new(f"a-{n}")) for n in range(5)]
        await blocked(store)
        waiting = [store.start(new(f"b-{n}")) for n in range(5)]
        with connected(store.url) as postgres:
            postgres.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'eventfold' AND wait_event_type = 'Lock'"
            )
        assert [await outcome(one) for one in under_way] == [
            ("OUTCOME_UNKNOWN", f"stream=a-{n}") for n in range(5)
        ]
    assert {(await outcome(one))[0] for one in waiting} == {"stored"}


async def test_what_waits_at_the_end_is_refused(database_url: str) -> None:
    async with opened(database_url, f"test_{uuid.uuid4().hex}") as one:
        with appends_held(one.url, one.schema):
            first = one.start(new("a-1"))
            await blocked(one)
            waiting = [one.start(new(f"a-{n % 2}")) for n in range(6)]
            closing = asyncio.create_task(one.writer.close())
            assert {await outcome(late) for late in waiting} == {("SHUTTING_DOWN",)}
        await closing
        assert (await outcome(first))[0] == "stored"
        with pytest.raises(Refusal, match="SHUTTING_DOWN"):
            one.start(new("b-1"))


def read_by(store: Store) -> dict[str, int]:
    """Entries of indexes and rows without one that were read of tables that grow."""
    found = store.rows(
        "SELECT 'seq', coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables"
        " WHERE schemaname = '{}' AND relname IN ('events', 'streams')"
        " UNION ALL SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes"
        " WHERE schemaname = '{}' AND relname IN ('events', 'streams')"
    )
    return dict(found)


async def test_a_batch_looks_up_what_it_needs_and_no_more(store: Store) -> None:
    """Plans are made on an empty store and kept: they must be good for a large one."""
    known = [str(uuid.uuid4()) for _ in range(20)]
    for round_number in range(8):
        await store.together(*(new(f"a-{n}", round_number) for n in range(200)))
    await store.append(new("known-1", 0, known))
    # Statistics are told once a second, by the next statement.
    await asyncio.sleep(1.2)
    await store.append(new("other-1"))
    before = await asyncio.to_thread(read_by, store)
    outcomes = await store.together(
        *(new(f"a-{n}", 8) for n in range(100)),
        *(new(f"b-{n}", 0) for n in range(80)),
        *(new(f"c-{n}", 0, [known[n]]) for n in range(20)),
    )
    assert [kind for kind, *_ in outcomes] == ["stored"] * 180 + ["EVENT_ID_REUSED"] * 20
    await asyncio.sleep(1.2)
    await store.append(new("other-2"))
    after = await asyncio.to_thread(read_by, store)
    read = {name: after[name] - before[name] for name in after}
    assert read["streams_name_key"] >= 100, "nothing was counted"
    assert read["seq"] == 0, read
    assert max(read.values()) <= 600, read
