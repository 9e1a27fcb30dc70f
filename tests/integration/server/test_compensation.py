"""Goal: an event is cancelled once, whoever tries, and never what must stay; a cancellation is an
append like any other, and reads say what it cancels.

Method: calls of the SDK and of the stubs on a real server; races of threads and of two servers;
streams and events of kinds that no call makes are made in the database.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import psycopg
import pytest
from tests.integration.server.conftest import Starter
from tests.support.database import connected
from tests.support.servers import RunningServer

import eventfold
from eventfold import ANY, Event, EventFlags
from eventfold.v1 import compensation_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc
from eventfold_server.limits import COMPENSATION_REASON_BYTES_MAX

EURO = {"amount": 97, "currency": "Euro"}
EUR = {"amount": 97, "currency": "EUR"}
ONLY_EUR = {"type": "object", "properties": {"currency": {"enum": ["EUR"]}}}


@pytest.fixture
def store(server: RunningServer) -> Iterator[eventfold.Client]:
    with eventfold.Client(server.address) as opened:
        yield opened


def new_stream() -> str:
    return f"customer-{uuid.uuid4().hex}"


def paid(store: eventfold.Client, stream: str, count: int = 1) -> list[Event]:
    """Events to be cancelled, at the end of a stream."""
    events = [Event("Paid", EURO) for _ in range(count)]
    store.append(stream, events, expected_version=ANY)
    return events


def test_the_example_of_the_talk(store: eventfold.Client) -> None:
    stream = new_stream()
    [wrong] = paid(store, stream)
    right = Event("Paid", EUR, tags=["corrected"])
    result = store.compensate(
        stream, wrong, reason="Euro: EUR was meant", expected_version=1, correction=right
    )
    assert (result.first_version, result.last_version, result.duplicate) == (2, 3, False)
    first, cancellation, corrected = store.read(stream, mark_cancelled=True)
    assert (first.data, first.cancelled, first.cancels) == (EURO, True, None)
    assert cancellation.type == "PaidCancelled"
    assert cancellation.data == {"reasonEventId": wrong.id, "reason": "Euro: EUR was meant"}
    assert (cancellation.cancels, cancellation.cancelled) == (wrong.id, False)
    assert (corrected.id, corrected.data, corrected.cancelled) == (right.id, EUR, False)
    assert corrected.position == cancellation.position + 1
    assert corrected.recorded_at == cancellation.recorded_at


@pytest.mark.parametrize("correction", [None, Event("Paid", EUR, id=uuid.UUID(int=7))])
def test_the_same_ids_again_are_known(start: Starter, correction: Event | None) -> None:
    with eventfold.Client(start().address) as store:
        [wrong] = paid(store, "customer-1")

        def compensate(reason: str) -> eventfold.AppendResult:
            return store.compensate(
                "customer-1",
                wrong.id,
                reason=reason,
                expected_version=1,
                correction=correction,
                id=uuid.UUID(int=8),
            )

        first = compensate("r")
        again = compensate("r")
        assert again.duplicate
        assert (again.first_version, again.positions) == (first.first_version, first.positions)
        with pytest.raises(eventfold.EventIdReused):
            compensate("another reason")
        assert store.get_stream("customer-1").version == first.last_version


def test_an_ordinary_event_with_the_same_contents_is_no_cancellation(
    store: eventfold.Client,
) -> None:
    stream = new_stream()
    [wrong] = paid(store, stream)
    data = json.dumps({"reasonEventId": wrong.id, "reason": "r"}, separators=(",", ":")).encode()
    alike = Event("PaidCancelled", data)
    store.append(stream, [alike], expected_version=1)
    with pytest.raises(eventfold.EventIdReused) as reused:
        store.compensate(stream, wrong, reason="r", expected_version=2, id=alike.id)
    assert reused.value.facts["problem"] == "other_content"
    assert not any(event.cancelled for event in store.read(stream, mark_cancelled=True))


def test_refusals_leave_nothing(store: eventfold.Client) -> None:
    stream, other = new_stream(), new_stream()
    wrong, second = paid(store, stream, 2)
    [elsewhere] = paid(store, other)
    nobody = str(uuid.uuid4())
    cancelling = str(uuid.uuid4())
    store.compensate(stream, wrong, reason="r", expected_version=2, id=cancelling)

    def refused(error: type[eventfold.EventfoldError], event: object, **more: object) -> object:
        options = {"reason": "r", "expected_version": ANY, "correction": Event("Paid", EUR)} | more
        with pytest.raises(error) as caught:
            store.compensate(stream, event, **options)  # type: ignore[arg-type]
        return caught.value.facts

    assert refused(eventfold.EventNotFound, nobody) == {"event_id": nobody}
    assert refused(eventfold.EventOfOtherStream, elsewhere) == {
        "event_id": elsewhere.id,
        "stream": other,
    }
    assert refused(eventfold.EventAlreadyCancelled, wrong) == {
        "event_id": wrong.id,
        "cancelled_by": cancelling,
        "stream": stream,
    }
    # Nobody who decides anew could do better, so it counts before the version.
    refused(eventfold.EventAlreadyCancelled, wrong, expected_version=2)
    assert refused(eventfold.CancellationNotCancellable, cancelling) == {
        "event_id": cancelling,
        "stream": stream,
    }
    refused(eventfold.VersionConflict, second, expected_version=2)
    refused(eventfold.InvalidJson, second, correction=Event("Paid", b'{"a":1,"a":2}'))
    refused(eventfold.InvalidEventType, second, type="$Paid")
    refused(eventfold.EventIdReused, second, id=elsewhere.id)
    for reason in ("", " \n", "x" * (COMPENSATION_REASON_BYTES_MAX + 1), "a\0b"):
        facts = refused(eventfold.InvalidRequest, second, reason=reason)
        assert isinstance(facts, dict)
        assert facts["field"] == "reason"
    assert store.get_stream(stream).version == 3
    longest = "ä" * (COMPENSATION_REASON_BYTES_MAX // 2)
    store.compensate(stream, second, reason=longest, expected_version=3)
    assert list(store.read(stream))[-1].data["reason"] == longest


def test_a_type_that_grows_too_long_has_to_be_named(store: eventfold.Client) -> None:
    stream = new_stream()
    event = Event("T" * 120)
    store.append(stream, [event], expected_version=0)
    with pytest.raises(eventfold.InvalidEventType) as refused:
        store.compensate(stream, event, reason="r", expected_version=1)
    assert refused.value.facts["problem"] == "too_long"
    store.compensate(stream, event, reason="r", expected_version=1, type="Taken back")
    assert list(store.read(stream))[-1].type == "Taken back"


def insert(connection: psycopg.Connection[object], schema: object, stream: str, event: str) -> None:
    """An event as only the server makes them; `event` is its type and flags."""
    connection.execute(
        f"WITH c AS (UPDATE {schema}.counter SET position = position + 1 RETURNING position),"
        f" s AS (UPDATE {schema}.streams SET version = version + 1 WHERE name = %s"
        "         RETURNING stream_no, version)"
        f" INSERT INTO {schema}.events (position, stream_no, version, recorded_at, occurred_at,"
        "        event_id, type, flags, category, writer, data, metadata, sent_digest,"
        "        stored_digest)"
        " SELECT c.position, s.stream_no, s.version, now(), now(), gen_random_uuid(),"
        f"       {event}, 'customer', 'x', '{{}}', '{{}}', sha256(''), sha256('{{}}{{}}')"
        "  FROM c, s",
        (stream,),
    )


@pytest.mark.parametrize("kind", ["'$Closed', 129", "'$Other', 1", "'Deactivated', 65"])
def test_what_the_server_appends_stays(
    database_url: str, server: RunningServer, store: eventfold.Client, kind: str
) -> None:
    stream = new_stream()
    paid(store, stream)
    with connected(database_url) as connection:
        insert(connection, server.options["schema"], stream, kind)
    event = list(store.read(stream))[-1]
    with pytest.raises(eventfold.EventNotCancellable) as refused:
        store.compensate(stream, event, reason="r", expected_version=2)
    assert refused.value.facts == {"event_id": event.id, "type": event.type, "stream": stream}
    assert store.get_stream(stream).version == 2


def test_a_stream_that_has_ended_takes_none(
    database_url: str, server: RunningServer, store: eventfold.Client
) -> None:
    stream = new_stream()
    first, second = paid(store, stream, 2)
    store.compensate(stream, first, reason="r", expected_version=2, id=uuid.UUID(int=99))
    for lifecycle, error in ((2, eventfold.StreamClosed), (3, eventfold.StreamDeleted)):
        with connected(database_url) as connection:
            connection.execute(
                f"UPDATE {server.options['schema']}.streams SET lifecycle = %s, successor = %s"
                " WHERE name = %s",
                (lifecycle, f"{stream}@2" if lifecycle == 2 else None, stream),
            )
        for event in (first, second):
            with pytest.raises(error):
                store.compensate(stream, event, reason="r", expected_version=3)
        # What is stored is known all the same.
        again = store.compensate(
            stream, first, reason="r", expected_version=2, id=uuid.UUID(int=99)
        )
        assert again.duplicate


def test_of_many_at_once_one_cancels(start: Starter) -> None:
    """Threads of several servers, each with an id and a correction of its own."""
    one = start()
    two = start(schema=one.options["schema"])
    threads = 8
    with eventfold.Client(one.address) as first, eventfold.Client(two.address) as second:
        for number in range(20):
            stream = f"customer-{number}"
            [wrong] = paid(first, stream)
            together = threading.Barrier(threads)

            def compensate(
                at: int,
                together: threading.Barrier = together,
                stream: str = stream,
                wrong: Event = wrong,
            ) -> str:
                store = (first, second)[at % 2]
                mine = str(uuid.uuid4())
                together.wait(timeout=30)
                try:
                    store.compensate(
                        stream,
                        wrong,
                        reason=f"by {at}",
                        expected_version=ANY,
                        correction=Event("Paid", {"by": at}),
                        id=mine,
                    )
                except eventfold.EventAlreadyCancelled as refused:
                    return f"refused {refused.cancelled_by}"
                return f"stored {mine}"

            with ThreadPoolExecutor(threads) as pool:
                outcomes = list(pool.map(compensate, range(threads)))
            [stored] = [one for one in outcomes if one.startswith("stored")]
            assert set(outcomes) == {stored, stored.replace("stored", "refused")}
            _, cancellation, correction = first.read(stream)
            assert stored == f"stored {cancellation.id}"
            assert cancellation.data["reason"] == f"by {correction.data['by']}"


def test_rules_hold_for_both_events(start: Starter) -> None:
    with eventfold.Client(start().address) as store:
        [wrong] = paid(store, "customer-1")
        store.put_schema("Paid", ONLY_EUR, accept_misfits=True)
        reason = {"type": "object", "properties": {"reason": {"minLength": 5}}}
        store.put_schema("PaidCancelled", reason)
        for event in ("Paid", "PaidCancelled"):
            store.put_event_type(event, schema_mode="enforce")

        def compensate(reason: str, currency: str) -> eventfold.AppendResult:
            return store.compensate(
                "customer-1",
                wrong,
                reason=reason,
                expected_version=1,
                correction=Event("Paid", {"currency": currency}),
            )

        for why, currency, index in (("four", "EUR", 0), ("long enough", "Euro", 1)):
            with pytest.raises(eventfold.SchemaViolation) as refused:
                compensate(why, currency)
            assert refused.value.event_index == index
        assert compensate("long enough", "EUR").last_version == 3


def test_rules_that_another_server_has_put_hold(start: Starter) -> None:
    one = start()
    two = start(schema=one.options["schema"])
    with eventfold.Client(one.address) as first, eventfold.Client(two.address) as second:
        [wrong] = paid(first, "customer-1")
        second.put_schema("Paid", ONLY_EUR, accept_misfits=True)
        second.put_event_type("Paid", schema_mode="enforce")
        with pytest.raises(eventfold.SchemaViolation):
            first.compensate(
                "customer-1",
                wrong,
                reason="r",
                expected_version=1,
                correction=Event("Paid", EURO),
            )
        assert first.get_stream("customer-1").version == 1


def test_subscribers_hear_of_it_at_once(server: RunningServer, store: eventfold.Client) -> None:
    stream = new_stream()
    [wrong] = paid(store, stream)
    with store.subscribe(stream) as subscription:
        events = iter(subscription)
        assert next(events).id == wrong.id
        store.compensate(stream, wrong, reason="r", expected_version=1)
        assert next(events).cancels == wrong.id
    assert store.read_all(direction="backwards", limit=1).to_list()[0].cancels == wrong.id


def test_marks_do_not_depend_on_what_is_read(store: eventfold.Client) -> None:
    stream = new_stream()
    events = paid(store, stream, 6)
    store.append(stream, [Event("Other")], expected_version=6)
    for index in (1, 4):
        store.compensate(stream, events[index], reason="r", expected_version=ANY)
    cancelled = {2, 5}

    def marked(**options: object) -> dict[int, bool]:
        read = store.read(stream, mark_cancelled=True, **options)  # type: ignore[arg-type]
        return {event.version: event.cancelled for event in read}

    for options in (
        {},
        {"to_version": 3},
        {"from_version": 4, "to_version": 7},
        {"direction": "backwards"},
        {"direction": "backwards", "from_version": 5, "limit": 2},
        {"types": ["Paid"]},
        {"raw": True},
        {"resolve": True},
    ):
        found = marked(**options)
        assert found
        assert {version for version, mark in found.items() if mark} == cancelled & found.keys()
    plain = store.read(stream).to_list()
    assert not any(EventFlags.CANCELLED in event.flags for event in plain)
    # Over many pages, too.
    large = new_stream()
    big = [Event("Paid", {"pad": "x" * 400_000}) for _ in range(6)]
    for event in big:
        store.append(large, [event], expected_version=ANY)
    store.compensate(large, big[4], reason="r", expected_version=6)
    marks = [event.cancelled for event in store.read(large, mark_cancelled=True)]
    assert marks == [False] * 4 + [True, False, False]


def test_marks_are_never_stored(
    database_url: str, server: RunningServer, store: eventfold.Client
) -> None:
    stream = new_stream()
    [wrong] = paid(store, stream)
    store.compensate(stream, wrong, reason="r", expected_version=1)
    assert store.read(stream, mark_cancelled=True).to_list()[0].flags & EventFlags.CANCELLED
    with connected(database_url) as connection:
        sql = f"SELECT max(flags & 256) FROM {server.options['schema']}.events"
        assert connection.execute(sql).fetchone() == (0,)


def test_ids_are_told_where_the_server_makes_them(
    channel: grpc.Channel, store: eventfold.Client
) -> None:
    stub = event_store_pb2_grpc.EventStoreStub(channel)
    stream = new_stream()
    [wrong] = paid(store, stream)
    request = pb.CompensateRequest(stream=stream, event_id=wrong.id, reason="r")
    request.expected_version.any.SetInParent()
    request.correction.type = "Paid"
    request.correction.data = b"{}"
    answer = stub.Compensate(request).appended
    assert list(answer.ids) == [event.id for event in store.read(stream, from_version=2)]
