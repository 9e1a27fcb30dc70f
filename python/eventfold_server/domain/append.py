"""Appending: every check before the database, the decision in it.

The core checks an append from the bytes of its request, and makes the bytes of the answer; what is
refused becomes a refusal here. Rules that take no longer than `append_inline_steps_max` are looked
at where the request comes in; with others the writer has the append judged in a thread.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from eventfold import _core
from eventfold_server.domain.refusals import refusal_of
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.appends import AppendStorage, Foreseen
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.judging import judge
from eventfold_server.storage.lines import LineStorage
from eventfold_server.storage.sealing import Sealer
from eventfold_server.storage.writer import Waiting, Writer

T = TypeVar("T")
# Pointers to personal values, and the id of their subject.
Personal = tuple[Sequence[str], bytes]
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


@dataclass(frozen=True)
class Checked:
    """What an append would come to now."""

    # Version of the first and of the last event; 0: it would be refused.
    first_version: int
    last_version: int
    duplicate: bool
    # Where its events do not fit their schemas.
    violations: Sequence[_core.Violation]
    # How it would be refused because of these.
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """An append that is stored, or the stream that it is to go to instead."""

    # A serialised `AppendResponse`; None: it is not stored yet.
    response: bytes | None
    # Of an append that follows.
    stream: str | None


class Appender:
    """Appends to the streams of one store.

    What the rules refuse goes to the database like everything else, which knows whether the rules
    are still in force, and whether the events are stored already.
    """

    def __init__(
        self,
        storage: AppendStorage,
        writer: Writer,
        catalogue: Catalogue,
        lines: LineStorage,
        sealer: Sealer,
    ) -> None:
        self._storage = storage
        self._lines = lines
        self._writer = writer
        self._catalogue = catalogue
        self._sealer = sealer

    async def note_carried(self, category: str, event_type: str, pointers: list[str]) -> None:
        """Has values of events of a type in a category be personal, unless they are declared so."""
        missing = self._catalogue.rules.uncovered(category, event_type, pointers)
        await self._catalogue.note_carried([(category, pointer) for pointer in missing])

    async def append(self, caller: Caller, request: bytes, tried: Collection[str] = ()) -> Appended:
        """Appends all events of a serialised `AppendRequest`, or none. See the proto for the
        refusals. `tried`: streams that have sent one that follows on; they get it no more.
        """
        append = self.checked(caller, request)
        outcome = await self._writer.store(append)
        if outcome.stored:
            return Appended(outcome.response(), append.stream if append.follows else None)
        decision = outcome.refused[0]
        if append.follows:
            to = await self._where(append, decision)
            # Events of two streams of a line would be sent to and fro.
            if to is not None and to not in tried:
                return Appended(None, to)
        raise refusal_of(decision)

    async def _where(self, append: _core.Append, decision: _core.Decision) -> str | None:
        """The stream of the line that takes the events, or has them already; None: none."""
        stream = append.stream
        if decision.outcome == "closed":
            end = await self._lines.end(stream)
            to = None if end is None else end.name
        elif decision.outcome == "reused" and decision.problem == "other_stream":
            to = await self._lines.stream_of_event(stream, UUID(decision.event_id))
        else:
            return None
        return None if to == stream else to

    def checked(self, caller: Caller, request: bytes) -> _core.Append:
        """A serialised `AppendRequest` that passed every check that needs no database."""
        return self._checked(_core.Append.of_request, caller, request)

    async def append_many(self, caller: Caller, request: bytes) -> bytes | list[FailedCheck]:
        """Appends to all streams of a serialised `AppendManyRequest` if all of its checks hold; the
        answer, serialised, else what failed.
        """
        append = self._checked(_core.Append.of_many, caller, request)
        outcome = await self._writer.store(append)
        if outcome.stored:
            return outcome.many_response()
        return [_failed(decision) for decision in outcome.refused]

    async def check(self, caller: Caller, request: bytes) -> Checked:
        """What `append` would do now with the append of a serialised `CheckAppendRequest`."""
        append = self._checked(_core.Append.of_check, caller, request)
        foreseen = await self.under_rules([append], lambda: self._storage.check(append))
        if isinstance(foreseen, Foreseen):
            first = foreseen.first_version
            last = first + append.events - 1
            return Checked(first, last, foreseen.duplicate, append.violations)
        refusal = refusal_of(foreseen)
        if refusal.reason != "SCHEMA_VIOLATION":
            raise refusal
        return Checked(0, 0, False, append.violations, refusal)

    async def under_rules(
        self,
        appends: Sequence[_core.Append],
        attempt: Callable[[], Awaitable[tuple[T, int] | int]],
        predecessor: str | None = None,
    ) -> T:
        """What an attempt answers that found the rules in force which the appends were held to.

        An attempt tells the version of the catalogue too, and has stored nothing if that is
        another one than its appends have. It answers the version alone if it decided nothing: then
        that is so, or the roots of streams are other ones. `predecessor`: all streams are of its
        line of periods.
        """
        held = [append for append in appends if not append.judged]
        rules = self._catalogue.rules
        while True:
            for append in held:
                await judge(append, rules)
            await self._storage.look_up(appends)
            for append in appends:
                if append.is_personal:
                    await self._sealer.look_up(append, predecessor)
                    await self._sealer.seal(append, predecessor)
            found = await attempt()
            answer, version = (None, found) if isinstance(found, int) else found
            held = [append for append in appends if append.catalogue_version != version]
            if not held and answer is not None:
                return answer
            rules = await self._catalogue.at_least(version)

    @property
    def rules(self) -> _core.Rules:
        """Those in force, as far as this process knows."""
        return self._catalogue.rules

    def of_server(
        self, caller: Caller, request: bytes, marks: int, carried: Sequence[Personal] = ()
    ) -> _core.Append:
        """An append of a caller whose events the server makes: they get marks, and may have types
        of its own. `carried`: what of them is personal whatever the rules say.
        """
        return self._checked(
            lambda *arguments: _core.Append.of_request(*arguments, marks=marks, carried=carried),
            caller,
            request,
        )

    async def append_system(self, caller: Caller, request: bytes) -> bytes:
        """Appends events of the server itself, to a stream that may be its own; the serialised
        `AppendResponse`.
        """
        append = self._checked(_core.Append.of_system, caller, request)
        outcome = await self._writer.store(append)
        if not outcome.stored:
            raise refusal_of(outcome.refused[0])
        return outcome.response()

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
        return message.take(appends_room, bytes_room, any_size, self._catalogue.rules)

    def start(self, append: _core.Append, tell: Callable[[Started], None]) -> Started:
        """Begins an append and does not wait for it."""
        return self._writer.submit(append, tell)

    def _checked(
        self,
        check: Callable[[bytes, str, str | None, _core.Rules], _core.Append],
        caller: Caller,
        request: bytes,
    ) -> _core.Append:
        try:
            return check(request, caller.writer, caller.trace_context, self._catalogue.rules)
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
