"""Goal: who may not see personal values gets none of them, by whatever call, and can infer none;
who may gets all of them.

Method: a real server with two tokens; every call that gives events is made with both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.integration.privacy.guarded import BLIND, CANARY, SEES, client, declare, guarded
from tests.support.servers import RunningServer

from eventfold import (
    AsyncClient,
    Client,
    Event,
    EventfoldError,
    PersonalWithheld,
    RecordedEvent,
    References,
)

DATA = {"email": CANARY, "n": 1, "friend": {"name": CANARY}}
WITHHELD = {"email": None, "n": 1, "friend": {"name": None}}
PATHS = ("/email", "/friend/name")


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with guarded(tmp_path_factory.mktemp("sight"), postgres, "sight") as started:
        yield started


@pytest.fixture
def sees(server: RunningServer) -> Iterator[Client]:
    with client(server, SEES) as made:
        yield made


@pytest.fixture
def blind(server: RunningServer) -> Iterator[Client]:
    with client(server, BLIND) as made:
        yield made


@pytest.fixture
def stream(sees: Client, kind: str) -> str:
    """A stream with two events with personal values, and one without between them."""
    declare(sees, kind, "email", "friend/name")
    name = f"{kind}-1"
    sees.append(name, [Event(kind, DATA)], expected_version=0)
    [first] = sees.read(name)
    sees.append(name, [Event("Other", {"n": 2})], expected_version=1)
    sees.append(name, [Event(kind, DATA, refs=References([first.id]))], expected_version=2)
    return name


def followed(client: Client, count: int, *stream: str, **more: Any) -> list[RecordedEvent]:
    with client.subscribe(*stream, **more) as events:
        return [event for _, event in zip(range(count), events, strict=False)]


Read = Callable[[Client, str, bool], list[RecordedEvent]]
READS: dict[str, Read] = {
    "read": lambda store, stream, raw: list(store.read(stream, raw=raw)),
    "backwards": lambda store, stream, raw: list(
        store.read(stream, raw=raw, direction="backwards")
    ),
    "read_all": lambda store, stream, raw: list(
        store.read_all(categories=[stream.partition("-")[0]], raw=raw)
    ),
    "get_event": lambda store, stream, raw: [
        store.get_event(event.id, raw=raw) for event in store.read(stream)
    ],
    "subscribe": lambda store, stream, raw: followed(store, 3, stream, raw=raw),
}


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_events_come_by_the_permission(
    sees: Client, blind: Client, stream: str, read: Read, raw: bool
) -> None:
    opened = sorted(read(sees, stream, raw), key=lambda event: event.version)
    assert [event.data for event in opened] == [DATA, {"n": 2}, DATA]
    assert [event.withheld_paths for event in opened] == [(), (), ()]
    withheld = sorted(read(blind, stream, raw), key=lambda event: event.version)
    assert [event.data for event in withheld] == [WITHHELD, {"n": 2}, WITHHELD]
    assert [event.withheld_paths for event in withheld] == [PATHS, (), PATHS]
    assert [event.erased_paths for event in withheld] == [(), (), ()]


def test_what_comes_while_both_follow_comes_by_the_permission(
    sees: Client, blind: Client, kind: str
) -> None:
    """From the tail, which holds events in memory for all who follow."""
    declare(sees, kind, "email", "friend/name")
    stream = f"{kind}-1"
    seen: dict[str, list[Any]] = {"sees": [], "blind": []}
    with (
        sees.subscribe(categories=[kind]) as by_sees,
        blind.subscribe(categories=[kind]) as by_blind,
    ):
        for version in range(20):
            sees.append(stream, [Event(kind, DATA)], expected_version=version)
            seen["sees"].append(next(iter(by_sees)).data)
            seen["blind"].append(next(iter(by_blind)).data)
    assert seen == {"sees": [DATA] * 20, "blind": [WITHHELD] * 20}


def test_referrers_and_what_is_referred_to_come_by_the_permission(
    sees: Client, blind: Client, kind: str, stream: str
) -> None:
    first, _, last = sees.read(stream)
    for store, data in ((sees, DATA), (blind, WITHHELD)):
        [referrer] = store.get_referrers(first)
        assert (referrer.id, referrer.data) == (last.id, data)
        got = store.get_event(last.id, resolve=True)
        assert got.data == data
        *_, read = store.read(stream, resolve=True)
        for resolved in (got.resolved, read.resolved, store.get_references(last)):
            lead = resolved.events[first.id].event
            assert lead is not None
            assert lead.data == data


def test_consumers_get_events_by_their_own_permission(
    sees: Client, blind: Client, kind: str, stream: str
) -> None:
    for store, data in ((sees, DATA), (blind, WITHHELD)):
        group = f"{kind}-{'sees' if data is DATA else 'blind'}"
        sees.create_group(group, categories=[kind])
        with store.consume(group) as consumer:
            delivery = next(iter(consumer.deliveries()))
            assert delivery.event.data == data
            delivery.park("no")
            delivery.confirm()
        [parked] = store.list_parked(group)
        assert parked.event.data == data


def test_conditions_over_personal_fields_are_refused(
    sees: Client, blind: Client, kind: str, stream: str
) -> None:
    where = f"has(event.email) && event.email == '{CANARY}'"
    [first, last] = followed(sees, 2, categories=[kind], where=where)
    assert (first.data, last.data) == (DATA, DATA)
    with pytest.raises(PersonalWithheld) as refused:
        followed(blind, 1, categories=[kind], types=[kind], where=where)
    assert refused.value.facts == {"type": kind, "field": "email", "permission": "personal"}
    # Without types, the category may hold events of any type that declares such a field.
    with pytest.raises(PersonalWithheld):
        followed(blind, 1, categories=[kind], where=where)
    with pytest.raises(PersonalWithheld):
        blind.create_group(f"{kind}-g", categories=[kind], where=where)
    sees.create_group(f"{kind}-g", categories=[kind], where=where)
    with pytest.raises(PersonalWithheld), blind.consume(f"{kind}-g") as consumer:
        next(iter(consumer.deliveries()))
    # Of what is not personal, and of types that have no such field, anybody may ask.
    [event] = followed(blind, 1, categories=[kind], where="has(event.n) && event.n == 2")
    assert event.data == {"n": 2}
    [event] = followed(blind, 1, categories=[kind], types=["Other"], where="!has(event.email)")
    assert event.data == {"n": 2}


def test_a_condition_that_gets_at_them_otherwise_sees_none(
    sees: Client, blind: Client, kind: str
) -> None:
    """A mapping moves the value to a field that nobody declared."""
    declare(sees, kind, "email")
    stream = f"{kind}-1"
    for version, email in enumerate((CANARY, "other")):
        sees.append(stream, [Event(kind, {"email": email})], expected_version=version)
    sees.put_mapping({"mapping": kind, "renames": {"email": "mail"}})
    where = f"has(event.mail) && event.mail == '{CANARY}'"
    [event] = followed(sees, 1, categories=[kind], where=where)
    assert event.data == {"mail": CANARY}
    sees.append(stream, [Event("End", {})], expected_version=2)
    where = f"meta.type == 'End' || {where}"
    [end] = followed(blind, 1, categories=[kind], where=where)
    assert end.type == "End"
    [event, _, _] = blind.read(stream)
    assert (event.data, event.withheld_paths) == ({"mail": None}, ("/mail",))


async def test_the_async_client_says_what_is_withheld(
    server: RunningServer, sees: Client, stream: str
) -> None:
    async with AsyncClient(server.address, token=BLIND) as store:
        events = [event async for event in store.read(stream)]
        assert [event.withheld_paths for event in events] == [PATHS, (), PATHS]
        async with store.subscribe(stream) as following:
            event = await asyncio.wait_for(anext(aiter(following)), 10)
        assert event.data == WITHHELD


def test_what_is_tried_on_stored_events_opens_them(sees: Client, blind: Client, kind: str) -> None:
    declare(sees, kind, "email")
    sees.append(f"{kind}-1", [Event(kind, {"email": CANARY})], expected_version=0)
    short: dict[str, Any] = {"properties": {"email": {"type": "string", "maxLength": 3}}}
    same: dict[str, Any] = {"properties": {"email": {"const": CANARY}}}
    for schema, misfits in ((short, 1), (same, 0)):
        trial = sees.check_schema(kind, schema).trial
        assert trial is not None
        assert trial.misfits == misfits
    mapping = {"mapping": kind, "computed": {"n": "int(event.email)"}}
    assert sees.check_mapping(mapping).trial.misfits == 1
    with pytest.raises(EventfoldError) as refused:
        sees.put_schema(kind, short)
    assert CANARY not in f"{refused.value!r} {refused.value.facts}"
    # Who may not see them learns nothing of them.
    for call in (lambda: blind.check_schema(kind, short), lambda: blind.check_mapping(mapping)):
        with pytest.raises(EventfoldError) as refused:
            call()
        assert refused.value.reason == "PERMISSION_DENIED"
    assert blind.put_schema(kind, short).created
