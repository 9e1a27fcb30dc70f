"""Goal: versions of the library and versions of streams stand for each other, and a version is
stored once.

Method: sequences with all kinds of first versions, read by every combination of bounds and compared
with the library's own recorder in memory; two recorders, one of which knows nothing of the other.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    AggregateRecorder,
    IntegrityError,
    ProgrammingError,
    StoredEvent,
)
from eventsourcing.popo import POPOAggregateRecorder

import eventfold
from eventfold import Event
from eventfold.integrations.eventsourcing import (
    EventfoldApplicationRecorder,
    EventfoldSnapshotRecorder,
)

BOUNDS: list[tuple[int | None, int | None, bool, int | None]] = list(
    itertools.product(
        (None, -3, 0, 1, 3, 5, 99), (None, -9, 1, 2, 4, 99), (False, True), (None, 0, 1, 2)
    )
)


def events(originator_id: UUID, *versions: int) -> list[StoredEvent]:
    return [StoredEvent(originator_id, n, f"topic{n}", b'{"n": %d}' % n) for n in versions]


def assert_equal_reads(
    recorder: AggregateRecorder, peer: AggregateRecorder, originator_id: UUID
) -> None:
    for gt, lte, desc, limit in BOUNDS:
        # The peer goes through its events in the order of their insertion, and takes a limit of 0
        # for none.
        expected = sorted(
            peer.select_events(originator_id, gt=gt, lte=lte),
            key=lambda one: one.originator_version,
            reverse=desc,
        )[:limit]
        found = recorder.select_events(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
        assert list(found) == expected, (gt, lte, desc, limit)


@pytest.mark.parametrize("first", [-2, 0, 1, 2, 7])
def test_any_first_version(first: int, recorder: EventfoldApplicationRecorder) -> None:
    originator_id, peer = uuid4(), POPOAggregateRecorder()
    for part in ([first], [first + 1, first + 2], [first + 3]):
        recorder.insert_events(events(originator_id, *part))
        peer.insert_events(events(originator_id, *part))
    assert_equal_reads(recorder, peer, originator_id)
    fresh = EventfoldApplicationRecorder(recorder.client, "account")
    assert_equal_reads(fresh, peer, originator_id)
    notifications = recorder.select_notifications(None, 10)
    assert [one.originator_version for one in notifications] == list(range(first, first + 4))
    stored = recorder.client.read(f"account-{originator_id}").to_list()
    assert [event.version for event in stored] == [1, 2, 3, 4]
    assert [event.metadata for event in stored] == [{"first_version": first}] * 4


@pytest.mark.parametrize("knows", [True, False])
def test_only_the_next_version_is_stored(
    knows: bool, recorder: EventfoldApplicationRecorder
) -> None:
    """Also by a recorder that has not seen the sequence, and must not guess."""
    for first in (-2, 0, 1, 2, 7):
        originator_id = uuid4()
        recorder.insert_events(events(originator_id, first, first + 1, first + 2))
        for version in range(first - 3, first + 8):
            if version == first + 3:
                continue
            writer = recorder
            if not knows:
                writer = EventfoldApplicationRecorder(recorder.client, "account")
            with pytest.raises(IntegrityError):
                writer.insert_events(events(originator_id, version))
        writer = EventfoldApplicationRecorder(recorder.client, "account")
        writer.insert_events(events(originator_id, first + 3))
        versions = [one.originator_version for one in recorder.select_events(originator_id)]
        assert versions == list(range(first, first + 4))


def test_a_second_event_by_a_recorder_that_knows_nothing(
    recorder: EventfoldApplicationRecorder,
) -> None:
    """Version 1 could be the first one; it is not, where there is a version 0."""
    originator_id = uuid4()
    recorder.insert_events(events(originator_id, 0))
    other = EventfoldApplicationRecorder(recorder.client, "account")
    assert other.insert_events(events(originator_id, 1)) == [2]
    with pytest.raises(IntegrityError):
        EventfoldApplicationRecorder(recorder.client, "account").insert_events(
            events(originator_id, 1)
        )


def test_backwards_while_the_head_moves_beyond_the_bound(
    recorder: EventfoldApplicationRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    originator_id = uuid4()
    recorder.insert_events(events(originator_id, 1, 2))
    read = eventfold.Client.read

    def late(*args: object, **options: object) -> object:
        monkeypatch.setattr(eventfold.Client, "read", read)
        try:
            return read(*args, **options).to_list()  # type: ignore[arg-type]
        finally:
            recorder.insert_events(events(originator_id, 3, 4, 5, 6))

    monkeypatch.setattr(eventfold.Client, "read", late)
    found = recorder.select_events(originator_id, lte=4, desc=True, limit=2)
    assert [one.originator_version for one in found] == [4, 3]


def test_an_insertion_has_no_gaps(recorder: EventfoldApplicationRecorder) -> None:
    for versions in ((1, 3), (1, 1), (2, 1)):
        with pytest.raises(IntegrityError, match="gaps"):
            recorder.insert_events(events(uuid4(), *versions))


def test_several_aggregates_are_stored_together(recorder: EventfoldApplicationRecorder) -> None:
    """Or none of them; ids are told in the order of the argument."""
    first, second = uuid4(), uuid4()
    recorder.insert_events(events(second, 1))
    mixed = [*events(first, 1), *events(second, 2), *events(first, 2)]
    assert recorder.insert_events(mixed) == [2, 4, 3]
    with pytest.raises(IntegrityError):
        recorder.insert_events([*events(first, 3), *events(second, 2)])
    with pytest.raises(IntegrityError):
        recorder.insert_events([*events(uuid4(), 1), *events(second, 2)])
    assert recorder.max_notification_id() == 4
    # One that is new and one that begins with another version than is guessed.
    third = uuid4()
    recorder.insert_events(events(third, 0))
    other = EventfoldApplicationRecorder(recorder.client, "account")
    assert other.insert_events([*events(third, 1), *events(uuid4(), 1)]) == [6, 7]


def test_snapshots_have_gaps_and_any_order(snapshots: EventfoldSnapshotRecorder) -> None:
    originator_id, peer = uuid4(), POPOAggregateRecorder()
    for part in ([3], [1], [10, 5], [4], [20]):
        snapshots.insert_events(events(originator_id, *part))
        peer.insert_events(events(originator_id, *part))
    assert_equal_reads(snapshots, peer, originator_id)
    for version in (1, 3, 4, 5, 10, 20):
        with pytest.raises(IntegrityError):
            snapshots.insert_events(events(originator_id, version))
    with pytest.raises(IntegrityError):
        snapshots.insert_events(events(originator_id, 30, 30))
    assert len(snapshots.select_events(originator_id)) == 6


def test_the_newest_snapshot_takes_one_event(
    snapshots: EventfoldSnapshotRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    originator_id = uuid4()
    for version in range(10, 400, 10):
        snapshots.insert_events(events(originator_id, version))
    limits: list[int] = []
    read = eventfold.Client.read

    def counted(*args: object, **options: object) -> object:
        limits.append(options["limit"])  # type: ignore[arg-type]
        return read(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(eventfold.Client, "read", counted)
    [newest] = snapshots.select_events(originator_id, desc=True, limit=1)
    assert (newest.originator_version, limits) == (390, [1])
    [older] = snapshots.select_events(originator_id, desc=True, limit=1, lte=205)
    assert older.originator_version == 200


def test_snapshots_of_one_aggregate_at_once(snapshots: EventfoldSnapshotRecorder) -> None:
    """Different versions are all stored, and each once."""
    originator_id = uuid4()
    versions = [n % 12 for n in range(24)]

    def insert(version: int) -> bool:
        try:
            snapshots.insert_events(events(originator_id, version))
        except IntegrityError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(insert, versions))
    assert sum(stored) == 12
    found = snapshots.select_events(originator_id)
    assert [one.originator_version for one in found] == list(range(12))


def test_writers_exclude_each_other(recorder: EventfoldApplicationRecorder) -> None:
    """Of all that insert one version, one gets it."""
    originator_id = uuid4()
    barrier = threading.Barrier(6)

    def write(_: int) -> int:
        own = EventfoldApplicationRecorder(recorder.client, "account")
        won = 0
        for version in range(20):
            barrier.wait(60)
            try:
                own.insert_events(events(originator_id, version))
                won += 1
            except IntegrityError:
                continue
        return won

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(write, range(6))) == 20
    assert len(recorder.select_events(originator_id)) == 20


def test_deleted_and_closed_streams(recorder: EventfoldApplicationRecorder) -> None:
    """An aggregate whose stream was deleted is not there, and its notifications are left out."""
    first, second = uuid4(), uuid4()
    recorder.insert_events([*events(first, 1, 2), *events(second, 1)])
    client = recorder.client
    deletion = client.delete_stream(f"account-{first}", expected_version=2, reason="test")
    client.wait_deletion(deletion.deletion_id)
    assert recorder.select_events(first) == []
    assert recorder.select_events(first, gt=1, desc=True) == []
    assert [one.originator_id for one in recorder.select_notifications(None, 10)] == [second]
    fresh = EventfoldApplicationRecorder(client, "account")
    for version in (1, 3):
        with pytest.raises((ProgrammingError, IntegrityError)):
            fresh.insert_events(events(first, version))
    client.append("account-9", [Event("a")], expected_version=0)
    client.close_stream("account-9", successor=None)
    with pytest.raises((ProgrammingError, IntegrityError)):
        recorder.insert_events([StoredEvent("9", 3, "a", b"{}")])
