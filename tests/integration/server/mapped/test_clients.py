"""Goal: clients get mapped events, and stored ones where they ask for these.

Method: both clients of Python and the command line on a server with a mapping in force.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.mapped import EVENTS, MAPPING, Mapped, Reading, wanted

import eventfold
from eventfold import Client, RecordedEvent

STORED = [data for _, data in EVENTS]


@pytest.fixture
async def at(store: Mapped) -> AsyncIterator[Reading]:
    if not store.mapped:
        await store.put(MAPPING)
    async with store.readings() as [first, _]:
        await first.append(EVENTS)
        yield first


@contextmanager
def client_of(at: Reading) -> Iterator[Client]:
    with eventfold.Client(at.address, numbers="float") as client:
        yield client


def followed(client: Client, stream: str, raw: bool) -> list[RecordedEvent]:
    found: list[RecordedEvent] = []
    with client.subscribe(stream, raw=raw) as events:
        for event in events:
            found.append(event)
            if len(found) == len(EVENTS):
                break
    return found


CALLS: dict[str, Callable[[Client, str, bool], list[RecordedEvent]]] = {
    "read": lambda client, stream, raw: list(client.read(stream, raw=raw)),
    "read_all": lambda client, stream, raw: list(
        client.read_all(categories=[stream.partition("-")[0]], raw=raw)
    ),
    "get_event": lambda client, stream, raw: [
        client.get_event(event.id, raw=raw) for event in client.read(stream)
    ],
    "subscribe": followed,
}


@pytest.mark.parametrize("name", CALLS)
async def test_python(at: Reading, name: str) -> None:
    expected = wanted(await at.read(raw=True))
    with client_of(at) as client:
        found = CALLS[name](client, at.stream, False)
        assert {event.version: (event.data, event.mapped) for event in found} == expected
        found = CALLS[name](client, at.stream, True)
        assert [event.data_json for event in found] == STORED
        assert not any(event.mapped for event in found)


async def test_python_async(at: Reading) -> None:
    async with eventfold.AsyncClient(at.address) as client:
        for raw in (False, True):
            events = [event async for event in client.read(at.stream, raw=raw)]
            assert ([event.data_json for event in events] == STORED) == raw
            one = await client.get_event(events[0].id, raw=raw)
            assert (one.data_json, one.mapped) == (events[0].data_json, not raw)
            category = at.stream.partition("-")[0]
            log = [event async for event in client.read_all(categories=[category], raw=raw)]
            assert [event.data_json for event in log] == [event.data_json for event in events]
            followed = []
            async with client.subscribe(at.stream, raw=raw) as following:
                async for event in following:
                    followed.append(event.data_json)
                    if len(followed) == len(EVENTS):
                        break
            assert followed == [event.data_json for event in events]


@pytest.mark.parametrize(
    "more", [[], ["--follow", "--limit", "4"], ["--follow", "--limit", "4", "--where", "true"]]
)
@pytest.mark.parametrize("whole_log", [False, True])
async def test_command_line(at: Reading, more: list[str], whole_log: bool) -> None:
    stored = await at.read(raw=True)
    which = [at.stream]
    if whole_log:
        which = ["--all", "--category", at.stream.partition("-")[0]]

    def read(*options: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "eventfold", "read", *which, "--json", *more, *options]
        command += ["--server", at.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def marks(event: dict[str, Any]) -> tuple[Any, bool]:
        return event["data"], bool(event["flags"] & 32)

    assert {one["version"]: marks(one) for one in read()} == wanted(stored)
    plain = {event.version: (json.loads(event.data), False) for event in stored}
    assert {one["version"]: marks(one) for one in read("--raw")} == plain
