"""Following references: what they lead to, and what leads to something."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.requests import event_id, readable_stream_name
from eventfold_server.domain.streams import Stream
from eventfold_server.limits import (
    RESOLVED_BYTES_MAX,
    RESOLVED_PAGE_BYTES,
    RESOLVED_STREAMS_MAX,
)
from eventfold_server.storage.references import ReferenceStorage
from eventfold_server.storage.views import View


@dataclass(frozen=True)
class Resolved:
    """What some references lead to."""

    # Serialised `ResolvedReference`s of events.
    events: bytes
    # Name of each stream, and the stream; None: it never had an event.
    streams: list[tuple[str, Stream | None]]


class References:
    """The references of one store."""

    def __init__(self, storage: ReferenceStorage) -> None:
        self._storage = storage

    async def follow(
        self, references: _core.References, field: int, view: View
    ) -> AsyncIterator[Resolved]:
        """What references lead to, in parts that fit into a message beside some events; `field` is
        where the message has them, `view` how they come.
        """
        rest: _core.References | None = references
        names = references.streams
        while rest is not None or names:
            events = b""
            if rest is not None:
                events, rest = await self._storage.resolve(
                    rest, field=field, room=RESOLVED_PAGE_BYTES, whole=False, view=view
                )
            now: Sequence[str] = ()
            if rest is None:
                now, names = names[:RESOLVED_STREAMS_MAX], names[RESOLVED_STREAMS_MAX:]
            yield Resolved(events, await self._streams(now))

    async def all(self, references: _core.References | None, field: int, view: View) -> Resolved:
        """What the references of one event lead to; without events that find no room."""
        if references is None:
            return Resolved(b"", [])
        events, _ = await self._storage.resolve(
            references, field=field, room=RESOLVED_BYTES_MAX, whole=True, view=view
        )
        return Resolved(events, await self._streams(references.streams))

    async def referrers(
        self, event: str | None, stream: str | None, after: int, size: int, view: View
    ) -> tuple[bytes, int | None]:
        """Encoded events behind a position that refer to an event or to a stream; and the position
        behind which there are more, None for none.
        """
        if event is not None:
            target = f"e:{event_id(event)}"
        else:
            readable_stream_name(stream or "")
            target = f"s:{stream}"
        positions = await self._storage.referrers(target, after, size + 1)
        if not positions:
            return b"", None
        page = await self._storage.events_at(positions[:size], view)
        more = page.last_position < positions[-1]
        return page.encoded or b"", page.last_position if more else None

    async def _streams(self, names: Sequence[str]) -> list[tuple[str, Stream | None]]:
        if not names:
            return []
        found = await self._storage.streams(names)
        return [(name, found.get(name)) for name in names]
