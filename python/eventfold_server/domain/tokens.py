"""Resume tokens: a position, and proof that it stands for this very log.

A token holds the position with the id of the event there, and the same for earlier positions at
doubling distances. A log that lost its tail and grew another one has other ids there.
"""

import struct
from uuid import UUID

from eventfold_server.errors import Refusal
from eventfold_server.limits import RESUME_TOKEN_PAIRS_MAX
from eventfold_server.storage.log import LogStorage

_FORMAT = b"\x01"
_PAIR = struct.Struct(">Q16s")
# How far before its own position the pairs of a token reach.
IDS_BEFORE = 1 << (RESUME_TOKEN_PAIRS_MAX - 2)
_ID_BYTES = 16


def _positions(position: int) -> list[int]:
    """The position, and earlier ones at distances 1, 2, 4 and so on, newest first."""
    earlier = (position - (1 << step) for step in range(RESUME_TOKEN_PAIRS_MAX - 1))
    return [p for p in (position, *earlier) if p >= 1]


async def make_token(log: LogStorage, position: int) -> bytes:
    """The token that stands for a position of the log; 0: its beginning."""
    positions = _positions(position)
    ids = await log.ids_at(positions) if positions else {}
    return _FORMAT + b"".join(_PAIR.pack(p, ids[p].bytes) for p in positions)


async def token_after(
    log: LogStorage, before: bytes, position: int, sent: tuple[int, bytes] | None
) -> bytes:
    """The token that stands for a position behind that of `before`, on the very same log.

    `sent`: position and id of an event that is about to be sent. The token proves nothing about
    events that were read from a log which lost them since, so that they are looked up once more.
    """
    known = dict(_parse(before)[:1])
    if sent is not None:
        known[sent[0]] = UUID(bytes=sent[1])
    positions = _positions(position)
    ids = await log.ids_at([*positions, *known])
    if any(ids.get(p) != id_ for p, id_ in known.items()) or any(p not in ids for p in positions):
        # Raises, unless only what was not sent yet is gone.
        await position_of_token(log, before)
        raise Refusal("STORAGE_UNAVAILABLE", "the log changed while it was read")
    return _FORMAT + b"".join(_PAIR.pack(p, ids[p].bytes) for p in positions)


class IdWindow:
    """The ids of the newest events that were read: enough for the token of the last position."""

    def __init__(self, last: int, ids: bytes) -> None:
        """`ids`: those up to position `last`, from `IDS_BEFORE` before it on."""
        self.last = last
        self._ids = bytearray(ids)

    @property
    def last_id(self) -> UUID | None:
        """Id of the event at the last position; None: there is none."""
        return UUID(bytes=bytes(self._ids[-_ID_BYTES:])) if self._ids else None

    @property
    def is_whole(self) -> bool:
        """Whether no id is missing that a token needs."""
        return len(self._ids) >= min(self.last, IDS_BEFORE + 1) * _ID_BYTES

    def extend(self, ids: bytes) -> None:
        """Goes on by the ids of the next positions."""
        self._ids += ids
        self.last += len(ids) // _ID_BYTES
        surplus = len(self._ids) - (IDS_BEFORE + 1) * _ID_BYTES
        # Seldom, since it moves all that is left.
        if surplus > IDS_BEFORE * _ID_BYTES:
            del self._ids[:surplus]

    def token(self) -> bytes:
        """The token that stands for the last position."""
        parts = [_FORMAT]
        for position in _positions(self.last):
            at = len(self._ids) - (self.last - position + 1) * _ID_BYTES
            parts.append(_PAIR.pack(position, bytes(self._ids[at : at + _ID_BYTES])))
        return b"".join(parts)


def _parse(token: bytes) -> list[tuple[int, UUID]]:
    body = token[1:]
    well_formed = (
        token[:1] == _FORMAT
        and len(body) % _PAIR.size == 0
        and len(body) <= RESUME_TOKEN_PAIRS_MAX * _PAIR.size
    )
    if not well_formed:
        raise _not_a_token()
    pairs = [(position, UUID(bytes=id_)) for position, id_ in _PAIR.iter_unpack(body)]
    if pairs and [position for position, _ in pairs] != _positions(pairs[0][0]):
        raise _not_a_token()
    if pairs and pairs[0][0] >= 1 << 63:
        raise _not_a_token()
    return pairs


def _not_a_token() -> Refusal:
    return Refusal(
        "INVALID_RESUME_TOKEN", "this is no resume token of eventfold", problem="malformed"
    )


async def position_of_token(log: LogStorage, token: bytes) -> int:
    """The position that the token stands for on this log.

    STORE_INCARNATION_CHANGED names the newest position on which log and token agree.
    """
    pairs = _parse(token)
    if not pairs:
        return 0
    ids = await log.ids_at([position for position, _ in pairs])
    common = next((position for position, id_ in pairs if ids.get(position) == id_), 0)
    if common != pairs[0][0]:
        raise Refusal(
            "STORE_INCARNATION_CHANGED",
            f"the log is not the one of the token; they agree up to position {common}",
            common_position=common,
            token_position=pairs[0][0],
        )
    return common
