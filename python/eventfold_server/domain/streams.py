"""Describing and listing streams."""

from dataclasses import dataclass

from eventfold_server.domain.requests import readable_stream_name
from eventfold_server.storage.log import LogStorage, StreamRow, not_found

# What the domain knows of a stream is its row.
Stream = StreamRow

_LAST_CODE_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


@dataclass(frozen=True)
class StreamFilter:
    """Which streams to list; see the proto."""

    category: str
    prefix: str
    lifecycle: int | None


def _successor(prefix: str) -> str | None:
    """The first text in byte order after all that start with the prefix; None: there is none.

    The byte order of UTF-8 is the order of code points.
    """
    for end in range(len(prefix), 0, -1):
        code_point = ord(prefix[end - 1]) + 1
        if code_point in _SURROGATES:
            code_point = _SURROGATES.stop
        if code_point <= _LAST_CODE_POINT:
            return prefix[: end - 1] + chr(code_point)
    return None


class Streams:
    """The streams of one store."""

    def __init__(self, log: LogStorage) -> None:
        self._log = log

    async def get(self, name: str) -> Stream:
        """The stream; STREAM_NOT_FOUND if it never had an event."""
        readable_stream_name(name)
        row = await self._log.stream(name)
        if row is None:
            raise not_found(name)
        return row

    async def list(self, wanted: StreamFilter, after: str, limit: int) -> list[Stream]:
        """Streams named above `after` that the filter lets pass, in byte order."""
        prefix = wanted.prefix
        if wanted.category:
            category_prefix = wanted.category + "-"
            if category_prefix.startswith(prefix):
                prefix = category_prefix
            elif not prefix.startswith(category_prefix):
                return []
        return await self._log.streams(
            after,
            prefix,
            _successor(prefix) if prefix else None,
            wanted.lifecycle,
            not prefix.startswith("$"),
            limit,
        )
