"""What people and the server did to the store, as events of the stream `$audit`.

They name no person: a subject stands there as its keyed hash.
"""

import json
from collections.abc import Callable, Mapping
from uuid import UUID

from eventfold_server.domain.append import Appender
from eventfold_server.domain.requests import Caller

AUDIT_STREAM = "$audit"

# An event that is to be stored whatever version the stream has, as a serialised `AppendRequest`:
# stream, id (empty: a new one), type, data.
Encode = Callable[[str, str, str, bytes], bytes]


class Audit:
    """Writes what was done in one store."""

    def __init__(
        self, appender: Appender, encode: Encode, is_duplicate: Callable[[bytes], bool]
    ) -> None:
        """`is_duplicate` tells of a serialised `AppendResponse` whether all was there already."""
        self._appender = appender
        self._encode = encode
        self._is_duplicate = is_duplicate

    async def write(
        self,
        caller: Caller,
        type_: str,
        facts: Mapping[str, object],
        *,
        event_id: UUID | None = None,
    ) -> bytes:
        """Appends one event of a type of the server (`$...`), with the caller as its writer; the
        answer is a serialised `AppendResponse`. Facts hold no personal data.

        `event_id`: of an act that may be tried again; it is written once.
        """
        assert type_.startswith("$"), type_
        data = json.dumps(facts, default=_plain, ensure_ascii=False, separators=(",", ":"))
        id_ = "" if event_id is None else str(event_id)
        request = self._encode(AUDIT_STREAM, id_, type_, data.encode())
        return await self._appender.append_system(caller, request)

    async def write_once(
        self, caller: Caller, type_: str, facts: Mapping[str, object], event_id: UUID
    ) -> bool:
        """The same; false: it was written before."""
        return not self._is_duplicate(await self.write(caller, type_, facts, event_id=event_id))


def _plain(value: object) -> str:
    """A fact that JSON has no form for; bytes, such as hashes, in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    assert isinstance(value, UUID), type(value)
    return str(value)
