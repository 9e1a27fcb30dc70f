"""Goal: states of many streams, of every version, explained, local and kept are all the same.

Method: a real server. What it answers is compared with `Fold.apply` on the events that it stores,
folded from zero; kept states are dropped, damaged and overtaken by appends under way.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.servers import RunningServer, start_postgres, start_server

import eventfold
from eventfold import Client, Event, Fold, Hydrated

SOURCE = """\
fold: ledger
keep: {every: 5}
initial: {balance: 0, entries: [], by_kind: {}}
handlers:
  Booked:
    balance: "state.balance + event.amount"
    entries: "state.entries + [event.amount]"
    "by_kind[event.kind]": "state.by_kind[?event.kind].orValue(0) + 1"
  Noted:
    note: "event.?text"
  Closed: delete
"""
LEDGER = Fold.load(SOURCE)


@dataclass
class Ledger:
    balance: Decimal
    entries: list[Decimal]
    by_kind: dict[str, int]
    note: str | None = None


@dataclass
class World:
    """A PostgreSQL, a store in it, and servers on that store."""

    dsn: str
    schema: str
    start: Callable[[], RunningServer]
    store: Client

    def sql(self, statement: str) -> Any:
        """Runs a statement about KEPT, the table of kept states."""
        text: Any = statement.replace("KEPT", f'"{self.schema}".kept_states')
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(text)

    def kept(self) -> list[tuple[int, str]]:
        return list(self.sql("SELECT version, event_id::text FROM KEPT"))

    def kept_at(self, version: int) -> None:
        """Waits until a state of that version is kept: that happens after the answer."""
        deadline = time.monotonic() + 60
        while version not in [row[0] for row in self.kept()]:
            assert time.monotonic() < deadline, self.kept()
            time.sleep(0.02)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("states")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


@pytest.fixture
def world(database: str, tmp_path: Path) -> Iterator[World]:
    schema = f"test_{uuid.uuid4().hex}"
    with ExitStack() as stack:

        def start() -> RunningServer:
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            return stack.enter_context(start_server(folder, database_url=database, schema=schema))

        store = stack.enter_context(Client(start().address))
        store.put_fold(LEDGER)
        yield World(database, schema, start, store)


def booked(amount: Any, kind: str = "a") -> Event:
    return Event("Booked", {"amount": Decimal(amount), "kind": kind})


def from_zero(store: Client, stream: str, version: int | None = None) -> Hydrated:
    return LEDGER.apply(None, store.read(stream, to_version=version))


def same(found: Hydrated, wanted: Hydrated) -> bool:
    return (found.state_json, found.exists, found.version, found.position) == (
        wanted.state_json,
        wanted.exists,
        wanted.version,
        wanted.position,
    )


def test_many_streams_at_once(world: World) -> None:
    store = world.store
    names = [f"ledger-{number}" for number in range(300)]
    for number, name in enumerate(names):
        if number % 10 == 3:
            continue
        events = [booked(f"{number}.{step}0") for step in range(1 + number % 4)]
        if number % 10 == 5:
            events.append(Event("Booked", {"amount": "text", "kind": "a"}))
        if number % 10 == 7:
            events.append(Event("Closed"))
        store.append(name, events, expected_version=0)
    found = store.hydrate_many(names, fold="ledger", into=Ledger)
    assert set(found.errors) == set(names[5::10])
    assert list(found.hydrated) == [name for name in names if name not in found.errors]
    for name in names[5::10]:
        error = found.errors[name]
        assert isinstance(error, eventfold.FoldFailed)
        assert error.stream == name
        with pytest.raises(eventfold.FoldFailed):
            store.hydrate_stream(name, fold="ledger")
    for name in names[3::10]:
        assert (found[name].exists, found[name].version) == (False, 0)
        assert found[name].state_json == LEDGER.apply(None, []).state_json
    for name in names[7::10]:
        assert (found[name].exists, found[name].state_json) == (False, b"null")
    for name in names[:50]:
        if name not in found.errors:
            one = store.hydrate_stream(name, fold="ledger")
            assert same(found[name], one)
    assert found["ledger-2"].state.balance == Decimal("6.30")
    with pytest.raises(eventfold.InvalidStreamName):
        store.hydrate_many(["nothing"], fold="ledger")
    with pytest.raises(eventfold.FoldNotFound):
        store.hydrate_many(["a-1"], fold="missing")


def story(store: Client, count: int = 40) -> str:
    """A stream with everything in it that a ledger knows."""
    random_ = random.Random(7)
    events: list[Event] = []
    for number in range(count):
        kind = random_.choice(["a", "it's", "ü.x"])
        events.append(
            random_.choice(
                [
                    booked(f"{random_.randrange(-900, 900)}.{number:02}", kind),
                    booked("1e2", kind),
                    Event("Noted", {"text": f"n{number}"} if number % 2 else {}),
                    Event("Unknown", {"x": number}),
                ]
            )
        )
    events[count // 2] = Event("Closed")
    store.append("ledger-story", events, expected_version=0)
    return "ledger-story"


def test_every_version_of_a_stream(world: World) -> None:
    store = world.store
    stream = story(store)
    events = list(store.read(stream))
    states = list(store.hydrate_history("ledger", "story", fold="ledger"))
    assert [one.version for one in states] == list(range(1, len(events) + 1))
    for one, event in zip(states, events, strict=True):
        facts = (one.event_id, one.type, one.position, one.recorded_at, one.occurred_at)
        assert facts == (
            event.id,
            event.type,
            event.position,
            event.recorded_at,
            event.occurred_at,
        )
        hydrated = store.hydrate_stream(stream, fold=LEDGER, version=one.version)
        assert (one.state_json, one.exists) == (hydrated.state_json, hydrated.exists)
        assert one.state_json == LEDGER.apply(None, events[: one.version]).state_json
    part = list(
        store.hydrate_history("ledger", "story", fold=SOURCE, from_version=30, to_version=33)
    )
    assert part == states[29:33]
    assert list(store.hydrate_history("ledger", "none", fold=LEDGER)) == []
    with pytest.raises(eventfold.VersionAhead):
        list(store.hydrate_history("ledger", "story", fold=LEDGER, from_version=99))


def steps_of(path: str) -> list[str | int]:
    """The steps of a path: `a.b`, `['any key']`, `[0]`."""
    steps: list[str | int] = []
    while path:
        if path.startswith("['"):
            end = path.index("']")
            steps.append(path[2:end].replace("\\'", "'"))
            path = path[end + 2 :]
        elif path.startswith("["):
            number, _, path = path[1:].partition("]")
            steps.append(int(number))
        else:
            path = path.removeprefix(".")
            end = min((path.find(c) for c in ".[" if c in path), default=len(path))
            steps.append(path[:end])
            path = path[end:]
    return steps


def change(state: Any, path: str, after: bytes | None) -> Any:
    """The state with one change of an explanation applied."""
    new = None if after is None else exact(after)
    if path == ".":
        return new
    *before, last = steps_of(path)
    place = state
    for step in before:
        place = place[step]
    if after is None:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(new)
    else:
        place[last] = new
    return state


def exact(text: bytes) -> Any:
    """JSON with numbers as they are spelled."""
    return json.loads(text, parse_float=lambda digits: f"#{digits}")


def test_the_changes_of_an_explanation_make_the_states(world: World) -> None:
    store = world.store
    story(store)
    states = list(store.hydrate_history("ledger", "story", fold=LEDGER))
    explained = list(store.explain("ledger", "story", fold=LEDGER))
    assert len(explained) == len(states)
    state = exact(LEDGER.apply(None, []).state_json)
    for event, wanted in zip(explained, states, strict=True):
        assert event.changes_left_out == 0
        assert (event.version, event.event_id) == (wanted.version, wanted.event_id)
        assert event.handled == (event.type in LEDGER.event_types)
        # What a list loses is told from its end, so that indexes stay right.
        for one in event.changes:
            state = change(state, one.path, one.after_json)
        assert state == exact(wanted.state_json), event
    part = list(store.explain("ledger", "story", fold="ledger", from_version=9, to_version=11))
    assert part == explained[8:11]
    early = list(
        store.explain("ledger", "story", fold="ledger", recorded_at=explained[0].recorded_at)
    )
    assert early == explained


def test_a_fold_is_checked_against_what_is_stored(world: World) -> None:
    store = world.store
    story(store)
    store.append("ledger-bad", [Event("Booked", {"amount": "x", "kind": "a"})], expected_version=0)
    unused = SOURCE.replace("  Closed: delete", '  Closed: delete\n  Never: {x: "event.y"}')
    seen: list[Any] = []
    report = store.check_fold(
        unused.replace("event.?text", "event.?missing"), "ledger", on_progress=seen.append
    )
    assert report.done
    assert (report.streams, report.failed_streams) == (2, 1)
    [(stream, error)] = report.failures
    assert (stream, type(error)) == ("ledger-bad", eventfold.FoldFailed)
    assert report.unused_handlers == ("Never",)
    assert report.unhandled_types == ("Unknown",)
    assert report.unseen_fields == (("Noted", "missing"),)
    assert store.check_fold(LEDGER, "empty").streams == 0


def put_in_force(world: World, table: str, columns: str, *values: str) -> None:
    """Puts a schema or a mapping of `Booked` in force by its row, as the server would."""
    with psycopg.connect(world.dsn) as connection:
        version = f'"{world.schema}".catalogue_changed_v1()'
        places = ", ".join(["%s"] * len(values))
        statement: Any = (
            f'INSERT INTO "{world.schema}".{table}'
            f" (type, revision, digest, put_by, catalogue_version, {columns})"
            f" VALUES ('Booked', 1, 'd', 'me', {version}, {places})"
        )
        connection.execute(statement, values)


def test_a_check_tells_fields_that_no_schema_has(world: World) -> None:
    store = world.store
    store.append("ledger-1", [booked(1), Event("Noted", {})], expected_version=0)
    # Types without a schema are passed over.
    assert store.check_fold(LEDGER, "ledger").undeclared_fields == ()
    schema = '{"properties": {"amount": {"type": "number"}}}'
    columns = "source, resource_ids, resources, draft, formats"
    put_in_force(world, "schemas", columns, schema, "{}", "{}", "3", "false")
    report = store.check_fold(LEDGER, "ledger")
    assert report.undeclared_fields == (("Booked", "kind"),)
    assert report.unseen_fields == (("Noted", "text"),)
    # What the mapping gives is there.
    put_in_force(world, "mappings", "source", "mapping: Booked\ndefaults: {kind: a}\n")
    assert store.check_fold(LEDGER, "ledger").undeclared_fields == ()


def test_the_answer_says_where_folding_went_on(world: World) -> None:
    store = world.store
    store.append("ledger-1", [booked(n) for n in range(12)], expected_version=0)
    first = store.hydrate("ledger", "1", fold="ledger")
    assert (first.kept_version, first.events_read) == (0, 12)
    world.kept_at(12)
    store.append("ledger-1", [booked(7)], expected_version=12)
    for server_store in (store, Client(world.start().address)):
        again = server_store.hydrate("ledger", "1", fold="ledger")
        assert (again.kept_version, again.events_read, again.events_folded) == (12, 2, 1)
        assert same(again, from_zero(store, "ledger-1"))
        older = server_store.hydrate("ledger", "1", fold="ledger", version=4)
        assert older.kept_version == 0
        assert same(older, from_zero(store, "ledger-1", 4))
        if server_store is not store:
            server_store.close()
    without = Fold(SOURCE.replace("{every: 5}", "off"))
    assert without.digest == LEDGER.digest
    assert store.hydrate("ledger", "1", fold=without).kept_version == 0


def test_a_kept_state_of_another_log_is_dropped(world: World) -> None:
    store = world.store
    store.append("ledger-1", [booked(n) for n in range(6)], expected_version=0)
    store.hydrate("ledger", "1", fold="ledger")
    world.kept_at(6)
    wanted = from_zero(store, "ledger-1")
    # The state is a lie too, so that going on from it would be seen.
    lie = "'\\x7b2262616c616e6365223a2d317d'"
    world.sql(f"UPDATE KEPT SET event_id = gen_random_uuid(), state = {lie}")
    wrong_id = world.kept()[0][1]
    with Client(world.start().address) as other:
        found = other.hydrate("ledger", "1", fold="ledger")
        assert (found.kept_version, found.events_read) == (0, 6)
        assert same(found, wanted)
        deadline = time.monotonic() + 60
        while wrong_id in [row[1] for row in world.kept()]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert same(other.hydrate("ledger", "1", fold="ledger"), wanted)


@pytest.mark.timeout(240)
def test_kept_states_are_never_noticed(world: World) -> None:
    """Writers append, readers hydrate over two servers, and the cache is emptied at random."""
    streams = [f"ledger-{number}" for number in range(4)]
    stop = threading.Event()
    faults: list[str] = []
    went_on = 0

    def guarded(work: Callable[[random.Random], None], seed: int) -> Callable[[], None]:
        def run() -> None:
            random_ = random.Random(seed)
            try:
                while not stop.is_set():
                    work(random_)
            except Exception as error:  # noqa: BLE001 - told by the test
                faults.append(repr(error))
                stop.set()

        return run

    addresses = [world.store.target, world.start().address]
    clients = [Client(address) for address in addresses]

    def write(random_: random.Random) -> None:
        events = [booked(random_.randrange(100)) for _ in range(random_.randrange(1, 9))]
        if random_.random() < 0.05:
            events.append(Event("Closed"))
        stream = random_.choice(streams)
        clients[0].append(stream, events, expected_version=eventfold.ANY)

    def read(random_: random.Random) -> None:
        nonlocal went_on
        stream = random_.choice(streams)
        client = random_.choice(clients)
        version = None
        if random_.random() < 0.3:
            version = random_.randrange(0, client.get_stream(stream).version + 1)
        found = client.hydrate_stream(stream, fold="ledger", version=version)
        went_on += found.kept_version > 0
        if found.version == 0:
            return
        if not same(found, from_zero(client, stream, found.version)):
            faults.append(f"{stream}@{found.version} from {found.kept_version}")
            stop.set()

    def empty(random_: random.Random) -> None:
        time.sleep(random_.uniform(0.05, 0.4))
        world.sql(random_.choice(["TRUNCATE KEPT", "DELETE FROM KEPT"]))

    work = [write, write, read, read, read, empty]
    threads = [threading.Thread(target=guarded(one, seed)) for seed, one in enumerate(work)]
    for thread in threads:
        thread.start()
    stop.wait(12)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert went_on > 0
    for stream in streams:
        assert same(clients[1].hydrate_stream(stream, fold="ledger"), from_zero(clients[1], stream))
    for client in clients:
        client.close()
