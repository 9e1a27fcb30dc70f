"""Drives eventfold through its public SDK: the blocking client for one caller, the asynchronous one
for several."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

import protocol
import uvloop
from protocol import data

import eventfold

# Appends that are on their way side by side while the store is filled.
LOADERS = 64
TIMEOUT_S = 60.0


def _events(first: int, count: int) -> list[eventfold.Event]:
    numbers = range(first, first + count)
    return [eventfold.Event(data.event_type(n), data.event_data(n)) for n in numbers]


class Caller:
    """One caller that blocks."""

    def __init__(self, address: str) -> None:
        self._client = eventfold.Client(address, timeout=TIMEOUT_S)

    def begin(self, stream: str) -> None:
        self._stream, self._version = stream, 0

    def append(self, count: int) -> int:
        events = _events(self._version, count)
        self._client.append(self._stream, events, expected_version=self._version)
        self._version += count
        return count

    def read(self, stream: str) -> int:
        count = 0
        for event in self._client.read(stream):
            _ = event.data
            count += 1
        return count

    def _state(self, stream: str, fold: str) -> Any:
        _, _, id_ = stream.partition("-")
        return self._client.hydrate(data.CATEGORY, id_, fold=fold).state["balance"]

    def hydrate(self, stream: str) -> Any:
        return self._state(stream, "cold")

    def hydrate_kept(self, stream: str) -> Any:
        return self._state(stream, "account")

    def catch_up(self) -> int:
        count = 0
        for event in self._client.read_all():
            _ = event.data
            count += 1
        return count


class AsyncCaller:
    """One caller of several, all of one client."""

    def __init__(self, client: eventfold.AsyncClient) -> None:
        self._client = client

    def begin(self, stream: str) -> None:
        self._stream, self._version = stream, 0

    async def append(self, count: int) -> int:
        events = _events(self._version, count)
        await self._client.append(self._stream, events, expected_version=self._version)
        self._version += count
        return count

    async def hydrate(self, stream: str) -> Any:
        _, _, id_ = stream.partition("-")
        return (await self._client.hydrate(data.CATEGORY, id_, fold="cold")).state["balance"]


async def _load(client: eventfold.AsyncClient, runs: Iterable[data.Run]) -> None:
    await client.put_fold(data.FOLD)
    await client.put_fold(data.COLD_FOLD)
    source = iter(runs)
    # A run waits for the one before in its stream; the log is interleaved all the same.
    written: dict[str, asyncio.Future[None]] = {}

    async def loader() -> None:
        for run in source:
            before = written.get(run.stream)
            done = written[run.stream] = asyncio.get_running_loop().create_future()
            if before is not None:
                await before
            events = _events(run.first, run.count)
            await client.append(run.stream, events, expected_version=run.first)
            done.set_result(None)
            # Streams that are full are forgotten.
            if run.first + run.count == data.FILLER_LENGTH and "-f" in run.stream:
                del written[run.stream]

    await asyncio.gather(*(loader() for _ in range(LOADERS)))


class Driver:
    """One blocking caller, or several of one asynchronous client."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._client = loop.run_until_complete(self._connect(address))
        self._one = protocol.Callers(lambda: Caller(address))
        self._many = protocol.AsyncCallers(self._make, loop)

    async def _connect(self, address: str) -> eventfold.AsyncClient:
        return eventfold.AsyncClient(address, timeout=TIMEOUT_S)

    async def _make(self) -> AsyncCaller:
        return AsyncCaller(self._client)

    def run(self, request: protocol.Request) -> dict[str, Any]:
        return (self._one if request.in_flight == 1 else self._many).run(request)

    def load(self, runs: Iterable[data.Run]) -> None:
        self._loop.run_until_complete(_load(self._client, runs))


def main() -> None:
    """Address of the server as the only argument."""
    driver = Driver(sys.argv[1], uvloop.new_event_loop())
    protocol.serve(driver.run, driver.load)


if __name__ == "__main__":
    main()
