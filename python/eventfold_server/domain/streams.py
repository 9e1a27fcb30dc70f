"""Describing and listing streams."""

from dataclasses import dataclass

from eventfold_server.domain.requests import behind_prefix, readable_stream_name
from eventfold_server.storage.log import LogStorage, StreamRow, not_found

# What the domain knows of a stream is its row.
Stream = StreamRow


@dataclass(frozen=True)
class StreamFilter:
    """Which streams to list; see the proto."""

    category: str
    prefix: str
    lifecycle: int | None


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
            behind_prefix(prefix) if prefix else None,
            wanted.lifecycle,
            not prefix.startswith("$"),
            limit,
        )
