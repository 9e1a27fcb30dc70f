"""Drives UmaDB through its Python client, which blocks and gives up the GIL: callers are threads.

A stream is a tag. An exact version is the condition that no event with this tag stands after the
last one that the writer knows. Its users decode the bytes of the data; here orjson does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import orjson
import protocol
import umadb
from protocol import data

LOAD_EVENTS = 1_000


def _event(stream: str, number: int) -> umadb.Event:
    return umadb.Event(
        event_type=data.event_type(number),
        data=orjson.dumps(data.event_data(number)),
        tags=[stream],
        uuid=data.uuid7(),
    )


def _of_stream(stream: str) -> umadb.Query:
    return umadb.Query(items=[umadb.QueryItem(tags=[stream])])


class Caller:
    """One caller with a client of its own."""

    def __init__(self, url: str) -> None:
        self._client = umadb.Client(url)

    def begin(self, stream: str) -> None:
        self._stream, self._query = stream, _of_stream(stream)
        self._version, self._after = 0, None

    def append(self, count: int) -> int:
        events = [_event(self._stream, self._version + number) for number in range(count)]
        condition = umadb.AppendCondition(self._query, after=self._after)
        self._after = self._client.append(events, condition)
        self._version += count
        return count

    def read(self, stream: str) -> int:
        return self._decoded(self._client.read(_of_stream(stream)))

    def hydrate(self, stream: str) -> Any:
        state = data.initial_state()
        for found in self._client.read(_of_stream(stream)):
            event = found.event
            data.apply(state, event.event_type, orjson.loads(event.data))
        return state["balance"]

    def catch_up(self) -> int:
        return self._decoded(self._client.read())

    @staticmethod
    def _decoded(response: Any) -> int:
        count = 0
        for found in response:
            orjson.loads(found.event.data)
            count += 1
        return count


def main() -> None:
    """URL of the server as the only argument."""
    client = umadb.Client(sys.argv[1])

    def load(runs: Iterable[data.Run]) -> None:
        for chunk in protocol.chunks(runs, LOAD_EVENTS):
            client.append(
                [
                    _event(run.stream, run.first + number)
                    for run in chunk
                    for number in range(run.count)
                ]
            )

    protocol.serve(protocol.Callers(lambda: Caller(sys.argv[1])).run, load)


if __name__ == "__main__":
    main()
