"""Events under a mapping, and every way to read them: all must give the same."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import grpc
import psycopg
from tests.support.groups import groups_of
from tests.support.mappings import drop_mapping, put_mapping
from tests.support.projection_servers import Projections
from tests.support.subscriptions import subscriber
from tests.support.unruled import store_unruled
from tests.support.watching import watcher

import eventfold
from eventfold import _core
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import consumer_groups_pb2 as groups_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc, folds_pb2, folds_pb2_grpc, projections_pb2

SECONDS = 90.0

# Computed fields read the envelope too, of which folds of data alone ask for nothing.
MAPPING = """
mapping: UserRegistered
renames: {mail: email}
defaults: {country: CH, address.city: null}
computed: {label: "event.first + ' <' + event.email + '> of ' + meta.stream + ', ' + meta.writer"}
"""
# What is written long ago, what has some of the new fields, and what nobody mapped.
EVENTS: list[tuple[str, bytes]] = [
    ("UserRegistered", b'{"first": "Ada",  "mail": "a@example.org", "n": 1.50}'),
    ("UserMoved", b'{"city": "Bern", "mail": "kept@example.org"}'),
    ("UserRegistered", b'{"first": "Bob", "email": "b@example.org", "country": "DE"}'),
    ("UserRegistered", b'{"first": "Eve", "mail": "old", "email": "e@example.org"}'),
]
_SEEN = "state.events + [{'data': event, 'mapped': meta.mapped, 'version': meta.version}]"
FOLD = json.dumps(
    {
        "fold": "seen",
        "keep": "off",
        "initial": {"events": []},
        "handlers": {
            type_: {"events": _SEEN} for type_ in ("UserRegistered", "UserMoved", "UserLeft")
        },
    }
)
# Reads nothing of the envelope, which the server then leaves out of its statements.
BRIEF_FOLD = FOLD.replace(_SEEN, "state.events + [{'data': event}]").replace('"seen"', '"brief"')
PROJECTION = """
projection: {name}
source: {{category: {category}}}
key: "string(meta.version)"
handlers:
  UserRegistered: {{data: event, mapped: meta.mapped}}
  UserMoved: {{data: event, mapped: meta.mapped}}
  UserLeft: {{data: event, mapped: meta.mapped}}
columns: {{data: jsonb, mapped: boolean}}
"""

# Data and mark of an event by its version.
Seen = dict[int, tuple[Any, bool]]
Reader = Callable[["Reading"], Awaitable[Seen]]


def seen(events: Any) -> Seen:
    """Of recorded events."""
    marks = pb.EVENT_FLAG_MAPPED
    return {one.version: (json.loads(one.data), bool(one.flags & marks)) for one in events}


def seen_by_fold(state: bytes) -> Seen:
    """Of a state of the fold."""
    events = json.loads(state)["events"]
    return {one["version"]: (one["data"], one["mapped"]) for one in events}


@dataclass
class Reading:
    """A stream with its own category, and a server to read it from."""

    address: str
    store: event_store_pb2_grpc.EventStoreAsyncStub
    folds: folds_pb2_grpc.FoldsAsyncStub
    channel: grpc.aio.Channel
    stream: str

    @property
    def category(self) -> str:
        return self.stream.partition("-")[0]

    async def append(self, events: list[tuple[str, bytes]]) -> list[int]:
        """Appends events of types with data; their positions."""
        request = appends_pb.AppendRequest(stream=self.stream)
        request.expected_version.any.SetInParent()
        for type_, data in events:
            request.events.add(type=type_, data=data)
        return list((await self.store.Append(request, timeout=SECONDS)).positions)

    async def read(self, **fields: Any) -> list[pb.RecordedEvent]:
        """Events of the stream."""
        request = pb.ReadRequest(stream=self.stream, **fields)
        parts = self.store.Read(request, timeout=SECONDS)
        return [event async for part in parts for event in part.events]

    async def read_all(self, **fields: Any) -> list[pb.RecordedEvent]:
        """Events of the category."""
        request = pb.ReadAllRequest(**fields)
        parts = self.store.ReadAll(request, timeout=SECONDS)
        found = [event async for part in parts for event in part.events]
        return [event for event in found if event.stream == self.stream]

    async def event(self, id_: str, **fields: Any) -> pb.RecordedEvent:
        request = pb.GetEventRequest(id=id_, **fields)
        return (await self.store.GetEvent(request, timeout=SECONDS)).event


@asynccontextmanager
async def reading(address: str, stream: str = "") -> AsyncIterator[Reading]:
    """A stream on a server; by default a new one."""
    stream = stream or f"User{uuid.uuid4().hex[:12]}-1"
    async with grpc.aio.insecure_channel(address) as channel:
        store = event_store_pb2_grpc.EventStoreStub(channel)
        folds = folds_pb2_grpc.FoldsStub(channel)
        yield Reading(address, store, folds, channel, stream)


def mapped_event(event: pb.RecordedEvent, source: str = MAPPING) -> tuple[bytes, bool]:
    """What a mapping makes of a stored event: the data, and whether they are others."""
    mapping = _core.Mapping(source)
    data: bytes | None = None
    if event.type == mapping.event_type:
        data = mapping.apply(event.data, stream=event.stream, writer=event.writer)
    return (event.data, False) if data is None else (data, True)


def wanted(stored: list[pb.RecordedEvent], source: str = MAPPING) -> Seen:
    """What every reader must give of stored events."""
    found = {event.version: mapped_event(event, source) for event in stored}
    return {version: (json.loads(data), mapped) for version, (data, mapped) in found.items()}


async def _backwards(at: Reading) -> Seen:
    return seen(await at.read(direction=pb.DIRECTION_BACKWARDS))


async def _get_event(at: Reading) -> Seen:
    return seen([await at.event(event.id) for event in await at.read(raw=True)])


def _subscribed(**fields: Any) -> Reader:
    async def read(at: Reading) -> Seen:
        async with subscriber(at.address) as subscribe:
            demands = fields or {"stream": at.stream}
            follower = subscribe(**demands)
            await follower.until_caught_up()
            follower.cancel()
            return seen(event for event in follower.events if event.stream == at.stream)

    return read


async def _live(at: Reading) -> Seen:
    """What is appended while somebody follows."""
    async with subscriber(at.address) as subscribe:
        follower = subscribe(stream=at.stream, now={})
        await follower.until_caught_up()
        stored = await at.read(raw=True)
        positions = await at.append([(event.type, event.data) for event in stored])
        await follower.until_position(positions[-1])
        follower.cancel()
        return {version - len(stored): one for version, one in seen(follower.events).items()}


def _consumed(where: str = "") -> Reader:
    async def read(at: Reading) -> Seen:
        name = f"g-{uuid.uuid4().hex}"
        count = len(await at.read(raw=True))
        async with groups_of(at.address) as groups:
            await groups.create(name, groups_pb.GroupSource(stream=at.stream, where=where))
            one = await groups.consume(name, credits_=count)
            events: list[Any] = []
            async with asyncio.timeout(SECONDS):
                while len(events) < count:
                    message = await one.call.read()
                    assert isinstance(message, groups_pb.ConsumeResponse)
                    events += message.events
            one.call.cancel()
            return seen(events)

    return read


async def _parked(at: Reading) -> Seen:
    name = f"g-{uuid.uuid4().hex}"
    count = len(await at.read(raw=True))
    async with groups_of(at.address) as groups:
        await groups.create(name, groups_pb.GroupSource(stream=at.stream))
        one = await groups.consume(name, credits_=count)
        await one.settled(groups_pb.SETTLE_ACTION_PARK, await one.take(count), reason="test")
        listed = await groups.stub.ListParked(groups_pb.ListParkedRequest(group=name))
        await one.close()
        return seen(listed.events)


def _ref(source: str = FOLD) -> folds_pb2.FoldRef:
    return folds_pb2.FoldRef(source=source)


async def _hydrate(at: Reading) -> Seen:
    request = folds_pb2.HydrateRequest(stream=at.stream, fold=_ref())
    return seen_by_fold((await at.folds.Hydrate(request, timeout=SECONDS)).state)


async def _hydrate_brief(at: Reading) -> Seen:
    request = folds_pb2.HydrateRequest(stream=at.stream, fold=_ref(BRIEF_FOLD))
    state = json.loads((await at.folds.Hydrate(request, timeout=SECONDS)).state)
    # The fold does not see which are mapped.
    marks = {version: mapped for version, (_, mapped) in seen(await at.read()).items()}
    return {n: (one["data"], marks[n]) for n, one in enumerate(state["events"], 1)}


async def _hydrate_in_time(at: Reading) -> Seen:
    position = (await at.read(raw=True))[-1].position
    request = folds_pb2.HydrateRequest(stream=at.stream, fold=_ref(), position=position)
    return seen_by_fold((await at.folds.Hydrate(request, timeout=SECONDS)).state)


async def _hydrate_many(at: Reading) -> Seen:
    request = folds_pb2.HydrateManyRequest(streams=[at.stream], fold=_ref())
    [part] = [part async for part in at.folds.HydrateMany(request, timeout=SECONDS)]
    return seen_by_fold(part.streams[0].hydrated.state)


async def _history(at: Reading) -> Seen:
    request = folds_pb2.HydrateHistoryRequest(stream=at.stream, fold=_ref())
    parts = [part async for part in at.folds.HydrateHistory(request, timeout=SECONDS)]
    return seen_by_fold(parts[-1].states[-1].state)


async def _explain(at: Reading) -> Seen:
    request = folds_pb2.ExplainRequest(stream=at.stream, fold=_ref())
    parts = [part async for part in at.folds.Explain(request, timeout=SECONDS)]
    found: list[Any] = []
    for event in (event for part in parts for event in part.events):
        [change] = event.changes
        found.append(json.loads(change.after))
    return {one["version"]: (one["data"], one["mapped"]) for one in found}


async def _watch(at: Reading) -> Seen:
    async with watcher(at.address) as watch:
        one = watch(at.stream, FOLD)
        await one.until(lambda me: bool(me.states))
        one.cancel()
        return seen_by_fold(one.states[-1].state)


async def _watch_live(at: Reading) -> Seen:
    count = len(await at.read(raw=True))
    async with watcher(at.address) as watch:
        one = watch(at.stream, FOLD)
        await one.until_version(count)
        stored = await at.read(raw=True)
        await at.append([(event.type, event.data) for event in stored])
        await one.until_version(2 * count)
        one.cancel()
        state = seen_by_fold(one.states[-1].state)
        return {n - count: one for n, one in state.items() if n > count}


def _of_rows(rows: Any) -> Seen:
    columns = {int(row.key): json.loads(row.columns) for row in rows}
    return {version: (one["data"], one["mapped"]) for version, one in columns.items()}


async def _projected(at: Reading) -> Seen:
    name = f"p_{uuid.uuid4().hex[:12]}"
    head = (await at.read(raw=True))[-1].position

    def rows() -> Any:
        with grpc.insecure_channel(at.address) as channel:
            projections = Projections(channel)
            projections.put(PROJECTION.format(name=name, category=at.category))
            projections.until_active(name, 1)
            projections.until_at(name, head)
            request = projections_pb2.QueryProjectionRequest(name=name, at_least_position=head)
            found = projections.stub.QueryProjection(request, timeout=SECONDS).rows
            verify = projections_pb2.VerifyProjectionRequest(name=name)
            *_, last = projections.stub.VerifyProjection(verify, timeout=SECONDS)
            assert last.verification.keys_differing == 0
            assert last.verification.keys_checked == len(found)
            assert list(projections.generation(name, 1).remapped_types) == []
            return found

    return _of_rows(await asyncio.to_thread(rows))


async def _tried(at: Reading) -> Seen:
    def rows() -> Any:
        with grpc.insecure_channel(at.address) as channel:
            source = PROJECTION.format(name="tried", category=at.category)
            request = projections_pb2.TryProjectionRequest(source=source, page_size=100)
            return Projections(channel).stub.TryProjection(request, timeout=SECONDS).rows

    return _of_rows(await asyncio.to_thread(rows))


def _handler(state: Any, event: eventfold.RecordedEvent) -> Any:
    state[event.version] = (event.data, event.mapped)
    return state


_HANDLERS = dict.fromkeys(("UserRegistered", "UserMoved", "UserLeft"), _handler)


async def _handlers(at: Reading) -> Seen:
    async with eventfold.AsyncClient(at.address, numbers="float") as client:
        category, _, id_ = at.stream.partition("-")
        state, _ = await client.read_aggregate(category, id_, {}, _HANDLERS)
        return state


async def _sync_handlers(at: Reading) -> Seen:
    def read() -> Any:
        with eventfold.Client(at.address, numbers="float") as client:
            category, _, id_ = at.stream.partition("-")
            return client.read_aggregate(category, id_, {}, _HANDLERS)[0]

    return await asyncio.to_thread(read)


async def _local_fold(at: Reading) -> Seen:
    async with eventfold.AsyncClient(at.address) as client:
        events = [event async for event in client.read(at.stream)]
        found = eventfold.Fold.load(FOLD).apply(None, events)
        return seen_by_fold(found.state_json)


READERS: dict[str, Reader] = {
    "read": lambda at: _sync(at.read()),
    "read backwards": _backwards,
    "read all": lambda at: _sync(at.read_all()),
    "read all, filtered": lambda at: _sync(at.read_all(categories=[at.category])),
    "get event": _get_event,
    "subscribe": _subscribed(),
    "subscribe, where": _subscribed(where="meta.type != 'UserLeft'"),
    "subscribe, live": _live,
    "group": _consumed(),
    "group, where": _consumed("event.?country.orValue('') != '?'"),
    "group, parked": _parked,
    "hydrate": _hydrate,
    "hydrate, data alone": _hydrate_brief,
    "hydrate, in time": _hydrate_in_time,
    "hydrate many": _hydrate_many,
    "history": _history,
    "explain": _explain,
    "watch": _watch,
    "watch, live": _watch_live,
    "projection": _projected,
    "try projection": _tried,
    "handlers": _handlers,
    "handlers, sync": _sync_handlers,
    "local fold": _local_fold,
}


async def _sync(events: Awaitable[list[pb.RecordedEvent]]) -> Seen:
    return seen(await events)


@dataclass
class Mapped:
    """Servers on one store, and mappings that come and go."""

    addresses: list[str]
    url: str
    schema: str
    # Types with a mapping in force.
    mapped: set[str] = field(default_factory=set)

    async def put(self, source: str) -> int:
        """Puts a mapping in force, by its rows; the version of the catalogue that has it."""
        type_ = _core.Mapping(source).event_type
        self.mapped.add(type_)
        connection = await asyncpg.connect(self.url)
        try:
            return await put_mapping(connection, self.schema, type_, source)
        finally:
            await connection.close()

    async def drop(self, event_type: str) -> int:
        """Takes a mapping out of force."""
        self.mapped.discard(event_type)
        connection = await asyncpg.connect(self.url)
        try:
            return await drop_mapping(connection, self.schema, event_type)
        finally:
            await connection.close()

    @asynccontextmanager
    async def readings(self) -> AsyncIterator[list[Reading]]:
        """One new stream, read from each server."""
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(reading(self.addresses[0]))
            others = [
                await stack.enter_async_context(reading(address, first.stream))
                for address in self.addresses[1:]
            ]
            yield [first, *others]

    def store_unruled(self, stream: str, events: list[tuple[str, bytes]]) -> list[int]:
        """Appends events past all rules, also those that a mapping in force fails on."""
        return store_unruled(self.url, self.schema, stream, events)

    def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Runs a statement, in which {s} stands for the schema; its rows."""
        text: Any = statement.replace("{s}", self.schema)
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(text, arguments)
            return found.fetchall() if found.description else []
