"""Creating, showing, resetting and deleting groups, and what becomes of parked events."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from eventfold_server import limits
from eventfold_server.domain import requests
from eventfold_server.domain.copies import Copies, refuse_ambiguous
from eventfold_server.domain.groups.condition import compiled
from eventfold_server.domain.log_start import LogStart
from eventfold_server.domain.privacy.conditions import refuse_personal
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.groups import (
    GroupRow,
    GroupSpec,
    GroupStatus,
    GroupStorage,
    ParkedRow,
)
from eventfold_server.storage.log import LogStorage
from eventfold_server.storage.views import View

# What the domain knows of a group, of how it is doing, and of a parked event, is their rows.
Group = GroupRow
Status = GroupStatus
Parked = ParkedRow
Spec = GroupSpec

# Fields of a request by those of a group, in the order in which they are compared.
_FIELDS = {
    "categories": "source.categories",
    "stream": "source.stream",
    "types": "source.types",
    "tags": "source.tags",
    "condition": "source.where",
    "with_system": "source.include_system_events",
    "copies": "source.copies",
    "ack_timeout": "settings.ack_timeout",
    "attempts_max": "settings.attempts_max",
    "retry_initial": "settings.retry_initial",
    "retry_factor": "settings.retry_factor",
    "retry_max": "settings.retry_max",
    "hold_back": "settings.on_park",
    "ordered": "settings.unordered",
}


class GroupAdmin:
    """The groups of one store."""

    def __init__(self, groups: GroupStorage, log: LogStorage) -> None:
        self._groups = groups
        self._log = log

    async def create(
        self, caller: Caller, name: str, spec: GroupSpec, start: LogStart
    ) -> tuple[Group, bool]:
        """The group, and whether it is new."""
        check_name(name)
        _check_spec(spec)
        await self.check_copies(spec)
        await self.check_condition(spec, caller.view())
        cursor = await self._cursor(start)
        created = await self._groups.create(name, spec, caller.writer, cursor)
        group = await self.get(name)
        for field, of_request in _FIELDS.items():
            if getattr(group.spec, field) != getattr(spec, field):
                raise Refusal(
                    "GROUP_EXISTS",
                    f"there is a group of this name with another {of_request}",
                    group=name,
                    field=of_request,
                )
        return group, created

    async def get(self, name: str) -> Group:
        """The group."""
        check_name(name)
        group = await self._groups.get(name)
        if group is None:
            raise no_group(name)
        return group

    async def check_copies(self, spec: GroupSpec) -> None:
        """COPIES_AMBIGUOUS for a group that nobody can tell of whether it gets copies."""
        said = Copies(spec.copies or 0)
        await refuse_ambiguous(self._log.ambiguous_transform, said, spec.categories)

    async def check_condition(self, spec: GroupSpec, view: View) -> None:
        """PERSONAL_WITHHELD for a condition over values that do not come to the caller: which
        events pass would tell of them.
        """
        condition = compiled(spec.condition)
        if condition is not None and not view.personal:
            await self._log.head()
            refuse_personal(condition, self._log.personal, spec, view)

    async def status(self, group: Group) -> Status:
        """How a group is doing."""
        return await self._groups.status(group.group_no)

    async def page(self, after: str, limit: int) -> list[Group]:
        """Groups named above `after`, in byte order."""
        return await self._groups.page(after, limit)

    async def delete(self, name: str) -> None:
        """Deletes a group."""
        group = await self.get(name)
        if not await self._groups.delete(group.group_no):
            raise no_group(name)

    async def reset(self, name: str, start: LogStart) -> Group:
        """Lets a group begin anew; the group as it is then."""
        group = await self.get(name)
        if not await self._groups.reset(group.group_no, await self._cursor(start)):
            raise no_group(name)
        return await self.get(name)

    async def parked(
        self, name: str, after: int, size: int, view: View
    ) -> tuple[bytes, Sequence[Parked], int | None]:
        """Parked events behind a position: encoded as field 1 of a message, what is known of them,
        and the position behind which the next page begins, if there is more.
        """
        group = await self.get(name)
        rows, more = requests.page_of(
            await self._groups.parked(group.group_no, after, size + 1), size
        )
        if not rows:
            return b"", [], None
        pages = self._groups.events_at([row.position for row in rows], view)
        async with aclosing(pages):
            page = await anext(pages)
        if page.rows < len(rows):
            rows, more = rows[: page.rows], True
        return page.encoded or b"", rows, rows[-1].position if more else None

    async def unpark(self, name: str, positions: Sequence[int], all_: bool, *, purge: bool) -> int:
        """Replays or purges parked events; how many."""
        group = await self.get(name)
        if bool(positions) == all_:
            raise requests.invalid("positions", "either positions or all")
        if not all_:
            if len(positions) > limits.GROUP_PARKED_MAX:
                raise requests.invalid(
                    "positions", f"at most {limits.GROUP_PARKED_MAX}", limits.GROUP_PARKED_MAX
                )
            return await self._unpark(group, positions, None, purge)
        before = await self._groups.now()
        done = 0
        # A transaction for each part, so that consumers are not held up.
        while part := await self._unpark(group, None, before, purge):
            done += part
        return done

    async def _unpark(
        self, group: Group, positions: Sequence[int] | None, before: datetime | None, purge: bool
    ) -> int:
        done = await self._groups.unpark(group.group_no, positions, before, purge)
        if done is None:
            raise no_group(group.name)
        return done

    async def _cursor(self, start: LogStart) -> int:
        """Position behind which a group begins."""
        return await start.before(self._log, await self._log.head())


def no_group(name: str) -> Refusal:
    """The refusal for a group that does not exist, or no more."""
    return Refusal("GROUP_NOT_FOUND", "there is no consumer group of this name", group=name)


def check_name(name: str, field: str = "name") -> None:
    """Checks the name of a group."""
    upper = limits.GROUP_NAME_BYTES_MAX
    if not 1 <= len(name.encode()) <= upper:
        raise requests.invalid(field, f"must have 1 to {upper} bytes", upper)
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
        raise requests.invalid(field, "must not hold control characters")


def _check_spec(spec: GroupSpec) -> None:
    if spec.stream is not None:
        requests.readable_stream_name(spec.stream)
        if spec.categories is not None:
            raise requests.invalid("source.categories", "not together with a stream")
    compiled(spec.condition)
    _within(
        "ack_timeout",
        spec.ack_timeout,
        limits.GROUP_ACK_TIMEOUT_S_MIN,
        limits.GROUP_ACK_TIMEOUT_S_MAX,
    )
    if not 1 <= spec.attempts_max <= limits.GROUP_ATTEMPTS_MAX:
        raise requests.invalid(
            "settings.attempts_max",
            f"must be from 1 to {limits.GROUP_ATTEMPTS_MAX}",
            limits.GROUP_ATTEMPTS_MAX,
        )
    # Written so that a NaN is refused.
    if not 1 <= spec.retry_factor <= limits.GROUP_RETRY_FACTOR_MAX:
        raise requests.invalid(
            "settings.retry_factor",
            f"must be from 1 to {limits.GROUP_RETRY_FACTOR_MAX:.0f}",
            int(limits.GROUP_RETRY_FACTOR_MAX),
        )
    _within("retry_initial", spec.retry_initial, 0.0, limits.GROUP_RETRY_S_MAX)
    _within("retry_max", spec.retry_max, 0.0, limits.GROUP_RETRY_S_MAX)
    if spec.retry_initial > spec.retry_max:
        raise requests.invalid("settings.retry_max", "must not be below retry_initial")


def _within(field: str, value: timedelta, lower_s: float, upper_s: float) -> None:
    if not lower_s <= value.total_seconds() <= upper_s:
        raise requests.invalid(
            f"settings.{field}", f"must be from {lower_s:.0f} s to {upper_s:.0f} s", int(upper_s)
        )
