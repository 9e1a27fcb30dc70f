"""Goal: appends that wait for a look-up keep their turn, hold up nobody else, and are all told,
whatever becomes of the look-up.

Method: a storage whose look-ups end when a test says so, which no real PostgreSQL does on command.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from eventfold import _core
from eventfold.v1 import appends_pb2 as pb
from eventfold_server.errors import Refusal
from eventfold_server.limits import LOOKUP_REFERENCES_MAX
from eventfold_server.storage.sealing import Sealer
from eventfold_server.storage.writer import Waiting, Writer

RULES = _core.Rules(1, enforced_references=["Strict"])
AWAY = Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached; nothing was stored")


class Stored:
    """The outcome of an append that is stored."""

    stale = None


class Catalogue:
    """Never changes."""

    rules = RULES


class Storage:
    """Stores everything; look-ups wait for the test."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Exception | None] = asyncio.Queue()
        # The streams of each look-up, and of each batch.
        self.looked_up: list[list[str]] = []
        self.stored: list[str] = []

    async def ready(self) -> None:
        """There is always a connection."""

    async def look_up(self, appends: list[_core.Append]) -> None:
        self.looked_up.append([append.stream for append in appends])
        error = await self.answers.get()
        if error is not None:
            raise error

    async def store(self, batch: _core.AppendBatch, stream: str) -> tuple[list[Stored], None]:
        self.stored += [stream] * len(batch)
        await asyncio.sleep(0)
        return [Stored()] * len(batch), None

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def storage() -> Any:
    return Storage()


@pytest.fixture
def writer(storage: Any) -> Writer:
    catalogue: Any = Catalogue()
    return Writer(storage, catalogue, Sealer(storage, None, None))


def begun(writer: Writer, stream: str, references: int = 1) -> tuple[Waiting, asyncio.Event]:
    """An append that refers to so many streams."""
    request = pb.AppendRequest(stream=stream)
    request.expected_version.any.SetInParent()
    for first in range(0, max(references, 1), 100):
        names = [f"r-{number}" for number in range(first, min(first + 100, references))]
        metadata = json.dumps({"refs": {"streams": names}}).encode()
        request.events.add(type="Strict", data=b"{}", metadata=metadata)
    append = _core.Append.of_request(request.SerializeToString(), "writer", None, RULES)
    decided = asyncio.Event()
    return writer.submit(append, lambda _: decided.set()), decided


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_waits_keeps_its_turn_and_holds_up_nobody_else(
    storage: Any, writer: Writer
) -> None:
    waiting, decided = begun(writer, "a-1")
    behind, told = begun(writer, "a-1", 0)
    _, other = begun(writer, "b-1", 0)
    await settle()
    assert storage.looked_up == [["a-1"]]
    assert other.is_set()
    assert storage.stored == ["b-1"]
    # What comes meanwhile is looked up together; of one stream it is one at a time.
    for stream in ("c-1", "d-1", "c-1"):
        begun(writer, stream)
    storage.answers.put_nowait(None)
    await settle()
    assert decided.is_set()
    assert told.is_set()
    assert waiting.outcome is not None
    assert behind.outcome is not None
    assert storage.stored == ["b-1", "a-1", "a-1"]
    assert storage.looked_up == [["a-1"], ["c-1", "d-1"]]
    storage.answers.put_nowait(None)
    storage.answers.put_nowait(None)
    await settle()
    assert storage.looked_up[2:] == [["c-1"]]
    await writer.close()


async def test_a_statement_takes_about_so_many_references(storage: Any, writer: Writer) -> None:
    most = LOOKUP_REFERENCES_MAX
    for number, references in enumerate((most - 1, 1, most, 5)):
        begun(writer, f"a-{number}", references)
    await settle()
    for _ in range(3):
        storage.answers.put_nowait(None)
    await settle()
    assert storage.looked_up == [["a-0", "a-1"], ["a-2"], ["a-3"]]
    await writer.close()


async def test_a_look_up_that_fails_is_told_and_the_next_one_made(
    storage: Any, writer: Writer
) -> None:
    waiting, decided = begun(writer, "a-1")
    behind, _ = begun(writer, "a-1")
    storage.answers.put_nowait(AWAY)
    await settle()
    assert decided.is_set()
    assert isinstance(waiting.error, Refusal)
    assert waiting.error.reason == "STORAGE_UNAVAILABLE"
    storage.answers.put_nowait(None)
    await settle()
    assert behind.outcome is not None
    assert storage.stored == ["a-1"]
    await writer.close()


async def test_who_leaves_while_it_is_looked_up_has_stored_nothing(
    storage: Any, writer: Writer
) -> None:
    waiting, _ = begun(writer, "a-1")
    behind, told = begun(writer, "a-1", 0)
    await settle()
    assert waiting.withdraw(Refusal("DEADLINE_EXCEEDED", "too late"))
    storage.answers.put_nowait(None)
    await settle()
    assert waiting.outcome is None
    assert behind.outcome is not None
    assert told.is_set()
    assert storage.stored == ["a-1"]
    await writer.close()


async def test_a_server_that_stops_tells_who_waits(storage: Any, writer: Writer) -> None:
    waiting, decided = begun(writer, "a-1")
    await settle()
    await writer.close()
    storage.answers.put_nowait(None)
    await settle()
    assert decided.is_set()
    assert isinstance(waiting.error, Refusal)
    assert waiting.error.reason == "SHUTTING_DOWN"
    assert storage.stored == []
