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


# From the position of a token to the ones that its pairs stand for.
DISTANCES = (0, *(1 << step for step in range(RESUME_TOKEN_PAIRS_MAX - 1)))


def _positions(position: int) -> list[int]:
    """The position, and earlier ones at distances 1, 2, 4 and so on, newest first."""
    return [position - distance for distance in DISTANCES if distance < position]


async def make_token(log: LogStorage, position: int) -> bytes:
    """The token that stands for a position of the log; 0: its beginning."""
    positions = _positions(position)
    ids = await log.ids_at(positions) if positions else {}
    return _FORMAT + b"".join(_PAIR.pack(p, ids[p].bytes) for p in positions)


def token_of_pairs(pairs: bytes) -> tuple[int, bytes] | None:
    """The position that the pairs stand for, and the token; None: some of them are missing."""
    if not pairs:
        return None
    position: int = _PAIR.unpack_from(pairs)[0]
    count = 1 + min((position - 1).bit_length(), RESUME_TOKEN_PAIRS_MAX - 1)
    if len(pairs) != count * _PAIR.size:
        return None
    return position, _FORMAT + pairs


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
