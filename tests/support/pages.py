"""Pages of stored events as PostgreSQL sends them, for the core's bindings."""

import struct
from collections.abc import Sequence

EPOCH_US = 946_684_800_000_000
"""Microseconds from 1970 to 2000, where PostgreSQL's times begin."""
OIDS = [25, 20, 20, 2950, 25, 17, 17, 17, 1184, 1184, 25, 23, 2950, 2950, 25, 16, 17]
"""Numbers of the types of the columns of a page."""


def array(oid: int, elements: Sequence[bytes | None]) -> bytes:
    """What `array_send` makes of an array of one dimension."""
    parts = [
        struct.pack(">i", -1) if element is None else struct.pack(">i", len(element)) + element
        for element in elements
    ]
    header = struct.pack(">iiiii", 1, int(None in elements), oid, len(elements), 1)
    return header + b"".join(parts)
