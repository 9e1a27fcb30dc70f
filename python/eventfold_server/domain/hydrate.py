"""Hydrating one stream: its state at the head, or at a point in the past."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from eventfold import _core
from eventfold_server.domain.folding import (
    FoldRef,
    FoldRegistry,
    decode,
    feed,
    fold_not_found,
)
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.requests import readable_stream_name
from eventfold_server.errors import Refusal
from eventfold_server.limits import KEEP_EVERY_DEFAULT
from eventfold_server.storage.folds import FoldStorage, HydrateHead, KeptState
from eventfold_server.storage.log import LogStorage, Page

_NO_VERSION_ABOVE = (1 << 63) - 1


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


class Hydrator:
    """Hydrates the streams of one store."""

    def __init__(
        self, log: LogStorage, folds: FoldStorage, registry: FoldRegistry, kept: KeptStates
    ) -> None:
        self._log = log
        self._folds = folds
        self._registry = registry
        self._kept = kept
        # Digest of each fold name when it was last seen: tells which state in memory to go on
        # from before the database was asked. One that moved is noticed, and costs one hydration
        # without a kept state.
        self._digests: dict[str, str] = {}

    async def hydrate(self, stream: str, ref: FoldRef, at: At) -> Hydrated:
        """Folds the stream."""
        readable_stream_name(stream)
        fold = None if ref.source is None else await self._registry.compiled.get(ref.source)
        digest, remembered = self._recall(stream, ref, at)
        head = await self._folds.hydrate_head(
            stream,
            ref.name,
            remembered.version if remembered else 0,
            at.version if at.version is not None else _NO_VERSION_ABOVE if at.may_go_on else 0,
        )
        if fold is None:
            if head.fold_source is None or head.fold_digest is None:
                raise fold_not_found(ref.name or "", 0)
            fold = await self._registry.compiled.get(head.fold_source)
            self._digests[ref.name or ""] = head.fold_digest
            if digest != head.fold_digest:
                remembered = None
        if head.lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=stream)
        last = await self._last_version(stream, head, at)
        try:
            # The digest leaves `keep` out: another fold may have kept a state that this one
            # must do without.
            kept = None if fold.keep_every == 0 else head.kept or remembered
            return await self._fold(stream, head, fold, kept, last, at)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

    def _recall(self, stream: str, ref: FoldRef, at: At) -> tuple[str | None, KeptState | None]:
        """The state in memory to go on from, and the digest of the fold that it is a state of."""
        digest = self._digests.get(ref.name) if ref.name is not None and at.may_go_on else None
        if digest is None:
            return None, None
        return digest, self._kept.recall(stream, digest, at.version)

    async def _last_version(self, stream: str, head: HydrateHead, at: At) -> int:
        if at.version is not None and at.version > head.version:
            raise Refusal(
                "VERSION_AHEAD",
                f"version {at.version} lies beyond the head {head.version}",
                stream=stream,
                requested=at.version,
                head=head.version,
            )
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

    async def _fold(
        self,
        stream: str,
        head: HydrateHead,
        fold: _core.Fold,
        kept: KeptState | None,
        last: int,
        at: At,
    ) -> Hydrated:
        """Folds up to version `last`, from the kept state if there is one of this log."""
        if head.stream_no is None:
            return Hydrated(fold.run(stream, head.root).finish(), fold.digest, 0)
        if kept is not None and kept.version > last:
            # The log is shorter than the one that was folded.
            self._kept.drop(stream, head.stream_no, fold.digest, kept)
            kept = None
        progress = _Progress(fold, stream, head.root, kept)
        first = kept.version if kept else 1
        while first <= last:
            page = await self._page(head.stream_no, first, last, at)
            if not page.rows:
                break
            batch = decode(page)
            if progress.rows == 0 and not progress.begin(batch):
                assert kept is not None
                self._kept.drop(stream, head.stream_no, fold.digest, kept)
                return await self._fold(stream, head, fold, None, last, at)
            await progress.feed(batch, page)
            if not page.full:
                break
            first = batch.last_version + 1
        result = progress.run.finish()
        if at.may_go_on and head.fold_digest == fold.digest:
            self._keep(stream, head.stream_no, fold, progress, result)
        return Hydrated(result, fold.digest, kept.version if kept else 0)

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

    def _keep(
        self,
        stream: str,
        stream_no: int,
        fold: _core.Fold,
        progress: "_Progress",
        result: _core.FoldResult,
    ) -> None:
        """Keeps the state of a registered fold, if enough events came since the last one."""
        every = KEEP_EVERY_DEFAULT if fold.keep_every is None else fold.keep_every
        if every == 0 or progress.last_id is None:
            return
        if result.version - (progress.kept.version if progress.kept else 0) >= every:
            kept = KeptState(
                result.version,
                progress.last_id,
                result.exists,
                result.state,
                progress.last_recorded_us,
            )
            self._kept.keep(stream, stream_no, fold.digest, kept)
        elif progress.kept is not None:
            # If it came from PostgreSQL, it need not come from there again.
            self._kept.remember(stream, fold.digest, progress.kept)


class _Progress:
    """A run, and what was fed to it."""

    def __init__(self, fold: _core.Fold, stream: str, root: str, kept: KeptState | None) -> None:
        self.kept = kept
        self.rows = 0
        self.last_id: UUID | None = None
        self.last_recorded_us = 0
        self._fold, self._stream, self._root = fold, stream, root
        self.run = fold.run(stream, root)

    def begin(self, batch: _core.Batch) -> bool:
        """Goes on from the kept state, whose event is the first row; False if that cannot be."""
        kept = self.kept
        if kept is None:
            return True
        if not _is_of(kept, batch):
            return False
        try:
            self.run = self._fold.run(
                self._stream,
                self._root,
                state=kept.state,
                exists=kept.exists,
                version=kept.version,
                position=batch.first_position,
            )
        except _core.CoreError:
            # Not a state at all. The first event tells what is true.
            return False
        self.kept = replace(kept, recorded_us=batch.recorded_us(0))
        return True

    async def feed(self, batch: _core.Batch, page: Page) -> None:
        """Feeds a page; the first row after a kept state is the event that it ends with."""
        skipped = 1 if self.kept is not None and self.rows == 0 else 0
        await feed(self.run, batch, page.size_bytes, skipped)
        self.rows += page.rows
        self.last_id = UUID(batch.event_id(page.rows - 1))
        self.last_recorded_us = batch.recorded_us(page.rows - 1)


def _is_of(kept: KeptState, batch: _core.Batch) -> bool:
    """Whether the log has the event that the kept state ends with."""
    return (
        batch.first_version == kept.version
        and batch.event_id(0) == str(kept.event_id)
        and kept.recorded_us in (None, batch.recorded_us(0))
    )
