"""The session of `EventStore.AppendSession`: many appends on one call."""

import asyncio
import math
from collections.abc import AsyncIterator

from eventfold import _core
from eventfold.v1 import appends_pb2 as pb
from eventfold_server import limits
from eventfold_server.domain.append import Appender, Started, error_of
from eventfold_server.domain.refusals import violations_of
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.interceptors.guard import refusal_of_fault, too_late
from eventfold_server.services.violation_messages import violation_messages
from eventfold_server.status import to_status

_METHOD = "/eventfold.v1.EventStore/AppendSession"


class AppendSession:
    """One session: reads appends while there is room, and answers them as they are decided."""

    def __init__(self, appender: Appender, caller: Caller) -> None:
        self._appender = appender
        self._caller = caller
        self._loop = asyncio.get_running_loop()
        # Under way: read, and not yet on their way back.
        self._appends = 0
        self._bytes = 0
        self._room = asyncio.Event()
        # By number: what was stored, or a serialised answer.
        self._ready: list[tuple[int, _core.Outcome | bytes]] = []
        self._wake = asyncio.Event()
        # By append: the time until which it may wait, and how long that was.
        self._waiting: dict[Started, tuple[float, float]] = {}
        # Rings at the first of these times, which a handle of uvloop does not tell once it is due.
        self._timer: asyncio.Handle | None = None
        self._rings_at = math.inf

    async def answers(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
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
            if self._timer is not None:
                self._timer.cancel()
            for waiting in list(self._waiting):
                waiting.withdraw(_cut())

    async def _read(self, messages: AsyncIterator[bytes]) -> None:
        async for serialised in messages:
            message = self._appender.session_message(self._caller, serialised)
            while not message.done:
                taken = self._appender.take(
                    message,
                    limits.SESSION_APPENDS_MAX - self._appends,
                    limits.SESSION_BYTES_MAX - self._bytes,
                    any_size=self._appends == 0,
                )
                if taken:
                    now = self._loop.time()
                    for append in taken:
                        self._start(append, now)
                else:
                    self._room.clear()
                    await self._room.wait()

    def _start(self, append: _core.Append | _core.RefusedAppend, now: float) -> None:
        """Hands the append to the writer; everything that can go wrong is its answer."""
        self._appends += 1
        self._bytes += append.message_bytes
        try:
            if isinstance(append, _core.RefusedAppend):
                raise Refusal.of_core(append.error)
            waiting = self._appender.start(append, self._decided)
        except Exception as error:  # noqa: BLE001 - every fault is an answer
            self._answer(append, _refused(append.number, error))
            return
        timeout_s = append.timeout_s
        if timeout_s is None:
            timeout_s = limits.UNARY_DEADLINE_S_DEFAULT
        timeout_s = min(timeout_s, limits.UNARY_DEADLINE_S_MAX)
        deadline = now + timeout_s
        self._waiting[waiting] = (deadline, timeout_s)
        if deadline < self._rings_at:
            self._ring_at(deadline)

    def _ring_at(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = deadline
        self._timer = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        """Withdraws what has waited for too long; what is under way is carried through."""
        now = max(self._loop.time(), self._rings_at)
        self._timer = None
        self._rings_at = math.inf
        for waiting, (deadline, timeout_s) in list(self._waiting.items()):
            if deadline <= now:
                waiting.withdraw(too_late(timeout_s))
        later = [deadline for deadline, _ in self._waiting.values() if deadline > now]
        if later:
            self._ring_at(min(later))

    def _decided(self, waiting: Started) -> None:
        del self._waiting[waiting]
        append = waiting.append
        outcome = waiting.outcome
        if outcome is not None and outcome.stored:
            self._answer(append, outcome)
            return
        try:
            error = error_of(waiting)
            assert error is not None
        except Exception as fault:  # noqa: BLE001 - every fault is an answer
            error = fault
        self._answer(append, _refused(append.number, error))

    def _answer(
        self, append: _core.Append | _core.RefusedAppend, answer: _core.Outcome | bytes
    ) -> None:
        self._ready.append((append.number, answer))
        self._bytes -= append.message_bytes
        self._wake.set()

    def _next_message(self) -> bytes:
        """The next answers, about 1 MiB."""
        message, taken = _core.encode_session_answers(self._ready, limits.PAGE_BYTES)
        del self._ready[:taken]
        self._appends -= taken
        self._room.set()
        return message


def _refused(number: int, error: Exception) -> bytes:
    return pb.SessionAnswer(
        number=number,
        refused=to_status(refusal_of_fault(_METHOD, error)),
        violations=violation_messages(violations_of(error)),
    ).SerializeToString()


def _cut() -> Refusal:
    return Refusal("SHUTTING_DOWN", "the session ended; nothing was stored")
