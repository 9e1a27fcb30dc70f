"""Goal: what breaks on the way is an error of the library's kind, and nothing is lost or doubled.

Method: real servers behind a proxy that cuts the line, servers that are gone, refuse or are slow.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    Notification,
    OperationalError,
    PersistenceError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from tests.support.proxy import Proxy, cutting

import eventfold
from eventfold.integrations.eventsourcing import (
    EventfoldApplicationRecorder,
    EventfoldProcessRecorder,
    persistence_error,
)


@contextmanager
def cuts(proxy: Proxy) -> Iterator[None]:
    """Cuts the line at random moments, a few times a second."""
    over = threading.Event()

    def work() -> None:
        chance = random.Random(5)
        while not over.wait(chance.uniform(0.05, 0.2)):
            proxy.cut()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_insertions_over_a_line_that_breaks_are_stored_once(eventfold_target: str) -> None:
    """With trackings, each of which belongs to one event: an insertion whose outcome got lost is
    repeated by the client under the same ids, and is no IntegrityError.
    """
    stored: list[StoredEvent] = []
    with (
        cutting(eventfold_target) as proxy,
        cuts(proxy),
        eventfold.Client(proxy.address, timeout=30) as client,
    ):
        recorder = EventfoldProcessRecorder(client)
        while proxy.cuts < 10:
            event = StoredEvent(uuid4(), 1, "topic", b"{}")
            recorder.insert_events([event], tracking=Tracking("upstream", len(stored) + 1))
            stored.append(event)
    with eventfold.Client(eventfold_target) as client:
        recorder = EventfoldProcessRecorder(client)
        found = recorder.select_notifications(None, len(stored) + 1)
        assert [one.originator_id for one in found] == [one.originator_id for one in stored]
        assert recorder.max_tracking_id("upstream") == len(stored)


def test_a_subscription_over_a_line_that_breaks(eventfold_target: str) -> None:
    got: list[Notification] = []
    with (
        cutting(eventfold_target) as proxy,
        eventfold.Client(eventfold_target) as direct,
        eventfold.Client(proxy.address, timeout=30) as client,
    ):
        writer = EventfoldApplicationRecorder(direct)
        with EventfoldApplicationRecorder(client).subscribe() as subscription:
            for n in range(1, 101):
                writer.insert_events([StoredEvent("one", n, "topic", b"{}")])
                got.append(next(subscription))
                if n % 10 == 0:
                    proxy.cut()
    assert [(one.id, one.originator_version) for one in got] == [(n, n) for n in range(1, 101)]


def test_a_subscription_that_waits_is_stopped_from_elsewhere(
    recorder: EventfoldApplicationRecorder,
) -> None:
    with recorder.subscribe() as subscription:
        threading.Timer(0.3, subscription.stop).start()
        began = time.monotonic()
        assert list(subscription) == []
        assert 0.2 < time.monotonic() - began < 5


def test_behind_the_head_is_nothing(recorder: EventfoldApplicationRecorder) -> None:
    """To read from there is an empty answer; to follow from there would wait for what can mean
    nothing but another log.
    """
    recorder.insert_events([StoredEvent("one", 1, "topic", b"{}")])
    for start in (2, 3, 1_000):
        assert recorder.select_notifications(start, 10) == []
    assert recorder.select_notifications(1, 10, stop=1_000)[-1].id == 1
    assert recorder.select_notifications(5, 10, stop=2) == []
    assert recorder.select_notifications(None, 0) == []
    with recorder.subscribe(gt=5) as subscription, pytest.raises(OperationalError):
        next(subscription)


def test_no_server() -> None:
    with eventfold.Client("127.0.0.1:1", timeout=0.5) as client:
        recorder = EventfoldProcessRecorder(client)
        for call in (
            lambda: recorder.insert_events([StoredEvent("one", 1, "topic", b"{}")]),
            lambda: recorder.select_events("one"),
            lambda: recorder.select_notifications(None, 1),
            recorder.max_notification_id,
            lambda: recorder.max_tracking_id("upstream"),
            lambda: recorder.insert_tracking(Tracking("upstream", 1)),
            lambda: next(recorder.subscribe()),
        ):
            with pytest.raises(OperationalError) as raised:
                call()
            assert isinstance(raised.value.__cause__, eventfold.EventfoldError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (eventfold.VersionConflict(1, 2), IntegrityError),
        (eventfold.EventIdReused("x"), IntegrityError),
        (eventfold.OutcomeUnknown("x"), OperationalError),
        (eventfold.Overloaded("x"), OperationalError),
        (eventfold.DeadlineExceeded("x"), OperationalError),
        (eventfold.StoreIncarnationChanged("x"), OperationalError),
        (eventfold.AppendTooLarge("x"), DataError),
        (eventfold.SchemaViolation("x"), DataError),
        (eventfold.PermissionDenied("x"), ProgrammingError),
        (eventfold.StreamClosed("x"), ProgrammingError),
        (eventfold.UnexpectedAnswer("x"), InterfaceError),
        (eventfold.Bug("x"), InternalError),
        (eventfold.SubjectErased("x"), DatabaseError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_those_of_the_library(
    error: eventfold.EventfoldError, kind: type[PersistenceError]
) -> None:
    assert type(persistence_error(error)) is kind


def test_trackings_of_two_processes(store: eventfold.Client) -> None:
    """A tracking is stored by one of them; what the other made of the same notification is not."""
    first, second = EventfoldProcessRecorder(store), EventfoldProcessRecorder(store)
    first.insert_events([StoredEvent("a", 1, "t", b"{}")], tracking=Tracking("upstream", 1))
    with pytest.raises(IntegrityError):
        second.insert_events([StoredEvent("b", 1, "t", b"{}")], tracking=Tracking("upstream", 1))
    second.insert_events([StoredEvent("b", 1, "t", b"{}")], tracking=Tracking("upstream", 2))
    # The first one still believes in 1, and finds out.
    with pytest.raises(IntegrityError):
        first.insert_events([StoredEvent("c", 1, "t", b"{}")], tracking=Tracking("upstream", 2))
    first.insert_events([StoredEvent("c", 1, "t", b"{}")], tracking=Tracking("upstream", 3))
    # A conflict of the events leaves no tracking.
    with pytest.raises(IntegrityError):
        first.insert_events([StoredEvent("c", 1, "t", b"{}")], tracking=Tracking("upstream", 4))
    assert second.max_tracking_id("upstream") == 3
    ids = [one.originator_id for one in second.select_notifications(None, 10)]
    assert ids == ["a", "b", "c"]


def test_a_tracking_is_one_of_the_events_of_an_insertion(store: eventfold.Client) -> None:
    recorder = EventfoldProcessRecorder(store)
    events = [StoredEvent("one", n, "t", b"{}") for n in range(1, 1_001)]
    with pytest.raises(DataError):
        recorder.insert_events(events, tracking=Tracking("upstream", 1))
    assert recorder.insert_events(events[:999], tracking=Tracking("upstream", 1))
    others = [StoredEvent("two", n, "t", b"{}") for n in range(1, 1_001)]
    assert recorder.insert_events(others)


def test_a_client_that_is_closed() -> None:
    client = eventfold.Client("127.0.0.1:1", timeout=0.5)
    recorder = EventfoldProcessRecorder(client)
    client.close()
    for call in (
        lambda: recorder.insert_events([StoredEvent("one", 1, "topic", b"{}")]),
        lambda: recorder.select_events("one"),
        recorder.max_notification_id,
        lambda: next(recorder.subscribe()),
    ):
        with pytest.raises(InterfaceError, match="closed"):
            call()
