"""Appending: every check before the database, the decision in it.

The core checks an append from the bytes of its request, and makes the bytes of the answer; what is
refused becomes a refusal here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.refusals import refusal_of
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.appends import AppendStorage, Foreseen
from eventfold_server.storage.writer import Waiting, Writer

# An append that goes on by itself.
Started = Waiting


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A part of an append to several streams, or a check of it, that the store refused."""

    append_index: int | None
    check_index: int | None
    stream: str
    actual_version: int
    refusal: Refusal


class Appender:
    """Appends to the streams of one store."""

    def __init__(self, storage: AppendStorage, writer: Writer) -> None:
        self._storage = storage
        self._writer = writer

    async def append(self, caller: Caller, request: bytes) -> bytes:
        """Appends all events of a serialised `AppendRequest`, or none; the answer, serialised. See
        the proto for the refusals.
        """
        append = self._checked(_core.Append.of_request, caller, request)
        outcome = await self._writer.store(append)
        if not outcome.stored:
            raise refusal_of(outcome.refused[0])
        return outcome.response()

    async def append_many(self, caller: Caller, request: bytes) -> bytes | list[FailedCheck]:
        """Appends to all streams of a serialised `AppendManyRequest` if all of its checks hold; the
        answer, serialised, else what failed.
        """
        append = self._checked(_core.Append.of_many, caller, request)
        outcome = await self._writer.store(append)
        if outcome.stored:
            return outcome.many_response()
        return [_failed(decision) for decision in outcome.refused]

    async def check(self, caller: Caller, request: bytes) -> tuple[int, int, bool]:
        """What `append` would do now with the append of a serialised `CheckAppendRequest`: version
        of the first and of the last event, and whether they are stored already.
        """
        append = self._checked(_core.Append.of_check, caller, request)
        foreseen = await self._storage.check(append)
        if not isinstance(foreseen, Foreseen):
            raise refusal_of(foreseen)
        first = foreseen.first_version
        return first, first + append.events - 1, foreseen.duplicate

    def session_message(self, caller: Caller, message: bytes) -> _core.SessionMessage:
        """A message of a session, to take appends from."""
        try:
            return _core.SessionMessage(message, caller.writer, caller.trace_context)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

    def take(
        self, message: _core.SessionMessage, appends_room: int, bytes_room: int, *, any_size: bool
    ) -> list[_core.Append | _core.RefusedAppend]:
        """The next appends of a message, as many as there is room for; one of any size, if none is
        under way.
        """
        return message.take(appends_room, bytes_room, any_size, self._writer.catalogue_version)

    def start(self, append: _core.Append, tell: Callable[[Started], None]) -> Started:
        """Begins an append and does not wait for it."""
        return self._writer.submit(append, tell)

    def _checked(
        self,
        check: Callable[[bytes, str, str | None, int], _core.Append],
        caller: Caller,
        request: bytes,
    ) -> _core.Append:
        try:
            return check(
                request, caller.writer, caller.trace_context, self._writer.catalogue_version
            )
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None


def error_of(waiting: Started) -> Exception | None:
    """Why a decided append is not stored; None: it is."""
    if waiting.outcome is None:
        return waiting.error
    return None if waiting.outcome.stored else refusal_of(waiting.outcome.refused[0])


def _failed(decision: _core.Decision) -> FailedCheck:
    refusal = refusal_of(decision)
    places = {"append_index": decision.append_index, "check_index": decision.check_index}
    refusal.facts |= {name: str(index) for name, index in places.items() if index is not None}
    return FailedCheck(
        decision.append_index,
        decision.check_index,
        decision.stream,
        decision.actual_version,
        refusal,
    )
