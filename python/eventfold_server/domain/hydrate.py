"""Hydrating one stream: its state at the head, or at a point in the past."""

from dataclasses import dataclass, replace
from datetime import datetime

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, decode, feed
from eventfold_server.domain.requests import readable_stream_name
from eventfold_server.domain.starts import ANY_VERSION, Progress, Start, Starts
from eventfold_server.errors import Refusal
from eventfold_server.storage.kept import HydrateHead
from eventfold_server.storage.log import LogStorage, Page


@dataclass(frozen=True)
class At:
    """The point up to which events count; nothing set: the head."""

    version: int | None = None
    position: int | None = None
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None

    @property
    def may_go_on(self) -> bool:
        """Whether a kept state can lead there: the version that it must not pass is known."""
        return self.position is None and self.recorded_at is None and self.occurred_at is None


@dataclass(frozen=True)
class Hydrated:
    """A state; see the proto."""

    result: _core.FoldResult
    fold_digest: str
    kept_version: int

    @property
    def events_read(self) -> int:
        """Events that were read for it. The run never sees the one at the kept version, which was
        read to compare its id.
        """
        return self.result.events_read + (self.kept_version > 0)


class Hydrator:
    """Hydrates the streams of one store."""

    def __init__(self, log: LogStorage, starts: Starts) -> None:
        self._log = log
        self._starts = starts

    async def hydrate(self, stream: str, ref: FoldRef, at: At) -> Hydrated:
        """Folds the stream."""
        readable_stream_name(stream)
        up_to = 0 if not at.may_go_on else ANY_VERSION if at.version is None else at.version
        start = await self._starts.of(stream, ref, up_to)
        if start.deleted is not None:
            raise start.deleted
        if not at.may_go_on:
            start = replace(start, keeps=False)
        last = await self._last_version(start.head, at)
        try:
            return await self._fold(start, last, at)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

    async def _last_version(self, head: HydrateHead, at: At) -> int:
        if at.version is not None and at.version > head.version:
            raise version_ahead(head, at.version)
        if at.position is not None:
            log_head = await self._log.head()
            if at.position > log_head:
                raise Refusal(
                    "POSITION_AHEAD",
                    f"position {at.position} lies beyond the head {log_head}",
                    requested=at.position,
                    head=log_head,
                )
        return head.version if at.version is None else at.version

    async def _fold(self, start: Start, last: int, at: At) -> Hydrated:
        """Folds up to version `last`."""
        if start.kept is not None and start.kept.version > last:
            # The log is shorter than the one that was folded.
            start = self._starts.drop(start)
        progress = Progress(start)
        stream_no = start.head.stream_no
        first = start.kept.version if start.kept else 1
        while stream_no is not None and first <= last:
            page = await self._page(stream_no, first, last, at)
            if not page.rows:
                break
            batch = decode(page)
            row = progress.begin(batch)
            if row is None:
                return await self._fold(self._starts.drop(start), last, at)
            await feed(progress.run, batch, page.size_bytes, row)
            progress.reached(batch, page.rows - 1)
            if not page.full:
                break
            first = batch.last_version + 1
        result = progress.run.finish()
        self._starts.keep(progress, result)
        return Hydrated(result, start.fold.digest, start.kept.version if start.kept else 0)

    async def _page(self, stream_no: int, first: int, last: int, at: At) -> Page:
        if at.may_go_on:
            return await self._log.stream_page(stream_no, first, last)
        return await self._log.stream_page_until(
            stream_no,
            first,
            last,
            position=at.position,
            recorded_at=at.recorded_at,
            occurred_at=at.occurred_at,
        )


def version_ahead(head: HydrateHead, version: int) -> Refusal:
    """The refusal for a version that the stream has not reached."""
    return Refusal(
        "VERSION_AHEAD",
        f"version {version} lies beyond the head {head.version}",
        stream=head.name,
        requested=version,
        head=head.version,
    )
