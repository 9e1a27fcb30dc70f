"""Compiled folds, the registry of folds, and threads for folds that take long."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from eventfold import _core
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import FOLD_CACHE_ENTRIES_MAX, FOLD_THREADS
from eventfold_server.storage.folds import FoldRow, FoldStorage

T = TypeVar("T")

log = logging.getLogger(__name__)

# What the domain knows of a registered fold is its row.
RegisteredFold = FoldRow


@dataclass(frozen=True)
class FoldRef:
    """Which fold a request asks for: exactly one of the two is set."""

    name: str | None
    source: str | None


# Of its own, so that folds that take long never keep reads from being encoded.
_threads = ThreadPoolExecutor(FOLD_THREADS, thread_name_prefix="fold")


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


class FoldRegistry:
    """The registered folds of one store, and the compiled ones of this process."""

    def __init__(self, folds: FoldStorage) -> None:
        self._folds = folds
        self.compiled = CompiledFolds()

    async def find(self, ref: FoldRef) -> _core.Fold:
        """The fold that a request asks for."""
        if ref.source is not None:
            return await self.compiled.get(ref.source)
        return await self.compiled.get((await self.get(ref.name or "", 0)).source)

    async def put(self, caller: Caller, source: str) -> tuple[RegisteredFold, bool]:
        """Registers the document; True if that made a new revision."""
        fold = await self.compiled.get(source)
        return await self._folds.put(
            fold.name, fold.digest, fold.kept_digest, fold.keep_every, source, caller.writer
        )

    async def get(self, name: str, revision: int) -> RegisteredFold:
        """A registered fold; revision 0 is the newest."""
        row = await self._folds.get(name, revision)
        if row is None:
            raise fold_not_found(name, revision)
        return row

    async def complete(self) -> None:
        """Adds the kept digests of folds that were registered by servers that knew none."""
        for name, revision, source in await self._folds.incomplete():
            try:
                fold = await self.compiled.get(source)
            except Refusal as refusal:
                log.warning("fold %s, revision %d: %s", name, revision, refusal.reason)
                continue
            await self._folds.complete(name, revision, fold.kept_digest, fold.keep_every)

    async def list(self, after: str, limit: int) -> list[RegisteredFold]:
        """Newest revisions of the folds named above `after`, in byte order."""
        return await self._folds.list(after, limit)


class Stoppable(Protocol):
    """Work that can be ended from any thread."""

    def stop(self) -> None:
        """Ends it soon."""


async def in_thread(stoppable: Stoppable | None, work: Callable[..., T], *arguments: object) -> T:
    """Does work in a thread; a caller who gives up stops it, unless it is short."""
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)
    except asyncio.CancelledError:
        if stoppable is not None:
            stoppable.stop()
        raise


def fold_not_found(name: str, revision: int) -> Refusal:
    """The refusal for a fold that is not registered."""
    return Refusal(
        "FOLD_NOT_FOUND",
        "no fold is registered under this name" + (" in this revision" if revision else ""),
        fold=name,
        revision=revision or None,
    )
