"""Subscriptions: the log, categories or a stream from a position on, and what is appended after."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from eventfold_server.domain.copies import refuse_ambiguous
from eventfold_server.domain.log_start import LogStart
from eventfold_server.domain.privacy.conditions import refuse_personal
from eventfold_server.domain.requests import invalid, readable_stream_name
from eventfold_server.domain.subscription import Frame, Subscription, Wanted
from eventfold_server.domain.tail import Tail
from eventfold_server.domain.tokens import make_token
from eventfold_server.errors import Refusal
from eventfold_server.storage.log import LogStorage


class Subscriptions:
    """Subscriptions to one store."""

    def __init__(
        self,
        log: LogStorage,
        tail: Tail,
        withheld: Tail | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`withheld`: the tail whose events come without personal values; None: both are one."""
        self._log = log
        self._tail = tail
        self._withheld = tail if withheld is None else withheld
        self._clock = clock

    async def frames(
        self, wanted: Wanted, start: LogStart, version: int | None = None
    ) -> AsyncGenerator[Frame]:
        """The frames of a subscription, without an end. It begins with a version of its stream if
        one is named.
        """
        if wanted.stream is not None:
            readable_stream_name(wanted.stream)
            if wanted.categories:
                raise invalid("categories", "not together with stream")
        elif version is not None:
            raise invalid("from_version", "only with stream")
        filter_ = wanted.compiled()
        tail = self._tail if wanted.view.personal else self._withheld
        with tail.following():
            # From before the token is compared with the log.
            edition = tail.edition
            # Whoever appended before the call has its events before the first CAUGHT_UP.
            head = await self._log.head()
            tail.told(head)
            refuse_personal(filter_, self._log.personal, wanted, wanted.view)
            await refuse_ambiguous(self._log.ambiguous_transform, wanted.copies, wanted.categories)
            position, token = await self._begin(wanted, start, version, head)
            one = Subscription(self._log, tail, self._clock, wanted, filter_)
            one.begin(position, token, head, edition)
            async with aclosing(one.frames()) as frames:
                async for frame in frames:
                    yield frame

    async def _begin(
        self, wanted: Wanted, start: LogStart, version: int | None, head: int
    ) -> tuple[int, bytes]:
        """The position behind which the subscription begins, and its token."""
        if version is not None:
            position = await self._before_version(wanted.stream or "", version)
        else:
            position = await start.before(self._log, head)
        return position, start.resume_token or await make_token(self._log, position)

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
