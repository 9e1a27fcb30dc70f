"""What is stored of a subject: where it is, and all of it for whom it concerns."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from eventfold import _core
from eventfold_server.domain.audit import Audit
from eventfold_server.domain.privacy.administration import KeyParts, not_active
from eventfold_server.domain.privacy.keys import PersonalKeys
from eventfold_server.domain.privacy.subject_index import SubjectIndex
from eventfold_server.domain.requests import Caller, invalid
from eventfold_server.errors import Refusal
from eventfold_server.limits import EXPORT_STREAMS_MAX
from eventfold_server.storage.event_types import EventTypeStorage, SchemaRow
from eventfold_server.storage.keys.store import SubjectRow, SubjectStatus
from eventfold_server.storage.subjects import SubjectStorage, SubjectStreamRow

# What the domain knows of these is their row.
SubjectEvents = SubjectStreamRow
Schema = SchemaRow
__all__ = ["End", "Export", "Schema", "SubjectEvents", "SubjectStatus", "Subjects"]


@dataclass(frozen=True)
class Found:
    """Where a subject is."""

    subject: SubjectRow
    # One more than was asked for: there are more.
    rows: list[SubjectStreamRow]
    # Exact up to this position.
    position: int


@dataclass(frozen=True)
class Export:
    """What is wanted of a subject."""

    subject: str
    linked: bool
    raw: bool
    after: int


@dataclass(frozen=True)
class Part:
    """A part of an export."""

    # Encoded, as the events of a read.
    events: bytes
    # Of event types that come for the first time.
    schemas: list[SchemaRow]


@dataclass(frozen=True)
class End:
    """The end of an export."""

    position: int
    events: int


class Subjects:
    """Finds and exports the subjects of one store."""

    def __init__(
        self,
        keys: PersonalKeys,
        storage: SubjectStorage,
        schemas: EventTypeStorage,
        index: SubjectIndex,
        audit: Audit,
    ) -> None:
        """Without a master key every call is refused."""
        self._keys = keys
        self._storage = storage
        self._schemas = schemas
        self._index = index
        self._audit = audit

    async def find(self, name: str, after: tuple[str, str], limit: int) -> Found:
        """Where a subject is, behind a stream and a type."""
        parts, _ = self._configured()
        subject = await self._subject(parts, name)
        position = await self._index.catch_up()
        rows = await self._storage.streams(subject.subject_id, after, limit)
        return Found(subject, rows, position)

    async def export(self, caller: Caller, export: Export) -> AsyncGenerator[Part | End]:
        """All of a subject; the last part is the end. What is read is audited before."""
        parts, keyring = self._configured()
        subject = await self._subject(parts, export.subject)
        if subject.status is not SubjectStatus.ACTIVE:
            raise not_active(subject)
        head = await self._index.catch_up()
        streams = await self._streams(export.subject) if export.linked else []
        facts = {
            "subject_hash": subject.subject_hash,
            "subject_id": subject.subject_id,
            "linked": export.linked,
            "raw": export.raw,
            "after_position": export.after,
            "to_position": head,
        }
        await self._audit.write(caller, "$SubjectExported", facts)
        await self._storage.count("exports", 1)
        after, events, told = export.after, 0, set[str]()
        while found := await self._storage.positions(subject.subject_id, streams, after, head):
            positions = [position for position, _ in found]
            new = {event_type for _, event_type in found} - told
            told |= new
            schemas = [row for one in sorted(new) if (row := await self._schema(one)) is not None]
            if schemas:
                yield Part(b"", schemas)
            opened = self._opened(positions, keyring, subject.subject_id, raw=export.raw)
            async with aclosing(opened) as pages:
                async for page in pages:
                    yield Part(page.encoded or b"", [])
                    events += page.rows
            after = positions[-1]
        yield End(head, events)

    async def _opened(
        self, positions: list[int], keyring: _core.Keyring, subject_id: UUID, *, raw: bool
    ) -> AsyncGenerator[_core.Page]:
        """Pages whose values may leave this process at the moment when they are given away."""
        left = positions
        while left:
            epoch, last = keyring.epoch, 0
            pages = self._storage.pages(left, subject_id, raw=raw)
            async with aclosing(pages):
                async for page in pages:
                    # Else somebody was erased meanwhile, perhaps this one: it is read again.
                    if not keyring.may_leave(epoch):
                        break
                    last = page.last_position if page.rows else last
                    yield page
                else:
                    return
            left = [position for position in left if position > last]

    async def _streams(self, subject: str) -> list[int]:
        """Numbers of the subject's own streams, and of all that belong to them."""
        known: dict[str, int] = {}
        names = [subject]
        while names:
            found = await self._storage.line_streams(names)
            new = [name for name in found if name not in known]
            known |= found
            if len(known) > EXPORT_STREAMS_MAX:
                raise Refusal(
                    "EXPORT_TOO_LARGE",
                    f"more than {EXPORT_STREAMS_MAX} streams belong to the subject; export it "
                    "without them, and read them one by one",
                    limit=EXPORT_STREAMS_MAX,
                )
            # A subject may own streams without having one of its own.
            owners = {*new, *(names if subject in names else ())}
            names = [
                name for name in await self._storage.linked(sorted(owners)) if name not in known
            ]
        return sorted(known.values())

    async def _schema(self, event_type: str) -> SchemaRow | None:
        return await self._schemas.schema(event_type, None, 0)

    async def _subject(self, parts: KeyParts, name: str) -> SubjectRow:
        try:
            _core.check_stream_name(name)
        except _core.CoreError as error:
            # What is wrong is told, and not the name.
            raise invalid("subject", f"is named like a stream: {error.message}") from None
        subject = await parts.store.subject(name)
        if subject is None:
            raise Refusal("SUBJECT_NOT_FOUND", "there is no such subject")
        return subject

    def _configured(self) -> tuple[KeyParts, _core.Keyring]:
        if self._keys.parts is None or self._keys.keyring is None:
            raise Refusal("KEYS_NOT_CONFIGURED", "the server has no master key")
        return self._keys.parts, self._keys.keyring
