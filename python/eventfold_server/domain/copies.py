"""Copies of events, which transforms make: who gets them, and who has to say so.

Whoever reads the whole log has the originals already, so that copies would count twice. Whoever
names a stream or categories wants what is there. Only where both a source and a target of one
transform are named, nobody can tell what is meant.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.storage.copies import Ambiguity

# Finds a transform of which both a source and a target are among some categories.
Find = Callable[[Sequence[str]], Awaitable[Ambiguity | None]]


class Copies(enum.IntEnum):
    """What a reader says of copies; the numbers of the proto's enum."""

    UNSPECIFIED = 0
    INCLUDE = 1
    EXCLUDE = 2

    def included(self, *, by_name: bool) -> bool:
        """Whether a reader gets copies. `by_name`: it names a stream or categories."""
        return by_name if self is Copies.UNSPECIFIED else self is Copies.INCLUDE


async def refuse_ambiguous(find: Find, said: Copies, categories: Sequence[str] | None) -> None:
    """COPIES_AMBIGUOUS for a reader that says nothing of copies, and names originals and copies.

    To be called after the head was read: no transform was there then, if none is there now.
    """
    if said is not Copies.UNSPECIFIED or not categories:
        return
    found = await find(categories)
    if found is not None:
        raise Refusal(
            "COPIES_AMBIGUOUS",
            f"transform {found.transform_no} copies events of {found.source} to {found.target}: "
            "say whether copies are to be included or excluded",
            transform_no=found.transform_no,
            source=found.source,
            target=found.target,
        )


async def refuse_ambiguous_document(find: Find, document: _core.Projection) -> None:
    """The same for the document of a projection."""
    await refuse_ambiguous(find, said_by(document), document.categories)


def said_by(document: _core.Projection) -> Copies:
    """What the document of a projection says of copies."""
    match document.said_copies:
        case None:
            return Copies.UNSPECIFIED
        case said:
            return Copies.INCLUDE if said else Copies.EXCLUDE
