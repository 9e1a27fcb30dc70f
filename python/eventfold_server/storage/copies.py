"""Which readers would get events together with copies of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from eventfold_server.storage.database import Database


@dataclass(frozen=True)
class Ambiguity:
    """A transform, one of its sources and one of its targets."""

    transform_no: int
    source: str
    target: str


async def ambiguous_transform(database: Database, categories: Sequence[str]) -> Ambiguity | None:
    """A transform of which both a source and a target are among the categories; None: there is
    none.
    """
    async with database.reading() as connection:
        row = await connection.fetchrow(database.queries["ambiguous_transform"], categories)
    return None if row is None else Ambiguity(**row)
