"""Filters on pages of events: compiled once, and evaluated in slices."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from eventfold import _core
from eventfold_server.domain.folding import in_thread
from eventfold_server.errors import Refusal
from eventfold_server.limits import FOLD_INLINE_STEPS_MAX, FOLD_SLICE_STEPS_MAX


def compiled(
    *,
    stream: str | None = None,
    categories: Sequence[str] = (),
    types: Sequence[str] = (),
    tags: Sequence[str] = (),
    with_system: bool,
    with_copies: bool,
    condition: str | None,
) -> _core.Filter:
    """The filter; refuses an expression that is none."""
    try:
        return _core.Filter(
            stream=stream,
            categories=categories,
            types=types,
            tags=tags,
            with_system=with_system,
            with_copies=with_copies,
            condition=condition,
        )
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None


async def selections(
    filter_: _core.Filter, rows: _core.Batch, first: int, stream: str | None = None
) -> AsyncGenerator[_core.Selection]:
    """What passes of a page, from a row on, part by part; the last part may have a failure.

    What is cheap is done at once, and what is not in a thread, in slices between which others have
    their turn.
    """

    def slice_() -> _core.Selection:
        return filter_.select(rows, first, stream=stream, steps_max=FOLD_SLICE_STEPS_MAX)

    if first < len(rows):
        selected = filter_.select(rows, first, stream=stream, steps_max=FOLD_INLINE_STEPS_MAX)
        yield selected
        first = selected.next
        while first < len(rows) and selected.failure is None:
            selected = await in_thread(None, slice_)
            yield selected
            first = selected.next
