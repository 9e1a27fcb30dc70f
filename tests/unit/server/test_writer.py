"""Goal: the writer answers everyone while there is no connection, and goes on once there is one.

Method: a storage that cannot connect until it is told to, which no real PostgreSQL does on command.
Everything else about the writer is tested on a real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from eventfold_server.errors import Refusal
from eventfold_server.storage.appends import Append, Decision, StreamAppend
from eventfold_server.storage.writer import Writer

REFUSAL = Refusal("STORAGE_UNAVAILABLE", "PostgreSQL cannot be reached; nothing was stored")


class Storage:
    """Stores everything, if it is connected."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.refuse = True
        self.batches: list[list[str]] = []

    async def ready(self) -> None:
        await self.connected.wait()
        if self.refuse:
            raise REFUSAL

    async def store(self, batch: Sequence[Append]) -> list[list[Decision]]:
        self.batches.append([append.parts[0].stream for append in batch])
        await asyncio.sleep(0)
        decision = Decision("append", 0, None, 1, [1], None, 0, None, None, None, 1)
        return [[decision] for _ in batch]

    async def close(self) -> None:
        """Nothing is open."""


def append(stream: str) -> Append:
    part: Any = StreamAppend(stream, "a", -2, [stream], [], [], [], [], [], [], [], [], [])
    return Append([part], [], "writer", None, 1)


async def test_without_a_connection_everyone_is_told_at_once() -> None:
    storage: Any = Storage()
    writer = Writer(storage)
    waiting = [writer.submit(append(name), 10) for name in ("a-1", "a-1", "b-1", "a-1")]
    await asyncio.sleep(0)
    # While it connects nothing is under way: whoever leaves is surely not stored.
    assert waiting[2].withdraw(Refusal("DEADLINE_EXCEEDED", "too late"))
    storage.connected.set()
    reasons = []
    for one in waiting:
        with pytest.raises(Refusal) as refused:
            await one.answer
        reasons.append(refused.value.reason)
    unavailable = "STORAGE_UNAVAILABLE"
    assert reasons == [unavailable, unavailable, "DEADLINE_EXCEEDED", unavailable]
    assert storage.batches == []

    storage.refuse = False
    later = [writer.submit(append(name), 10) for name in ("a-1", "a-1", "b-1")]
    await asyncio.gather(*(one.answer for one in later))
    assert storage.batches == [["a-1", "b-1"], ["a-1"]]
    await writer.close()


async def test_a_caller_who_leaves_while_it_connects_has_stored_nothing() -> None:
    storage: Any = Storage()
    writer = Writer(storage)
    storage.refuse = False
    storing = asyncio.create_task(writer.store(append("a-1"), 10))
    await asyncio.sleep(0)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    storage.connected.set()
    await writer.close()
    assert storage.batches == []
