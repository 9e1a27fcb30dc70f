"""Goal: the writer answers everyone while there is no connection, and goes on once there is one.

Method: a storage that cannot connect until it is told to, which no real PostgreSQL does on command.
Everything else about the writer is tested on a real one.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventfold import _core
from eventfold.v1 import appends_pb2 as pb
from eventfold_server.errors import Refusal
from eventfold_server.storage.sealing import Sealer
from eventfold_server.storage.writer import Waiting, Writer

REFUSAL = Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached; nothing was stored")


class Stored:
    """The outcome of an append that is stored."""

    stale = None


class Catalogue:
    """Never changes."""

    rules = _core.Rules(1)


class Storage:
    """Stores everything, if it is connected."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.refuse = True
        # The stream of the first append, and how many there are.
        self.batches: list[tuple[str, int]] = []

    async def ready(self) -> None:
        await self.connected.wait()
        if self.refuse:
            raise REFUSAL

    async def store(self, batch: _core.AppendBatch, stream: str) -> tuple[list[Stored], None]:
        self.batches.append((stream, len(batch)))
        await asyncio.sleep(0)
        return [Stored()] * len(batch), None

    async def close(self) -> None:
        """Nothing is open."""


def append(stream: str) -> _core.Append:
    request = pb.AppendRequest(stream=stream)
    request.expected_version.any.SetInParent()
    request.events.add(type="T", data=b"{}")
    return _core.Append.of_request(request.SerializeToString(), "writer", None, _core.Rules(1))


def begun(writer: Writer, stream: str) -> tuple[Waiting, asyncio.Event]:
    decided = asyncio.Event()
    return writer.submit(append(stream), lambda _: decided.set()), decided


async def test_without_a_connection_everyone_is_told_at_once() -> None:
    storage: Any = Storage()
    catalogue: Any = Catalogue()
    writer = Writer(storage, catalogue, Sealer(storage, None, None))
    waiting = [begun(writer, name) for name in ("a-1", "a-1", "b-1", "a-1")]
    await asyncio.sleep(0)
    # While it connects nothing is under way: whoever leaves is surely not stored.
    late = Refusal("DEADLINE_EXCEEDED", "too late")
    assert waiting[2][0].withdraw(late)
    assert waiting[2][1].is_set()
    assert not waiting[2][0].withdraw(late), "it is told once"
    storage.connected.set()
    reasons = []
    for one, decided in waiting:
        await decided.wait()
        assert isinstance(one.error, Refusal)
        reasons.append(one.error.reason)
    unavailable = "STORAGE_UNAVAILABLE"
    assert reasons == [unavailable, unavailable, "DEADLINE_EXCEEDED", unavailable]
    assert storage.batches == []

    storage.refuse = False
    later = [begun(writer, name) for name in ("a-1", "a-1", "b-1")]
    for one, decided in later:
        await decided.wait()
        assert one.outcome is not None
    assert storage.batches == [("a-1", 2), ("a-1", 1)]
    await writer.close()


async def test_a_caller_who_leaves_while_it_connects_has_stored_nothing() -> None:
    storage: Any = Storage()
    catalogue: Any = Catalogue()
    writer = Writer(storage, catalogue, Sealer(storage, None, None))
    storage.refuse = False
    storing = asyncio.create_task(writer.store(append("a-1")))
    await asyncio.sleep(0)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    storage.connected.set()
    await writer.close()
    assert storage.batches == []


async def test_what_takes_long_is_judged_while_others_are_stored() -> None:
    ten = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
    loops = "a + b + c + d + e"
    for name in "edcba":
        loops = f"{ten}.map({name}, {loops})"
    mapping = _core.Mapping(f"mapping: T\ncomputed: {{s: '{loops}'}}\n")
    storage: Any = Storage()
    storage.connected.set()
    storage.refuse = False
    catalogue: Any = Catalogue()
    catalogue.rules = _core.Rules(1, mappings=[mapping])
    request = pb.AppendRequest(stream="a-1")
    request.expected_version.any.SetInParent()
    request.events.add(type="T", data=b"{}")
    heavy = _core.Append.of_request(request.SerializeToString(), "me", None, catalogue.rules)
    assert not heavy.judged
    writer = Writer(storage, catalogue, Sealer(storage, None, None))
    decided = asyncio.Event()
    writer.submit(heavy, lambda _: decided.set())
    behind, behind_decided = begun(writer, "a-1")
    _, other_decided = begun(writer, "b-1")
    await other_decided.wait()
    assert not decided.is_set()
    await decided.wait()
    await behind_decided.wait()
    # Appends to one stream stay in order, also behind one that is judged.
    assert storage.batches == [("b-1", 1), ("a-1", 1), ("a-1", 1)]
    assert heavy.judged
    assert heavy.refused[0].error.reason == "MAPPING_FAILED"
    assert behind.outcome is not None
    await writer.close()


async def test_who_leaves_while_it_is_judged_is_surely_not_stored() -> None:
    storage: Any = Storage()
    storage.connected.set()
    storage.refuse = False
    catalogue: Any = Catalogue()
    writer = Writer(storage, catalogue, Sealer(storage, None, None))
    stale = Waiting(append("a-1"), lambda _: None)
    writer._behind["a-1"] = None
    writer._appends, writer._bytes = 1, stale.append.size_bytes
    writer._judging.begin(stale)
    assert stale.withdraw(REFUSAL)
    behind, decided = begun(writer, "a-1")
    await decided.wait()
    assert behind.outcome is not None
    assert storage.batches == [("a-1", 1)]
    await writer.close()
