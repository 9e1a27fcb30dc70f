"""Folding streams into states, and the registry of folds."""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from eventfold import _core
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.requests import Caller, readable_stream_name
from eventfold_server.errors import Refusal
from eventfold_server.limits import FOLD_CACHE_ENTRIES_MAX, FOLD_THREADS
from eventfold_server.storage.folds import FoldRow, FoldStorage, HydrateHead
from eventfold_server.storage.log import LogStorage, Page

# What the domain knows of a registered fold is its row.
RegisteredFold = FoldRow

# Of its own, so that folds that take long never keep reads from being encoded.
_threads = ThreadPoolExecutor(FOLD_THREADS, thread_name_prefix="fold")


@dataclass(frozen=True)
class At:
    """The point up to which events count; nothing set: the head."""

    version: int | None = None
    position: int | None = None
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True)
class Hydrated:
    """A state; see the proto."""

    result: _core.FoldResult
    fold_digest: str


class CompiledFolds:
    """Compiled folds by their source text; the ones unused for longest go first."""

    def __init__(self) -> None:
        self._folds: OrderedDict[str, _core.Fold] = OrderedDict()

    async def get(self, source: str) -> _core.Fold:
        """The fold of the document; INVALID_FOLD and its kin if it does not compile."""
        fold = self._folds.get(source)
        if fold is not None:
            self._folds.move_to_end(source)
            return fold
        try:
            # A large document takes tens of milliseconds.
            fold = await asyncio.get_running_loop().run_in_executor(_threads, _core.Fold, source)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
        self._folds[source] = fold
        if len(self._folds) > FOLD_CACHE_ENTRIES_MAX:
            self._folds.popitem(last=False)
        return fold


class Folder:
    """Hydrates the streams of one store."""

    def __init__(self, log: LogStorage, folds: FoldStorage) -> None:
        self._log = log
        self._folds = folds
        self._compiled = CompiledFolds()

    async def hydrate(
        self, stream: str, fold_name: str | None, fold_source: str | None, at: At
    ) -> Hydrated:
        """Folds the stream; exactly one of `fold_name` and `fold_source` is given."""
        readable_stream_name(stream)
        fold = None if fold_source is None else await self._compiled.get(fold_source)
        head = await self._folds.hydrate_head(stream, fold_name)
        if fold is None:
            if head.fold_source is None:
                raise _fold_not_found(fold_name or "", 0)
            fold = await self._compiled.get(head.fold_source)
        if head.lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=stream)
        last = await self._last_version(stream, head, at)
        run = fold.run(stream, head.root)
        try:
            if head.stream_no is not None:
                await self._feed(run, head.stream_no, last, at)
            return Hydrated(run.finish(), fold.digest)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

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

    async def _feed(self, run: _core.FoldRun, stream_no: int, last: int, at: At) -> None:
        first = 1
        while first <= last:
            page = await self._page(stream_no, first, last, at)
            if not page.rows:
                return
            batch = await _fold(run, page)
            if not page.full:
                return
            first = batch.last_version + 1

    async def _page(self, stream_no: int, first: int, last: int, at: At) -> Page:
        if at.position is None and at.recorded_at is None and at.occurred_at is None:
            return await self._log.stream_page(stream_no, first, last)
        return await self._log.stream_page_until(
            stream_no,
            first,
            last,
            position=at.position,
            recorded_at=at.recorded_at,
            occurred_at=at.occurred_at,
        )

    async def put(self, caller: Caller, source: str) -> tuple[RegisteredFold, bool]:
        """Registers the document; True if that made a new revision."""
        fold = await self._compiled.get(source)
        return await self._folds.put(fold.name, fold.digest, source, caller.writer)

    async def get(self, name: str, revision: int) -> RegisteredFold:
        """A registered fold; revision 0 is the newest."""
        row = await self._folds.get(name, revision)
        if row is None:
            raise _fold_not_found(name, revision)
        return row

    async def list(self, after: str, limit: int) -> list[RegisteredFold]:
        """Newest revisions of the folds named above `after`, in byte order."""
        return await self._folds.list(after, limit)


async def _fold(run: _core.FoldRun, page: Page) -> _core.Batch:
    """Folds a page into the run in a thread, so that other calls go on: a few events can cost
    seconds, and no size tells which. A caller who is gone ends the run.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, _fold_now, run, page)
    except asyncio.CancelledError:
        run.stop()
        raise


def _fold_now(run: _core.FoldRun, page: Page) -> _core.Batch:
    batch = _core.Batch(page.columns)
    run.feed(batch)
    return batch


def _fold_not_found(name: str, revision: int) -> Refusal:
    return Refusal(
        "FOLD_NOT_FOUND",
        "no fold is registered under this name" + (" in this revision" if revision else ""),
        fold=name,
        revision=revision or None,
    )
