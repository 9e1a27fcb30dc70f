"""Page tokens of queries: where in its order a page ended.

A token holds the values of the last row, not its place in a table, so that it goes on in whatever
generation answers next. It says which query it is of, and proves nothing: what it holds becomes
parameters of a statement, as anything that a caller writes.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence

from eventfold_server.domain import requests
from eventfold_server.errors import Refusal
from eventfold_server.limits import QUERY_ORDER_COLUMNS_MAX, QUERY_PLACE_BYTES_MAX

_FORMAT = b"\x01"
_SCOPE_BYTES = 8
_LENGTH = struct.Struct(">h")
# In place of a length: there is no value.
_NO_VALUE = -1


def scope(projection: str, filter_: str, order: Sequence[tuple[str, bool]]) -> bytes:
    """Stands for all queries that a token may go on with."""
    digest = hashlib.sha256()
    for text in (projection, filter_, *(f"{name} {down}" for name, down in order)):
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(4) + encoded)
    return digest.digest()[:_SCOPE_BYTES]


def make(place: Sequence[str | None], scope_: bytes) -> str:
    """The token of a page that ended with a row of these values."""
    parts = [_FORMAT, scope_]
    for value in place:
        encoded = b"" if value is None else value.encode()
        if len(encoded) > QUERY_PLACE_BYTES_MAX:
            raise Refusal(
                "INVALID_REQUEST",
                "order: a page would end at a value that is too long; order by other columns",
                field="order",
                problem="a page would end at a value that is too long",
                limit=QUERY_PLACE_BYTES_MAX,
            )
        parts += [_LENGTH.pack(_NO_VALUE if value is None else len(encoded)), encoded]
    return base64.urlsafe_b64encode(b"".join(parts)).decode()


def read(token: str, scope_: bytes) -> list[str | None] | None:
    """The values that a token holds; None: it is empty, and asks for the first page."""
    if not token:
        return None
    try:
        data = base64.b64decode(token, altchars=b"-_", validate=True)
        values = _values(data[1 + _SCOPE_BYTES :])
    except (binascii.Error, struct.error, ValueError):
        raise requests.invalid("page_token", "is none of this server") from None
    if data[:1] != _FORMAT or len(values) > QUERY_ORDER_COLUMNS_MAX + 1:
        raise requests.invalid("page_token", "is none of this server")
    if data[1 : 1 + _SCOPE_BYTES] != scope_:
        raise requests.invalid("page_token", "is of another projection, filter or order")
    return values


def _values(data: bytes) -> list[str | None]:
    values: list[str | None] = []
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length == _NO_VALUE:
            values.append(None)
            continue
        if length < 0 or at + length > len(data):
            raise ValueError("a value ends beyond the token")
        values.append(data[at : at + length].decode())
        at += length
    return values
