"""Compiled documents of projections, with the folds that they reuse."""

import asyncio
from collections import OrderedDict

from eventfold import _core
from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.errors import Refusal
from eventfold_server.limits import PROJECTION_CACHE_ENTRIES_MAX
from eventfold_server.storage.projections import Document, GenerationRow


class Documents:
    """Compiled documents by their text; the ones unused for longest go first."""

    def __init__(self, folds: FoldRegistry) -> None:
        self._folds = folds
        self._compiled: OrderedDict[tuple[str, str | None], _core.Projection] = OrderedDict()

    async def read(self, source: str) -> Document:
        """The document, with the newest revision of the fold that it names.

        INVALID_PROJECTION and its kin if it does not compile, FOLD_NOT_FOUND.
        """
        try:
            name = _core.Projection.fold_name(source)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
        if name is None:
            return Document(source, await self.compiled(source, None), None, None, None)
        fold = await self._folds.get(name, 0)
        return Document(
            source, await self.compiled(source, fold.source), name, fold.revision, fold.source
        )

    async def of(self, generation: GenerationRow) -> _core.Projection:
        """The document of a generation."""
        return await self.compiled(generation.source, generation.fold_source)

    async def compiled(self, source: str, fold_source: str | None) -> _core.Projection:
        """The document that stands in a text, with the document of the fold that it names."""
        key = (source, fold_source)
        found = self._compiled.get(key)
        if found is not None:
            self._compiled.move_to_end(key)
            return found
        try:
            # A large document takes tens of milliseconds.
            found = await asyncio.to_thread(_core.Projection, source, fold_source)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None
        self._compiled[key] = found
        if len(self._compiled) > PROJECTION_CACHE_ENTRIES_MAX:
            self._compiled.popitem(last=False)
        return found


def personal_column(projection: str, column: str) -> Refusal:
    """The refusal of a key or an indexed column that can hold personal values."""
    return Refusal(
        "PERSONAL_COLUMN",
        f"`{column}` can hold personal values: what is sealed can be neither key nor in an index",
        projection=projection,
        column=column,
    )
