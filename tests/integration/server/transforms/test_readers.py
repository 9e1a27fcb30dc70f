"""Goal: nobody counts copies twice who read originals and targets before the transform was there.

Method: the SDK against a real server, with groups and projections of both categories.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from tests.integration.server.conftest import Starter
from tests.support.servers import RunningServer
from tests.support.transform_jobs import fill, purchase, renamed, until

import eventfold
from eventfold import Client

COUNTING = """
projection: %(name)s
source: {categories: [%(categories)s]%(more)s}
handlers: {Purchased: {cents: event.cents}}
columns: {cents: integer}
"""


@pytest.fixture
def store(server: RunningServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


@pytest.fixture
def names() -> tuple[str, str]:
    """Categories of the test alone."""
    drawn = uuid.uuid4().hex[:12]
    return f"S{drawn}", f"T{drawn}"


def noted(server: RunningServer, category: str) -> int:
    """How many transforms have a category of which readers must say something."""
    with psycopg.connect(str(server.options["database_url"])) as connection:
        row = connection.execute(
            f"SELECT count(*) FROM {server.options['schema']}.transform_categories"
            " WHERE category = %s",
            (category,),
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_transform_does_not_start_before_its_readers_say_what_they_want(
    server: RunningServer, store: Client, names: tuple[str, str]
) -> None:
    source, target = names
    fill(store, source, 2, 2)
    group, projection = f"both-{source}", f"both_{source.lower()}"
    both = {"name": projection, "categories": f"{source}, {target}"}
    store.create_group(group, categories=[source, target])
    store.put_projection(COUNTING % {**both, "more": ""})
    # One that names a stream, and those of one side, are not in doubt.
    store.create_group(f"one-{source}", stream=f"{source}-1")
    store.create_group(f"side-{source}", categories=[target])

    with pytest.raises(eventfold.CopiesAmbiguous) as of_group:
        store.start_transform(renamed(source, target))
    facts = {"source": source, "target": target, "group": group}
    assert of_group.value.facts == facts
    assert of_group.value.transform_no is None

    # A dry run names all of them, and is in nobody's way.
    tried = store.wait_transform(
        store.start_transform(renamed(source, target), dry_run=True).transform_id
    )
    assert (tried.state, tried.trial.failures_count) == ("tried", 2)
    assert [failure.facts for failure in tried.trial.failures] == [
        facts,
        {"source": source, "target": target, "projection": projection, "generation": "1"},
    ]
    assert noted(server, source) == 0
    assert len(list(store.read_all(categories=[source, target]))) == 8

    store.delete_group(group)
    with pytest.raises(eventfold.CopiesAmbiguous) as of_projection:
        store.start_transform(renamed(source, target))
    assert of_projection.value.facts["projection"] == projection
    store.drop_projection(projection)
    store.put_projection(COUNTING % {**both, "more": ", copies: exclude"})
    store.create_group(group, categories=[source, target], copies="exclude")
    started = store.start_transform(renamed(source, target))
    assert store.wait_transform(started.transform_id).state == "verified"
    plan = store.cut_over(started.transform_id, dry_run=True).plan
    assert plan is not None
    assert plan.projections == (projection,)
    assert plan.groups == (group, f"one-{source}")


def test_who_copied_nothing_leaves_nobody_in_doubt(
    server: RunningServer, store: Client, names: tuple[str, str]
) -> None:
    source, target = names
    # Nothing to copy: the categories are noted, and go with the job.
    started = store.start_transform(renamed(source, target))
    assert store.wait_transform(started.transform_id).state == "verified"
    assert noted(server, source) == 1
    with pytest.raises(eventfold.CopiesAmbiguous):
        list(store.read_all(categories=[source, target]))
    store.cancel_transform(started.transform_id)
    assert store.wait_transform(started.transform_id).state == "cancelled"
    assert noted(server, source) == noted(server, target) == 0

    # Copies stay when their job is cancelled, and so does the doubt.
    fill(store, source, 1, 1)
    started = store.start_transform(renamed(source, target))
    assert store.wait_transform(started.transform_id).state == "verified"
    store.cancel_transform(started.transform_id)
    assert store.wait_transform(started.transform_id).state == "cancelled"
    assert noted(server, source) == noted(server, target) == 1


def test_transforms_do_not_run_in_a_circle(store: Client, names: tuple[str, str]) -> None:
    source, target = names
    between = f"B{source}"
    fill(store, source, 1, 1)

    def into_one(name: str, into: str) -> str:
        # Whatever comes makes one more, so that a circle would never end.
        return renamed(name, into).replace(" + meta.stream_id", " + 'all'")

    first = store.start_transform(into_one(source, between))
    assert store.wait_transform(first.transform_id).state == "verified"
    second = store.start_transform(into_one(between, target))
    assert store.wait_transform(second.transform_id).state == "verified"
    for name, into in ((between, source), (target, source), (target, between)):
        with pytest.raises(eventfold.TransformIntoSource) as refused:
            store.start_transform(into_one(name, into))
        assert refused.value.category == name
    # Once one of them is done with, there is no circle.
    store.cancel_transform(first.transform_id)
    assert store.wait_transform(first.transform_id).state == "cancelled"
    third = store.start_transform(renamed(target, source, "let: {x: '1'}\n"))
    assert store.get_transform(third.transform_id).failure is None
    store.cancel_transform(third.transform_id)


def index_reads(server: RunningServer) -> int:
    """Entries of indexes of events that were read."""
    with psycopg.connect(str(server.options["database_url"])) as connection:
        row = connection.execute(
            "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes"
            " WHERE schemaname = %s AND relname LIKE 'events%%'",
            (server.options["schema"],),
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_transform_that_began_on_a_short_log_compares_a_long_one_by_its_indexes(
    start: Starter,
) -> None:
    server, events = start(), 4_000
    with Client(server.address) as store:
        fill(store, "S", 2, 1)
        started = store.start_transform(renamed("S", "T"))
        assert store.wait_transform(started.transform_id).state == "verified"
        # Plans are made, and kept, for the few events that are there.
        for _ in range(8):
            # Before: what comes now may be compared at once.
            found = store.get_transform(started.transform_id)
            fill(store, "S", 1, 1)
            until(
                store,
                started.transform_id,
                lambda one, written=found.events_written: one.verification.events > written,
            )
        before = index_reads(server)
        for _ in range(events // 500):
            store.append(
                "S-1", [purchase(1, 1) for _ in range(500)], expected_version=eventfold.ANY
            )
        until(store, started.transform_id, lambda one: one.verification.events >= events)
    server.stop()
    assert index_reads(server) - before < 100 * events
