"""Schemas with the documents that they refer to."""

from eventfold import _core
from eventfold_server.domain.folding import in_thread
from eventfold_server.errors import Refusal
from eventfold_server.limits import SCHEMA_ALL_BYTES_MAX
from eventfold_server.storage.event_types import EventTypeStorage, SchemaRow

# `$id` and document.
Resources = list[tuple[str, str]]

# Shared schemas that are read by one statement: together at most some MiB.
_AT_ONCE = 16


class Compiler:
    """Compiles schemas, and finds what they refer to among the shared ones of one store."""

    def __init__(self, storage: EventTypeStorage) -> None:
        self._storage = storage

    async def compile(self, source: str, *, formats: bool) -> tuple[_core.Schema, Resources]:
        """The schema with the newest documents of all that it refers to, also through others.

        INVALID_SCHEMA, SCHEMA_TOO_LARGE.
        """
        found: dict[str, str] = {}
        while True:
            try:
                compiled = await in_thread(
                    None, _core.Schema, source, sorted(found.items()), formats
                )
            except _core.CoreError as error:
                refusal = Refusal.of_core(error)
                if refusal.facts.get("problem") != "unknown_reference":
                    raise refusal from None
                more = await self._more(source, found)
                if not more:
                    raise refusal from None
                found |= more
                continue
            refers_to = set(compiled.refers_to)
            return compiled, [(id_, found[id_]) for id_ in sorted(refers_to)]

    async def _more(self, source: str, found: dict[str, str]) -> dict[str, str]:
        """Of the documents that are missing beside those that were found, the ones that there
        are; not all, if they have too many bytes for any schema.
        """
        missing = await in_thread(None, _core.Schema.missing, source, sorted(found.items()))
        more: dict[str, str] = {}
        for first in range(0, len(missing), _AT_ONCE):
            more |= await self._storage.shared_sources(missing[first : first + _AT_ONCE])
            if sum(map(len, more.values())) > SCHEMA_ALL_BYTES_MAX:
                break
        return more


async def stored(row: SchemaRow) -> _core.Schema:
    """A schema that is in force."""
    resources = list(zip(row.resource_ids, row.resources, strict=True))
    return await in_thread(None, _core.Schema.stored, row.source, resources, row.formats)
