"""Subscriptions: the log, categories or a stream from a position on, and what is appended after."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from eventfold_server.domain.requests import invalid, readable_stream_name
from eventfold_server.domain.subscription import Frame, Subscription, Wanted, changed
from eventfold_server.domain.tail import Tail
from eventfold_server.domain.tokens import make_token, position_of_token
from eventfold_server.errors import Refusal
from eventfold_server.storage.log import LogStorage


@dataclass(frozen=True)
class Start:
    """Where a subscription begins: at most one is set; none: with the first event."""

    resume_token: bytes | None = None
    position: int | None = None
    version: int | None = None
    recorded_at: datetime | None = None
    now: bool = False


class Subscriptions:
    """Subscriptions to one store."""

    def __init__(
        self, log: LogStorage, tail: Tail, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._tail = tail
        self._clock = clock

    async def frames(self, wanted: Wanted, start: Start) -> AsyncGenerator[Frame]:
        """The frames of a subscription, without an end."""
        if wanted.stream is not None:
            readable_stream_name(wanted.stream)
            if wanted.categories:
                raise invalid("categories", "not together with stream")
        elif start.version is not None:
            raise invalid("from_version", "only with stream")
        filter_ = wanted.compiled()
        with self._tail.following():
            # From before the token is compared with the log.
            edition = self._tail.edition
            # Whoever appended before the call has its events before the first CAUGHT_UP.
            head = await self._log.head()
            self._tail.told(head)
            position, token = await self._begin(wanted, start, head)
            one = Subscription(self._log, self._tail, self._clock, wanted, filter_)
            one.begin(position, token, head, edition)
            async with aclosing(one.frames()) as frames:
                async for frame in frames:
                    yield frame

    async def _begin(self, wanted: Wanted, start: Start, head: int) -> tuple[int, bytes]:
        """The position behind which the subscription begins, and its token."""
        if start.resume_token is not None:
            return await position_of_token(self._log, start.resume_token), start.resume_token
        position = 0
        if start.position is not None:
            if start.position > head + 1:
                raise Refusal(
                    "POSITION_AHEAD",
                    f"position {start.position} lies beyond the head {head}",
                    requested=start.position,
                    head=head,
                )
            position = start.position - 1
        elif start.version is not None:
            position = await self._before_version(wanted.stream or "", start.version)
        elif start.recorded_at is not None:
            found = await self._log.position_from(head, start.recorded_at)
            if found is None:
                raise changed()
            position = found - 1
        elif start.now:
            position = head
        return position, await make_token(self._log, position)

    async def _before_version(self, stream: str, version: int) -> int:
        row = await self._log.stream(stream)
        head = 0 if row is None else row.version
        if version > head + 1:
            raise Refusal(
                "VERSION_AHEAD",
                f"version {version} lies beyond the head {head}",
                stream=stream,
                requested=version,
                head=head,
            )
        if row is None or version == 1:
            return 0
        return await self._log.position_of(row.stream_no, version - 1)
