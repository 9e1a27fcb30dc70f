"""Watches of tests: over plain gRPC, with what must hold of every message checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from tests.support.raw import Answer, answer_of

from eventfold.v1 import folds_pb2 as pb
from eventfold.v1 import folds_pb2_grpc

WAIT_SECONDS = 90.0
_OPTIONS = [("grpc.max_receive_message_length", 4 * 1024 * 1024)]


class Watching:
    """One watch, and what it has got so far."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.states: list[pb.HistoricState] = []
        # Number of messages, and of those without a state.
        self.messages = 0
        self.signs = 0

    @property
    def versions(self) -> list[int]:
        """Versions of its states, in the order in which they came."""
        return [state.version for state in self.states]

    async def next(self) -> pb.WatchResponse:
        """The next message."""
        message = await asyncio.wait_for(self._call.read(), WAIT_SECONDS)
        if message is grpc.aio.EOF:
            raise AssertionError(f"the watch ended: {await self._call.code()}")
        versions = [*self.versions[-1:], *(state.version for state in message.states)]
        assert versions == list(range(versions[0], versions[0] + len(versions))) if versions else 1
        self.messages += 1
        self.signs += not message.states
        self.states.extend(message.states)
        return message

    async def until(self, reached: Callable[[Watching], bool]) -> Watching:
        """Reads on until something is true of what came."""
        while not reached(self):
            await self.next()
        return self

    async def until_version(self, version: int) -> Watching:
        """Reads on until it has the state of the version."""
        return await self.until(lambda me: me.versions[-1:] >= [version])

    async def refusal(self) -> Answer:
        """How it ends, after whatever comes before."""
        try:
            while True:
                await self.next()
        except grpc.aio.AioRpcError as error:
            return answer_of(error)

    def cancel(self) -> None:
        """Ends it."""
        self._call.cancel()


@asynccontextmanager
async def watcher(address: str) -> AsyncIterator[Callable[..., Watching]]:
    """Begins watches on a connection of their own: stream, source of the fold, more fields."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        stub = folds_pb2_grpc.FoldsStub(channel)

        def watch(
            stream: str,
            source: str = "",
            *,
            name: str = "",
            timeout: float | None = None,
            **fields: Any,
        ) -> Watching:
            fold = pb.FoldRef(name=name) if name else pb.FoldRef(source=source)
            request = pb.WatchRequest(stream=stream, fold=fold, **fields)
            return Watching(stub.Watch(request, timeout=timeout))

        yield watch


def history(address: str, stream: str, source: str) -> list[pb.HistoricState]:
    """The state after each version, as HydrateHistory has it."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        request = pb.HydrateHistoryRequest(stream=stream, fold=pb.FoldRef(source=source))
        parts = folds_pb2_grpc.FoldsStub(channel).HydrateHistory(request, timeout=60)
        return [state for part in parts for state in part.states]
