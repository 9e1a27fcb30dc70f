"""Closing the books: a stream ends, and another one goes on with the states of its folds.

The states are folded first, at the version that the stream has, and the transaction demands that
very version: whatever is appended between is seen by nobody, because then nothing is closed.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from eventfold import _core
from eventfold_server import failpoints
from eventfold_server.domain.append import Appender, Personal
from eventfold_server.domain.folding import FoldRef, in_thread
from eventfold_server.domain.lines import Lines
from eventfold_server.domain.read import LIFECYCLE_CLOSED, LIFECYCLE_DELETED
from eventfold_server.domain.refusals import refusal_of, version_conflict
from eventfold_server.domain.requests import Caller, event_id, invalid
from eventfold_server.errors import Refusal
from eventfold_server.limits import CLOSE_ATTEMPTS_MAX, CLOSE_FOLDS_MAX
from eventfold_server.storage.kept import Upto
from eventfold_server.storage.lines import Decided, Ending, LineStorage
from eventfold_server.storage.log import not_found

# Marks of the events: the numbers of the proto's EventFlag.
CLOSES = 64
OPENS = 128
CLOSED_TYPE = "$Closed"
OPENED_TYPE = "$Opened"

# An id of a subject has so many bytes.
SUBJECT_ID_BYTES = 16

_BLANK = b" \t\n\r"


@dataclass(frozen=True)
class Closing:
    """A stream to be closed; see the proto."""

    stream: str
    # None: whichever version it has.
    version: int | None
    folds: Sequence[FoldRef]
    # None: no stream goes on.
    successor: str | None
    closing_type: str
    opening_type: str
    closing_data: bytes
    opening_data: bytes
    closing_id: str
    opening_id: str
    # Whether folds that the stream was not opened with are folded through all periods.
    through: bool


@dataclass(frozen=True)
class Carried:
    """A state that the successor starts from."""

    fold: str
    digest: str
    exists: bool
    # JSON text; empty in the answer to a close that was done before.
    state: bytes = b""
    # Pointers to what of it is personal, and the id of its subject; None: nothing is.
    personal: Personal | None = None


@dataclass(frozen=True)
class Closed:
    """Where the events of a close stand; see the proto."""

    version: int
    position: int
    closing_id: str
    successor: str | None
    opening_position: int
    opening_id: str
    states: Sequence[Carried]
    recorded_at: datetime
    duplicate: bool = False


# Where an opening event has the states that it carries.
_STATES = "/states"

# An event that is to be stored, as a serialised `AppendRequest`: stream, version that is expected,
# id, type, data.
Encode = Callable[[str, int, str, str, bytes], bytes]


class Closer:
    """Closes the streams of one store."""

    def __init__(
        self,
        storage: LineStorage,
        lines: Lines,
        appender: Appender,
        committed: Callable[[int], object],
    ) -> None:
        """`committed` gets the position that the log has reached with a close."""
        self._storage = storage
        self._lines = lines
        self._appender = appender
        self._committed = committed

    async def close(self, caller: Caller, closing: Closing, encode: Encode) -> Closed:
        """Closes a stream; the first outcome where it is closed so already."""
        _check(closing)
        names = await self._lines.fold_names(closing.folds)
        if len(set(names)) < len(names):
            raise invalid("folds", "a name stands there twice")
        attempts = CLOSE_ATTEMPTS_MAX if closing.version is None else 1
        while True:
            attempts -= 1
            ending = await self._storage.ending(closing.stream)
            done = _done(ending, closing, names)
            if done is not None:
                return done
            version = _open_version(ending, closing)
            states = await self._states(closing, version)
            await self._note_carried(closing, states)
            failpoints.reach("close_folded")
            events = self._events(caller, closing, version, states, encode)
            decided = await self._appender.under_rules(
                events,
                lambda events=events: self._storage.close(  # type: ignore[misc]
                    closing.stream, closing.successor, events
                ),
                closing.stream,
            )
            if decided.outcome == "append":
                failpoints.reach("close_stored")
                return self._closed(closing, version, decided, events, states)
            # Somebody else may have closed it meanwhile, and it is found so then.
            moved = decided.outcome in ("conflict", "closed") and not events[0].refused
            if decided.part == 1 and moved and attempts > 0:
                continue
            done = _done(await self._storage.ending(closing.stream), closing, names)
            if done is not None:
                return done
            raise _refusal(closing, decided, events)

    async def _states(self, closing: Closing, version: int) -> list[Carried]:
        """The states at a version, each of another fold."""
        states: list[Carried] = []
        for ref in closing.folds:
            answer = await self._lines.hydrate(
                closing.stream, ref, Upto(version=version), through=closing.through
            )
            if answer.head.lifecycle == LIFECYCLE_DELETED:
                raise _deleted(closing.stream)
            result = answer.found.result
            # The stream had the version before.
            assert result is not None
            fold = answer.fold
            personal = await self._personal(closing.stream, fold, result)
            # What is stored has no words of absent values.
            states.append(
                Carried(fold.name, fold.digest, result.exists, result.public_state, personal)
            )
        return states

    async def _note_carried(self, closing: Closing, states: Sequence[Carried]) -> None:
        """Has all readers know that an opening event of whatever type carries personal values."""
        if closing.successor is not None and any(state.personal for state in states):
            category = closing.successor.partition("-")[0]
            await self._appender.note_carried(category, closing.opening_type, [_STATES])

    async def _personal(
        self, stream: str, fold: _core.Fold, result: _core.FoldResult
    ) -> Personal | None:
        """What of a state is personal, and whose; PERSONAL_TWO_SUBJECTS, PERSONAL_KEY."""
        if not result.whose:
            return None
        category = stream.partition("-")[0]
        try:
            pointers = await in_thread(None, self._appender.rules.personal_paths, fold, category)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
        if pointers and len(result.whose) != SUBJECT_ID_BYTES:
            raise Refusal(
                "PERSONAL_TWO_SUBJECTS",
                "personal values of two subjects are in the state, which can be sealed for one",
                fold=fold.name,
                stream=stream,
            )
        return (pointers, result.whose) if pointers else None

    def _events(
        self,
        caller: Caller,
        closing: Closing,
        version: int,
        states: Sequence[Carried],
        encode: Encode,
    ) -> list[_core.Append]:
        """The closing event, and the opening event if a stream goes on."""
        data = _merged({"successor": _text(closing.successor)}, closing.closing_data)
        request = encode(closing.stream, version, closing.closing_id, closing.closing_type, data)
        events = [self._appender.of_server(caller, request, CLOSES)]
        if closing.successor is not None:
            own = {
                "predecessor": _text(closing.stream),
                "states": b"[" + b",".join(map(_state, states)) + b"]",
            }
            data = _merged(own, closing.opening_data)
            request = encode(closing.successor, 0, closing.opening_id, closing.opening_type, data)
            events.append(self._appender.of_server(caller, request, OPENS, _personal(states)))
        return events

    def _closed(
        self,
        closing: Closing,
        version: int,
        decided: Decided,
        events: Sequence[_core.Append],
        states: Sequence[Carried],
    ) -> Closed:
        assert decided.closing_position is not None
        assert decided.recorded_at is not None
        self._committed(decided.opening_position or decided.closing_position)
        return Closed(
            version + 1,
            decided.closing_position,
            events[0].ids[0],
            closing.successor,
            decided.opening_position or 0,
            events[1].ids[0] if len(events) > 1 else "",
            states,
            decided.recorded_at,
        )


def _check(closing: Closing) -> None:
    """Refuses what no stream could be closed with."""
    categories = []
    for name in (closing.stream, closing.successor):
        if name is not None:
            try:
                categories.append(_core.check_stream_name(name))
            except _core.CoreError as error:
                raise Refusal.of_core(error) from None
    if closing.successor is None:
        opening = (closing.folds, closing.opening_data, closing.opening_id)
        if any(opening) or closing.opening_type != OPENED_TYPE:
            raise invalid("successor", "is required: folds, and what opens it, are for a successor")
    elif closing.successor == closing.stream:
        raise invalid("successor", "is the stream itself")
    elif categories[0] != categories[1]:
        raise invalid("successor", "must be of the same category")
    if len(closing.folds) > CLOSE_FOLDS_MAX:
        raise invalid("folds", f"at most {CLOSE_FOLDS_MAX}", CLOSE_FOLDS_MAX)
    for type_, own in ((closing.closing_type, CLOSED_TYPE), (closing.opening_type, OPENED_TYPE)):
        if type_ != own:
            try:
                _core.check_event_type(type_)
            except _core.CoreError as error:
                raise Refusal.of_core(error) from None
    ids = [id_ for id_ in (closing.closing_id, closing.opening_id) if id_]
    if len({event_id(id_) for id_ in ids}) < len(ids):
        raise invalid("opening_id", "is the id of the closing event")
    if closing.version is not None and closing.version < 1:
        raise invalid("expected_version.exact", "must be at least 1", 1)


def _open_version(ending: Ending | None, closing: Closing) -> int:
    """The version of the stream, if it can be closed."""
    if ending is None:
        raise not_found(closing.stream)
    if ending.lifecycle == LIFECYCLE_DELETED:
        raise _deleted(closing.stream)
    if ending.lifecycle == LIFECYCLE_CLOSED:
        raise Refusal(
            "STREAM_CLOSED",
            "the stream is closed",
            stream=closing.stream,
            successor=ending.successor,
        )
    if closing.version not in (None, ending.version):
        raise version_conflict(closing.stream, str(closing.version), ending.version)
    return ending.version


def _refusal(closing: Closing, decided: Decided, events: Sequence[_core.Append]) -> Refusal:
    """Why a close was refused in the database."""
    if decided.outcome == "successor_exists":
        return Refusal(
            "SUCCESSOR_EXISTS",
            "the stream that is to go on has events already",
            stream=closing.stream,
            successor=closing.successor,
        )
    event = events[decided.part - 1]
    if decided.outcome == "conflict" and not event.refused:
        wanted = "exists" if closing.version is None else str(closing.version)
        return version_conflict(closing.stream, wanted, decided.actual_version)
    if decided.outcome == "duplicate":
        # Stored, but not as an event that closes or opens a stream.
        stored = events[decided.part - 1]
        return Refusal(
            "EVENT_ID_REUSED",
            "the event is stored already, but not as this close",
            event_id=stored.ids[0],
            problem="other_content",
            stream=stored.stream,
        )
    return refusal_of(
        _core.Decision(
            decided.outcome,
            event,
            actual_version=decided.actual_version,
            successor=decided.successor,
            differs_at=None if decided.differs_at is None else decided.differs_at - 1,
            problem=decided.problem,
        )
    )


def _done(ending: Ending | None, closing: Closing, names: Sequence[str]) -> Closed | None:
    """The outcome of the same close, if it was done before. `names`: those of its folds."""
    if ending is None or ending.lifecycle != LIFECYCLE_CLOSED or not ending.flags & CLOSES:
        return None
    states = _carried(ending.opening_data)
    same_states = ending.successor == closing.successor and {one.fold for one in states} == set(
        names
    )
    if not (_same_ids(ending, closing) or same_states):
        return None
    return Closed(
        ending.version,
        ending.closing_position,
        str(ending.closing_id),
        ending.successor,
        ending.opening_position or 0,
        "" if ending.opening_id is None else str(ending.opening_id),
        states,
        ending.recorded_at,
        duplicate=True,
    )


def _same_ids(ending: Ending, closing: Closing) -> bool:
    wanted = [closing.closing_id] + ([closing.opening_id] if closing.successor is not None else [])
    stored = [ending.closing_id] + ([ending.opening_id] if ending.opening_id is not None else [])
    return all(wanted) and [UUID(id_) for id_ in wanted] == stored


def _carried(data: bytes | None) -> list[Carried]:
    """What an opening event carries, as far as it is one."""
    if not data:
        return []
    # Numbers of any length, none of which is looked at.
    found = json.loads(data, parse_int=str, parse_float=str)
    states = found.get("states", []) if isinstance(found, dict) else []
    return [Carried(one["fold"], one["digest"], one.get("exists", True)) for one in states]


def _state(state: Carried) -> bytes:
    exists = b"true" if state.exists else b"false"
    return b'{"fold":%b,"digest":%b,"exists":%b,"state":%b}' % (
        _text(state.fold),
        _text(state.digest),
        exists,
        state.state,
    )


def _personal(states: Sequence[Carried]) -> list[Personal]:
    """What is personal of the data of the event that carries states."""
    return [
        ([f"/states/{place}/state{pointer}" for pointer in state.personal[0]], state.personal[1])
        for place, state in enumerate(states)
        if state.personal is not None
    ]


def _text(text: str | None) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def _merged(own: dict[str, bytes], given: bytes) -> bytes:
    """A JSON object of the server's members and those of a text, which are checked with it."""
    members = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in own.items())
    rest = given.lstrip(_BLANK) or b"{}"
    if not rest.startswith(b"{"):
        # Refused where the event is checked.
        return given
    rest = rest[1:].lstrip(_BLANK)
    return b"{" + members + (b"" if rest.startswith(b"}") else b",") + rest


def _deleted(stream: str) -> Refusal:
    return Refusal("STREAM_DELETED", "the stream was deleted", stream=stream)
