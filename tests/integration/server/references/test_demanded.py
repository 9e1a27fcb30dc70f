"""Goal: an event whose type demands it is never stored with a reference that leads nowhere, on
whichever way it comes; and what is stored already stays a duplicate.

Method: two server processes on one store, the SDK, and sessions of plain gRPC.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from tests.integration.server.conftest import Starter
from tests.integration.server.references.conftest import Table
from tests.support.database import appends_held
from tests.support.servers import RunningServer

import eventfold
from eventfold import ANY, Event, References
from eventfold.v1 import appends_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc


def stream(category: str = "a") -> str:
    return f"{category}-{uuid.uuid4().hex}"


@pytest.fixture
def strict(table: Table) -> str:
    """An event type that demands that what its events refer to is there."""
    name = f"Strict{uuid.uuid4().hex}"
    table.demand(name)
    return name


def refused(client: eventfold.Client, name: str, events: Sequence[Event]) -> dict[str, Any]:
    """The facts of the refusal, which CheckAppend foresees."""
    facts = []
    for call in (client.append, client.check_append):
        with pytest.raises(eventfold.ReferenceNotFound) as error:
            call(name, events, expected_version=ANY)
        facts.append(dict(error.value.facts))
    assert facts[0] == facts[1]
    return facts[0]


def test_each_way_to_lead_nowhere(client: eventfold.Client, strict: str, table: Table) -> None:
    here = Event("Here")
    home, other = stream("home"), stream("other")
    client.append(home, [here], expected_version=0)
    missing = str(uuid.uuid4())
    name = stream()
    first = Event("Free", refs=References([missing]))

    wrong = Event(strict, refs=References([here, missing], [home, other]))
    assert refused(client, name, [first, wrong]) == {
        "event_index": "1", "problem": "missing", "event_id": missing, "count": "2",
    }  # fmt: skip
    wrong = Event(strict, refs=References([here], [other, home]))
    assert refused(client, name, [wrong]) == {
        "event_index": "0", "problem": "missing", "stream": other, "count": "1",
    }  # fmt: skip
    own = str(uuid.uuid4())
    wrong = Event(strict, id=own, refs=References([own]))
    assert refused(client, name, [first, wrong]) == {
        "event_index": "1", "problem": "own", "event_id": own, "count": "1",
    }  # fmt: skip
    later = Event("Free")
    wrong = Event(strict, refs=References([later, missing]))
    assert refused(client, name, [wrong, later]) == {
        "event_index": "0", "problem": "later", "event_id": later.id, "count": "2",
    }  # fmt: skip
    # Its own stream has not begun before its first event.
    assert refused(client, name, [Event(strict, refs=References([], [name]))])["stream"] == name
    assert not client.get_stream(name).exists

    # What comes before in the same append counts, and so does what was deleted.
    table.delete(here.id)
    fine = [
        first,
        Event(strict, refs=References([first, here], [name, home])),
        Event("Free", refs=References([missing])),
    ]
    assert client.check_append(name, fine, expected_version=0).last_version == 3
    assert client.append(name, fine, expected_version=0).last_version == 3
    assert client.append(name, [Event(strict, refs=References([], [name]))], expected_version=3)


def test_several_streams_at_once(client: eventfold.Client, strict: str) -> None:
    one, two, three = stream("one"), stream("two"), stream("three")
    base = Event("Base")
    tells = Event(strict, refs=References([base], [one]))
    client.append_many([(one, [base], 0), (two, [tells], 0)])
    assert client.get_stream(two).version == 1

    # The other way round the stream has not begun, and the event comes later.
    late = Event("Late")
    missing = str(uuid.uuid4())
    with pytest.raises(eventfold.ChecksFailed) as failed:
        client.append_many(
            [
                (one, [Event("T"), Event(strict, refs=References([late], [three]))], 1),
                (two, [Event("T")], 1),
                (three, [late, Event(strict, refs=References([missing]))], 0),
            ]
        )
    told = [(check.append_index, check.stream, check.error) for check in failed.value.failed]
    assert [(index, name) for index, name, _ in told] == [(0, one), (2, three)]
    assert all(isinstance(error, eventfold.ReferenceNotFound) for _, _, error in told)
    facts = [dict(error.facts) for _, _, error in told]
    first = {"append_index": "0", "event_index": "1", "problem": "later", "count": "2"}
    last = {"append_index": "2", "event_index": "1", "problem": "missing", "count": "1"}
    assert facts == [first | {"event_id": late.id}, last | {"event_id": missing}]
    assert not client.get_stream(three).exists


def test_what_is_stored_already_stays_so(client: eventfold.Client, table: Table) -> None:
    """The demand came after the events."""
    name, kind = stream(), f"Strict{uuid.uuid4().hex}"
    own, missing = str(uuid.uuid4()), str(uuid.uuid4())
    events = [Event(kind, id=own, refs=References([own, missing], [stream()])), Event(kind)]
    client.append(name, events, expected_version=0)
    table.demand(kind)
    assert client.append(name, events, expected_version=0).duplicate
    assert client.check_append(name, events, expected_version=0).duplicate
    assert client.append_many([(name, events, 0)])[0].duplicate
    with pytest.raises(eventfold.ReferenceNotFound):
        client.append(name, [Event(kind, refs=References([missing]))], expected_version=2)
    # The rules come before the version, and an id that is used again before both.
    with pytest.raises(eventfold.ReferenceNotFound):
        client.append(name, [Event(kind, refs=References([missing]))], expected_version=7)


@pytest.fixture
def second(start: Starter, server: RunningServer) -> Iterator[eventfold.Client]:
    """A client of another server on the same store."""
    other = start(schema=server.options["schema"])
    with eventfold.Client(other.address, timeout=60) as client:
        yield client


def test_two_servers(client: eventfold.Client, second: eventfold.Client, table: Table) -> None:
    name, kind, missing = stream(), f"Strict{uuid.uuid4().hex}", str(uuid.uuid4())

    def event(*refs: Any) -> Event:
        return Event(kind, refs=References(refs))

    for number, one in enumerate((client, second)):
        one.append(name, [event(missing)], expected_version=number)
    table.demand(kind)
    # Neither was told, and both know it with the next append.
    for one in (client, second):
        with pytest.raises(eventfold.ReferenceNotFound):
            one.append(name, [event(missing)], expected_version=2)
    # What one has stored is there for the other, at once.
    for number in range(20):
        target = Event("Target")
        client.append(stream(), [target], expected_version=0)
        second.append(name, [event(target)], expected_version=2 + number)
    assert client.get_stream(name).version == 22


def test_a_demand_that_comes_while_appends_wait(
    client: eventfold.Client, table: Table, database_url: str, server: RunningServer
) -> None:
    """They were checked when nothing was demanded, and are checked again."""
    kind, missing = f"Strict{uuid.uuid4().hex}", str(uuid.uuid4())
    target = Event("Target")
    client.append(stream(), [target], expected_version=0)
    outcomes: dict[str, Any] = {}

    def append(name: str, *refs: Any) -> None:
        try:
            outcomes[name] = client.append(
                name, [Event(kind, refs=References(refs))], expected_version=ANY
            )
        except eventfold.EventfoldError as error:
            outcomes[name] = error

    good, bad, worse = stream("good"), stream("bad"), stream("bad")
    threads = [
        threading.Thread(target=append, args=(good, target)),
        threading.Thread(target=append, args=(bad, missing)),
        threading.Thread(target=append, args=(worse, missing, target)),
    ]
    with appends_held(database_url, server.options["schema"]):
        for thread in threads:
            thread.start()
        # It waits for the counter too, before or behind the appends: neither may matter.
        demanding = threading.Thread(target=table.demand, args=(kind,))
        demanding.start()
    for thread in (*threads, demanding):
        thread.join(60)
    append(f"{bad}-again", missing)
    assert isinstance(outcomes[f"{bad}-again"], eventfold.ReferenceNotFound)
    assert isinstance(outcomes[good], eventfold.AppendResult)
    for name in (bad, worse):
        # Stored before the demand, or refused.
        stored = isinstance(outcomes[name], eventfold.AppendResult)
        assert stored or isinstance(outcomes[name], eventfold.ReferenceNotFound)
        assert client.get_stream(name).exists == stored


def told(answer: pb.SessionAnswer) -> tuple[int, Any]:
    if answer.WhichOneof("outcome") == "appended":
        return answer.number, answer.appended.last_version
    info = error_details_pb2.ErrorInfo()
    answer.refused.details[0].Unpack(info)
    return answer.number, info.reason


def test_a_session_keeps_its_order(server: RunningServer, strict: str) -> None:
    """An append may refer to what the one before it has sent; one that needs no look-up does not
    overtake the one before that does.
    """
    name, other = stream(), stream()
    ids = [str(uuid.uuid4()) for _ in range(40)]

    def appends() -> Iterator[pb.AppendSessionRequest]:
        for number, id_ in enumerate(ids):
            append = pb.AppendRequest(stream=name)
            append.expected_version.exact = number
            event = append.events.add(id=id_, type=strict if number % 2 else "T", data=b"{}")
            if number % 2:
                event.metadata = b'{"refs": {"events": ["%s"]}}' % ids[number - 1].encode()
            yield pb.AppendSessionRequest(appends=[pb.SessionAppend(number=number, append=append)])
        wrong = pb.AppendRequest(stream=other)
        wrong.expected_version.any.SetInParent()
        metadata = b'{"refs": {"events": ["%s"]}}' % str(uuid.uuid4()).encode()
        wrong.events.add(type=strict, data=b"{}", metadata=metadata)
        more = pb.AppendRequest(stream=other)
        more.expected_version.exact = 0
        more.events.add(type="T", data=b"{}")
        yield pb.AppendSessionRequest(
            appends=[
                pb.SessionAppend(number=100, append=wrong),
                pb.SessionAppend(number=101, append=more),
            ]
        )

    with grpc.insecure_channel(server.address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        answers = dict(
            told(answer)
            for message in stub.AppendSession(appends(), timeout=60)
            for answer in message.answers
        )
    assert answers == {
        **{number: number + 1 for number in range(40)},
        100: "REFERENCE_NOT_FOUND",
        101: 1,
    }
