"""The session of `EventStore.AppendSession`: many appends on one call."""

import asyncio
from collections.abc import AsyncIterator

from eventfold.v1 import event_store_pb2 as pb
from eventfold_server import limits
from eventfold_server.domain import requests
from eventfold_server.domain.append import Appender, Started
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.interceptors.guard import refusal_of_fault, too_late
from eventfold_server.services.appends import append_response, new_events
from eventfold_server.status import to_status

_METHOD = "/eventfold.v1.EventStore/AppendSession"


class AppendSession:
    """One session: reads appends while there is room, and answers them as they are decided."""

    def __init__(self, appender: Appender, caller: Caller) -> None:
        self._appender = appender
        self._caller = caller
        # Under way: read, and not yet on their way back.
        self._appends = 0
        self._bytes = 0
        self._room = asyncio.Event()
        self._ready: list[pb.SessionAnswer] = []
        self._wake = asyncio.Event()
        self._started: set[Started] = set()

    async def answers(
        self, messages: AsyncIterator[pb.AppendSessionRequest]
    ) -> AsyncIterator[bytes]:
        """Serialised answers, all that are ready in each; ends after the last append's."""
        reading = asyncio.create_task(self._read(messages))
        reading.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._ready:
                    yield self._next_message()
                if reading.done() and not self._appends:
                    reading.result()
                    return
        finally:
            reading.cancel()
            for started in self._started:
                started.withdraw(_cut())

    async def _read(self, messages: AsyncIterator[pb.AppendSessionRequest]) -> None:
        async for message in messages:
            for append in message.appends:
                size = append.ByteSize()
                while self._appends and (
                    self._appends >= limits.SESSION_APPENDS_MAX
                    or self._bytes + size > limits.SESSION_BYTES_MAX
                ):
                    self._room.clear()
                    await self._room.wait()
                self._appends += 1
                self._bytes += size
                self._start(append, size)

    def _start(self, append: pb.SessionAppend, size: int) -> None:
        """Hands the append to the writer; everything that can go wrong is its answer."""
        try:
            timeout_s = _timeout_s(append)
            started = self._appender.start(self._caller, new_events(append.append))
        except Exception as error:  # noqa: BLE001 - every fault is an answer
            self._answer(_refused(append.number, error), size)
            return
        timer = asyncio.get_running_loop().call_later(
            timeout_s, started.withdraw, too_late(timeout_s)
        )

        def decided() -> None:
            timer.cancel()
            self._started.discard(started)
            try:
                answer = pb.SessionAnswer(
                    number=append.number, appended=append_response(started.result())
                )
            except Exception as error:  # noqa: BLE001 - every fault is an answer
                answer = _refused(append.number, error)
            self._answer(answer, size)

        self._started.add(started)
        started.when_decided(decided)

    def _answer(self, answer: pb.SessionAnswer, size: int) -> None:
        self._ready.append(answer)
        self._bytes -= size
        self._wake.set()

    def _next_message(self) -> bytes:
        """The next answers, about 1 MiB."""
        response = pb.AppendSessionResponse()
        size = taken = 0
        for answer in self._ready:
            response.answers.append(answer)
            taken += 1
            size += answer.ByteSize()
            if size >= limits.PAGE_BYTES:
                break
        del self._ready[:taken]
        self._appends -= taken
        self._room.set()
        return response.SerializeToString()


def _refused(number: int, error: Exception) -> pb.SessionAnswer:
    return pb.SessionAnswer(number=number, refused=to_status(refusal_of_fault(_METHOD, error)))


def _cut() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the session ended; nothing was stored")


def _timeout_s(append: pb.SessionAppend) -> float:
    """How long the append may wait, in seconds."""
    if not append.HasField("timeout"):
        return limits.UNARY_DEADLINE_S_DEFAULT
    seconds = append.timeout.seconds + append.timeout.nanos / 1e9
    if seconds <= 0:
        raise requests.invalid("timeout", "must be above 0")
    return min(seconds, limits.UNARY_DEADLINE_S_MAX)
