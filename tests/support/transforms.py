"""Pages of events for transforms."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.pages import EPOCH_US, OIDS, array

from eventfold import _core

JOB = "01890000-0000-7000-8000-00000000000a"


@dataclass
class Source:
    """A stored event; version, position and, if it says none, id and time are those of its place
    in the page.
    """

    type: str
    data: bytes
    stream: str = "a-1"
    metadata: bytes = b"{}"
    tags: Sequence[str] = field(default_factory=list)
    flags: int = 1
    occurred_us: int | None = None
    copied_from: uuid.UUID | None = None
    cancels: uuid.UUID | None = None
    event_id: uuid.UUID | None = None
    deleted: bool = False

    def id(self, number: int) -> uuid.UUID:
        """Its id, if its place in the page is that number, from 0."""
        return self.event_id or uuid.UUID(f"01890000-0000-7000-8000-{number + 1:012}")


def page(events: Sequence[Source]) -> _core.Batch:
    """The page of some events, at positions from 101 and versions from 1."""
    cells: list[list[bytes | None]] = [[None] * len(events) for _ in OIDS]
    for n, event in enumerate(events):
        time = n + 1 if event.occurred_us is None else event.occurred_us
        tags = array(25, [tag.encode() for tag in event.tags]) if event.tags else None
        row = {
            0: event.stream.encode(),
            1: struct.pack(">q", n + 1),
            2: struct.pack(">q", n + 101),
            3: event.id(n).bytes,
            4: event.type.encode(),
            5: event.data,
            6: event.metadata,
            7: tags,
            8: struct.pack(">q", n + 1 - EPOCH_US),
            9: struct.pack(">q", time - EPOCH_US),
            10: b"me",
            11: struct.pack(">i", event.flags),
            12: event.copied_from.bytes if event.copied_from else None,
            13: event.cancels.bytes if event.cancels else None,
            15: bytes([event.deleted]),
        }
        for column, cell in row.items():
            cells[column][n] = cell
    return _core.Batch([array(oid, column) for oid, column in zip(OIDS, cells, strict=True)])
