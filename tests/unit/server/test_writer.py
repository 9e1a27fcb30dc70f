"""Goal: the writer answers everyone while there is no connection, and goes on once there is one.

Method: a storage that cannot connect until it is told to, which no real PostgreSQL does on command.
Everything else about the writer is tested on a real one.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventfold import _core
from eventfold.v1 import event_store_pb2 as pb
from eventfold_server.errors import Refusal
from eventfold_server.storage.writer import Waiting, Writer

REFUSAL = Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached; nothing was stored")


class Stored:
    """The outcome of an append that is stored."""

    stale = None


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
    return _core.Append.of_request(request.SerializeToString(), "writer", None, 1)


def begun(writer: Writer, stream: str) -> tuple[Waiting, asyncio.Event]:
    decided = asyncio.Event()
    return writer.submit(append(stream), lambda _: decided.set()), decided


async def test_without_a_connection_everyone_is_told_at_once() -> None:
    storage: Any = Storage()
    writer = Writer(storage)
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
    writer = Writer(storage)
    storage.refuse = False
    storing = asyncio.create_task(writer.store(append("a-1")))
    await asyncio.sleep(0)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    storage.connected.set()
    await writer.close()
    assert storage.batches == []
