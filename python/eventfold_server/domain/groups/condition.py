"""The one place where the condition of a group (`where`) comes in."""

from eventfold_server.domain.requests import invalid
from eventfold_server.storage.groups import NextEvents


def check_condition(condition: str | None) -> None:
    """Refuses a condition that cannot be evaluated."""
    if condition is not None:
        raise invalid("source.where", "is not supported yet")


async def passing(events: NextEvents, condition: str | None) -> NextEvents:
    """Those of the events for which the condition of the group is true."""
    assert condition is None
    return events
