"""The condition of a group (`where`): what it lets pass of the events that SQL found."""

from contextlib import aclosing
from dataclasses import replace

from eventfold import _core
from eventfold_server.domain import filtering
from eventfold_server.domain.log_start import changed
from eventfold_server.errors import Refusal
from eventfold_server.storage.groups import GroupStorage, NextEvents
from eventfold_server.storage.views import OPEN


def compiled(condition: str | None) -> _core.Filter | None:
    """The condition; None: there is none. Refuses an expression that is none."""
    if condition is None:
        return None
    # SQL has looked at all the rest.
    return filtering.compiled(with_system=True, with_copies=True, condition=condition)


async def passing(
    groups: GroupStorage, events: NextEvents, condition: _core.Filter | None
) -> NextEvents:
    """Those of the events for which the condition is true. Up to the first of which that cannot be
    told: `stopped` says why.
    """
    if condition is None or not events.positions:
        return events
    passed: list[int] = []
    looked_at = 0
    async with aclosing(groups.events_at(events.positions, OPEN, encoded=False)) as pages:
        async for page in pages:
            assert page.batch is not None
            failure = await _select(condition, page.batch, passed)
            if failure is not None:
                at, why = failure
                return replace(_only(events, passed), up_to=at - 1, stopped=why)
            looked_at += page.rows
    if looked_at != len(events.positions):
        raise changed()
    return _only(events, passed)


async def _select(
    condition: _core.Filter, rows: _core.Batch, passed: list[int]
) -> tuple[int, Refusal] | None:
    """Adds the positions of what passes of a page; the position at which the condition fails, and
    how.
    """
    async with aclosing(filtering.selections(condition, rows, 0)) as parts:
        async for part in parts:
            passed += part.positions
            if part.failure is not None:
                return rows.position(part.next), Refusal.of_core(part.failure)
    return None


def _only(events: NextEvents, passed: list[int]) -> NextEvents:
    lane_of = dict(zip(events.positions, events.lanes, strict=True))
    return replace(events, positions=passed, lanes=[lane_of[position] for position in passed])
