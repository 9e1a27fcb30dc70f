"""Compiled documents of transforms."""

import asyncio
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.copy_readers import WHOLE_LOG
from eventfold_server.errors import Refusal
from eventfold_server.storage.transform_writer import Sources


@dataclass(frozen=True)
class Document:
    """A document, and what it says of sources and targets."""

    transform: _core.Transform
    sources: Sources
    # Categories that it writes into, and those that it reads by name, or by the names of streams.
    into: frozenset[str]
    source_categories: frozenset[str]

    @property
    def read_categories(self) -> frozenset[str]:
        """Categories that it reads; WHOLE_LOG for all but those that it writes into."""
        return self.source_categories or frozenset({WHOLE_LOG})


async def compiled(source: str) -> Document:
    """The document of a text; INVALID_TRANSFORM and its kin if it does not compile."""
    try:
        # A large document takes tens of milliseconds.
        transform = await asyncio.to_thread(_core.Transform, source)
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None
    sources = Sources(transform.categories, transform.streams, transform.into)
    named = {stream.partition("-")[0] for stream in transform.streams or ()}
    return Document(
        transform,
        sources,
        frozenset(transform.into),
        frozenset(transform.categories or named),
    )
