"""Comparing generations of projections with a fold from scratch."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from eventfold_server.domain import requests
from eventfold_server.domain.projections.admin import chosen, no_projection
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.limits import PROJECTION_VERIFY_KEYS_DEFAULT, PROJECTION_VERIFY_KEYS_MAX
from eventfold_server.storage.projections import GenerationRow, ProjectionStorage
from eventfold_server.storage.projector import Projector
from eventfold_server.storage.refolding import Comparison, RefoldStorage


class Verifications:
    """Verifies projections of one store."""

    def __init__(
        self,
        storage: ProjectionStorage,
        refolds: RefoldStorage,
        projector: Projector,
        documents: Documents,
    ) -> None:
        self._storage = storage
        self._refolds = refolds
        self._projector = projector
        self._documents = documents

    async def verify(self, name: str, generation: int) -> None:
        """Compares a generation, and keeps what was found with it."""
        async with aclosing(self.compare(name, generation, 0)) as messages:
            async for _ in messages:
                pass

    async def compare(
        self, name: str, generation: int, keys: int
    ) -> AsyncGenerator[tuple[Comparison, str | None]]:
        """How far the comparison has come, again and again; at the end with what was found, as JSON
        that is kept with the generation. 0 stands for the newest generation, and for the default.
        """
        requests.text("name", name)
        requests.at_least("generation", generation, 0)
        if not 0 <= keys <= PROJECTION_VERIFY_KEYS_MAX:
            problem = f"must be from 1 to {PROJECTION_VERIFY_KEYS_MAX}"
            raise requests.invalid("keys", problem, PROJECTION_VERIFY_KEYS_MAX)
        while True:
            row = await self._row(name, generation)
            document = await self._documents.of(row)
            async with self._projector.aside:
                verification = await self._projector.verification(
                    row.generation_no, document, keys or PROJECTION_VERIFY_KEYS_DEFAULT
                )
                compared = await verification.go_on()
                while compared is not None and not compared.done:
                    yield compared, None
                    compared = await verification.go_on()
            if compared is None:
                raise no_projection(name, row.generation)
            found = await self._refolds.note_verification(row.generation_no, row.digest, compared)
            if found is not None:
                yield compared, found
                return
            # It was given another document meanwhile, so that nothing was compared.

    async def _row(self, name: str, generation: int) -> GenerationRow:
        projection = await self._storage.get(name)
        if projection is None:
            raise no_projection(name)
        return chosen(projection, generation) if generation else projection.generations[-1]
