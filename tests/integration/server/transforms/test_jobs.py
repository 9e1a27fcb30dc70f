"""Goal: a transform tries its document, copies, follows the log, compares, and cuts over; what it
cannot do it refuses, with nothing half done.

Method: the SDK against real servers; what the log holds afterwards is compared with what the
document says, worked out here anew.
"""

from __future__ import annotations

import threading
import uuid

import pytest
from tests.integration.server.conftest import Starter
from tests.support.servers import RunningServer
from tests.support.transform_jobs import (
    by_month,
    check_copies,
    fill,
    purchase,
    renamed,
    totals,
    until,
)

import eventfold
from eventfold import AsyncClient, Client, Event, Lifecycle


@pytest.fixture
def store(server: RunningServer) -> Client:
    with Client(server.address) as client:
        yield client


@pytest.fixture
def names() -> tuple[str, str]:
    """Categories of the test alone."""
    drawn = uuid.uuid4().hex[:12]
    return f"S{drawn}", f"T{drawn}"


def test_streams_are_merged_by_month_and_cut_over(store: Client, names: tuple[str, str]) -> None:
    source, target = names
    fill(store, source, 5, 12)
    started = store.start_transform(by_month(source, target))
    assert started.state == "trying"
    found = store.wait_transform(started.transform_id)
    assert (found.state, found.failure) == ("verified", None)
    assert (found.events_read, found.events_written) == (120, 60)
    assert check_copies(store, source, target) == 60
    assert found.trial.counts == found.counts
    assert {(one.type, one.read, one.written, one.dropped) for one in found.counts} == {
        ("Purchased", 60, 60, 0), ("Ignored", 60, 0, 60)
    }  # fmt: skip
    assert (found.verification.events, found.verification.targets_equal) == (60, 12)
    plan = store.cut_over(started.transform_id, dry_run=True).plan
    assert plan is not None
    assert (plan.successors, plan.without_successor) == (0, 5)
    assert store.get_transform(started.transform_id).state == "verified"

    before = totals(store, source)
    store.cut_over(started.transform_id)
    done = store.wait_transform(started.transform_id)
    assert (done.state, done.sources, done.sources_closed, done.successors) == ("done", 5, 5, 0)
    assert 0 < done.held_ms <= done.cutover_ms_max == 250
    assert totals(store, target) == totals(store, source) == before
    with pytest.raises(eventfold.StreamClosed) as closed:
        store.append(f"{source}-1", [purchase(1, 1)], expected_version=eventfold.ANY)
    assert closed.value.successor is None
    with pytest.raises(eventfold.TransformState) as twice:
        store.cut_over(started.transform_id)
    assert twice.value.state == "done"
    with pytest.raises(eventfold.TransformState):
        store.cancel_transform(started.transform_id)


def test_one_source_into_one_target_gets_a_successor(store: Client, names: tuple[str, str]) -> None:
    source, target = names
    fill(store, source, 3, 2)
    started = store.start_transform(renamed(source, target))
    assert store.wait_transform(started.transform_id).state == "verified"
    store.cut_over(started.transform_id, cutover_ms_max=1_000)
    done = store.wait_transform(started.transform_id)
    assert (done.state, done.successors) == ("done", 3)
    for number in range(3):
        old = store.get_stream(f"{source}-{number}")
        assert (old.lifecycle, old.successor) == (Lifecycle.CLOSED, f"{target}-{number}")
        new = store.get_stream(f"{target}-{number}")
        assert (new.lifecycle, new.predecessor, new.version) == (Lifecycle.OPEN, None, old.version)
    streams = list(store.list_transform_streams(started.transform_id, page_size=2))
    assert [(one.stream, getattr(one, "successor", None)) for one in streams] == [
        (f"{source}-0", f"{target}-0"),
        (f"{source}-1", f"{target}-1"),
        (f"{source}-2", f"{target}-2"),
        (f"{target}-0", None),
        (f"{target}-1", None),
        (f"{target}-2", None),
    ]


def test_who_follows_a_stream_comes_to_what_took_its_place(
    store: Client, names: tuple[str, str]
) -> None:
    source, target = names
    last = f"{target}b"
    store.append(f"{source}-1", [purchase(1, 1)], expected_version=0)
    for old, new in ((source, target), (target, last)):
        started = store.start_transform(renamed(old, new))
        assert store.wait_transform(started.transform_id).state == "verified"
        store.cut_over(started.transform_id)
        assert store.wait_transform(started.transform_id).state == "done"
    event = purchase(1, 2)
    for duplicate in (False, True):
        result = store.append(f"{source}-1", [event], expected_version=eventfold.ANY, follow=True)
        assert (result.stream, result.last_version) == (f"{last}-1", 2)
        assert result.duplicate == duplicate
    with pytest.raises(eventfold.StreamClosed):
        store.append(f"{source}-1", [purchase(1, 3)], expected_version=eventfold.ANY)
    read = store.read(f"{source}-1", follow="open").to_list()
    assert [(one.stream, one.version) for one in read] == [(f"{last}-1", 1), (f"{last}-1", 2)]
    store.put_fold(
        f"fold: sum-{source}\ninitial: {{sum: 0}}\n"
        "handlers: {Purchased: {sum: 'state.sum + int(event.cents)'}}\n"
    )
    found = store.hydrate(source, "1", fold=f"sum-{source}", follow="open")
    assert (found.stream, found.state) == (f"{last}-1", {"sum": 302})
    # By periods the line ends where its books were: the target has the events of before itself.
    by_periods = store.read(f"{source}-1", follow="all").to_list()
    assert [(one.stream, one.version) for one in by_periods] == [(f"{source}-1", 1)]


def test_it_follows_the_log_until_the_last_append(store: Client, names: tuple[str, str]) -> None:
    source, target = names
    fill(store, source, 4, 5)
    started = store.start_transform(by_month(source, target))
    refused, stored = [], []

    def write(customer: int) -> None:
        number = 100
        while True:
            number += 1
            try:
                store.append(
                    f"{source}-{customer}", [purchase(customer, number)],
                    expected_version=eventfold.ANY,
                )  # fmt: skip
            except eventfold.StreamClosed:
                refused.append(customer)
                return
            stored.append(customer)

    writers = [threading.Thread(target=write, args=(customer,)) for customer in range(4)]
    for writer in writers:
        writer.start()
    until(store, started.transform_id, lambda one: one.state == "verified" and len(stored) > 200)
    store.cut_over(started.transform_id)
    done = store.wait_transform(started.transform_id)
    for writer in writers:
        writer.join()
    assert (done.state, sorted(refused)) == ("done", [0, 1, 2, 3])
    assert done.held_ms <= done.cutover_ms_max
    assert check_copies(store, source, target) == 20 + len(stored) == done.events_written


def test_a_dry_run_stores_nothing(store: Client, names: tuple[str, str]) -> None:
    source, target = names
    fill(store, source, 2, 3)
    store.append(f"{source}-9", [Event("Purchased", {"month": 3})], expected_version=0)
    store.append(f"{target}-2026-01", [Event("Other", {})], expected_version=0)
    started = store.start_transform(by_month(source, target), dry_run=True)
    found = store.wait_transform(started.transform_id)
    assert (found.state, found.dry_run, found.events_written) == ("tried", True, 0)
    assert [stream.name for stream in store.list_streams(category=target)] == [f"{target}-2026-01"]
    trial = found.trial
    assert trial.failures_count == 2
    reasons = {failure.reason: failure for failure in trial.failures}
    assert reasons["TARGET_EXISTS"].facts["stream"] == f"{target}-2026-01"
    assert reasons["TRANSFORM_FAILED"].facts["stream"] == f"{source}-9"
    [example] = [one for one in trial.examples if one.type == "Purchased"]
    assert example.copies[0].stream.startswith(f"{target}-2026-")
    with pytest.raises(eventfold.TransformState) as early:
        store.cut_over(started.transform_id)
    assert early.value.state == "tried"


def test_a_document_that_fails_on_what_is_there_writes_nothing(
    store: Client, names: tuple[str, str]
) -> None:
    source, target = names
    fill(store, source, 2, 300)
    store.append(f"{source}-0", [Event("Purchased", {"cents": 1})], expected_version=eventfold.ANY)
    started = store.start_transform(by_month(source, target))
    found = store.wait_transform(started.transform_id)
    assert (found.state, found.events_written) == ("failed", 0)
    assert found.failure is not None
    assert found.failure.reason == "TRANSFORM_FAILED"
    assert list(store.list_streams(category=target)) == []
    # Nothing is in the way of a document that is mended.
    mended = by_month(source, target).replace("event.month", "event.?month.orValue('none')")
    again = store.start_transform(mended)
    assert store.wait_transform(again.transform_id).state == "verified"


def test_what_fails_later_stands_and_can_be_cancelled(
    store: Client, names: tuple[str, str]
) -> None:
    source, target = names
    fill(store, source, 2, 3)
    started = store.start_transform(by_month(source, target))
    assert store.wait_transform(started.transform_id).state == "verified"
    store.append(f"{source}-0", [Event("Purchased", {"cents": 1})], expected_version=eventfold.ANY)
    failed = until(store, started.transform_id, lambda one: one.state == "failed")
    assert failed.failure is not None
    assert failed.failure.facts["stream"] == f"{source}-0"
    assert failed.events_written == 6
    assert store.get_stream(f"{source}-0").lifecycle == Lifecycle.OPEN
    store.cancel_transform(started.transform_id)
    cancelled = store.wait_transform(started.transform_id)
    assert (cancelled.state, cancelled.events_written) == ("cancelled", 6)
    lifecycles = {stream.lifecycle for stream in store.list_streams(category=target)}
    assert lifecycles == {Lifecycle.CLOSED}


def test_a_target_that_somebody_else_writes_to(store: Client, names: tuple[str, str]) -> None:
    source, target = names
    fill(store, source, 2, 3)
    started = store.start_transform(renamed(source, target))
    assert store.wait_transform(started.transform_id).state == "verified"
    store.append(f"{target}-1", [Event("Foreign", {})], expected_version=eventfold.ANY)
    fill(store, source, 2, 1)
    failed = until(store, started.transform_id, lambda one: one.state == "failed")
    assert failed.failure is not None
    assert failed.failure.reason == "TARGET_MOVED"
    facts = failed.failure.facts
    assert (facts["stream"], facts["expected"], facts["actual"]) == (f"{target}-1", "6", "7")


def test_a_moved_target_ends_a_cut_over_and_sources_open_again(
    store: Client, names: tuple[str, str]
) -> None:
    source, target = names
    fill(store, source, 2, 3)
    started = store.start_transform(renamed(source, target))
    assert store.wait_transform(started.transform_id).state == "verified"
    store.append(f"{target}-1", [Event("Foreign", {})], expected_version=eventfold.ANY)
    store.cut_over(started.transform_id)
    failed = until(store, started.transform_id, lambda one: one.state == "failed")
    assert failed.failure is not None
    assert failed.failure.reason == "TARGET_MOVED"
    assert {one.lifecycle for one in store.list_streams(category=source)} == {Lifecycle.OPEN}
    fill(store, source, 2, 1)


def test_states_are_compared(store: Client, names: tuple[str, str]) -> None:
    source, target = names
    fill(store, source, 3, 2)
    for name, field in (("old", "cents"), ("new", "cents"), ("wrong", "cents + 1")):
        store.put_fold(
            f"fold: {name}-{source}\ninitial: {{sum: 0}}\n"
            f"handlers: {{Purchased: {{sum: 'state.sum + int(event.{field})'}}}}\n"
        )
    good = f"verify: {{from: old-{source}, to: new-{source}}}\n"
    found = store.wait_transform(store.start_transform(renamed(source, target, good)).transform_id)
    assert found.state == "verified", found.failure
    assert (found.verification.states_compared, found.verification.states_differing) == (3, 0)
    bad = f"verify: {{from: old-{source}, to: wrong-{source}}}\n"
    found = store.wait_transform(
        store.start_transform(renamed(source, f"{target}b", bad)).transform_id
    )
    assert found.state == "failed"
    assert found.failure is not None
    assert (found.failure.reason, found.failure.facts["problem"]) == ("TRANSFORM_DIFFERS", "state")
    assert found.verification.differing == (f"{source}-0", f"{source}-1", f"{source}-2")
    with pytest.raises(eventfold.FoldNotFound):
        store.start_transform(renamed(source, target, "verify: {from: none, to: none}\n"))


def test_refusals(store: Client, names: tuple[str, str]) -> None:
    source, _ = names
    with pytest.raises(eventfold.InvalidTransform):
        store.start_transform("transform: x\nsource: nothing\n")
    with pytest.raises(eventfold.TransformIntoSource) as into:
        store.start_transform(renamed(source, source))
    assert into.value.category == source
    with pytest.raises(eventfold.TransformNotFound):
        store.get_transform(str(uuid.uuid4()))
    with pytest.raises(eventfold.TransformNotFound):
        store.cancel_transform(str(uuid.uuid4()))
    with pytest.raises(eventfold.InvalidRequest):
        store.get_transform("no-id")
    started = store.start_transform(renamed(source, f"{source}x"))
    for bad in (19, 5_001):
        with pytest.raises(eventfold.InvalidRequest):
            store.cut_over(started.transform_id, cutover_ms_max=bad)
    with pytest.raises(eventfold.InvalidRequest):
        store.start_transform(renamed(source, f"{source}x"), states_max=100_001)


def test_readers_of_both_sides_are_told(store: Client, names: tuple[str, str]) -> None:
    source, target = names
    fill(store, source, 2, 2)
    for name, category in (("of_source", source), ("of_target", target)):
        store.put_projection(
            f"projection: {name}_{source.lower()}\nsource: {{category: {category}}}\n"
            "handlers: {Purchased: {cents: event.cents}}\ncolumns: {cents: integer}\n"
        )
        store.create_group(f"{name}-{source}", categories=[category])
    store.put_projection(
        f"projection: of_all_{source.lower()}\n"
        "handlers: {Purchased: {cents: event.cents}}\ncolumns: {cents: integer}\n"
    )
    started = store.start_transform(renamed(source, target))
    assert store.wait_transform(started.transform_id).state == "verified"
    plan = store.cut_over(started.transform_id, dry_run=True).plan
    assert plan is not None
    assert plan.projections == (f"of_source_{source.lower()}",)
    assert plan.groups == (f"of_source-{source}",)
    # Whoever names a source and a target has to say whether copies count.
    with pytest.raises(eventfold.CopiesAmbiguous):
        list(store.read_all(categories=[source, target]))
    both = store.read_all(categories=[source, target], copies="include").to_list()
    assert len(both) == 16
    alone = store.read_all(categories=[source, target], copies="exclude").to_list()
    assert len(alone) == 8


def test_streams_and_the_log_as_sources(start_shared: Starter) -> None:
    with Client(start_shared().address) as store:
        fill(store, "A", 3, 2)
        chosen = renamed("A", "B").replace("{category: A}", "{streams: [A-2, A-0]}")
        found = store.wait_transform(store.start_transform(chosen).transform_id)
        assert (found.state, found.sources, found.events_written) == ("verified", 2, 8)
        assert [stream.name for stream in store.list_streams(category="B")] == ["B-0", "B-2"]
        # All of the log but copies, and what it writes into.
        all_of_it = chosen.replace("{streams: [A-2, A-0]}", "{log: true}")
        all_of_it = all_of_it.replace("[B]", "[C]").replace("'B-'", "'C-'")
        started = store.start_transform(all_of_it)
        found = store.wait_transform(started.transform_id)
        assert (found.state, found.sources, found.events_written) == ("verified", 3, 12)
        store.cut_over(started.transform_id)
        done = store.wait_transform(started.transform_id)
        assert (done.state, done.sources_closed, done.successors) == ("done", 3, 3)
        assert {one.lifecycle for one in store.list_streams(category="B")} == {Lifecycle.OPEN}


async def test_the_same_calls_in_asyncio(server: RunningServer, names: tuple[str, str]) -> None:
    source, target = names
    async with AsyncClient(server.address) as store:
        await store.append(f"{source}-1", [purchase(1, 1)], expected_version=0)
        started = await store.start_transform(by_month(source, target))
        seen: list[str] = []
        found = await store.wait_transform(
            started.transform_id, on_progress=lambda one: seen.append(one.state)
        )
        assert (found.state, seen[-1]) == ("verified", "verified")
        assert found.progress() == (found.position, found.head)
        listed = [one.transform_id async for one in store.list_transforms(page_size=1)]
        assert listed[0] == started.transform_id
        assert (await store.cut_over(started.transform_id, dry_run=True)).plan is not None
        streams = [one.stream async for one in store.list_transform_streams(found.transform_id)]
        assert len(streams) == 2
        await store.cancel_transform(started.transform_id)
        assert (await store.wait_transform(started.transform_id)).state == "cancelled"
        other = await store.start_transform(by_month(source, f"{target}x"))
        with pytest.raises(eventfold.DeadlineExceeded):
            await store.wait_transform(other.transform_id, timeout=0.01)
