"""Calls on consumer groups."""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable

from eventfold import _methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._async.consumer import AsyncConsumer, AsyncDelivery
from eventfold._errors import EventfoldError
from eventfold._events import event_page
from eventfold._groups import Group, GroupSettings, GroupStatus, ParkedEvent
from eventfold._reconnects import OnReconnect, Reconnects
from eventfold._requests import whole
from eventfold._results import Copies
from eventfold._starts import Source, Start
from eventfold.v1 import consumer_groups_pb2 as pb

_UNDER_WAY_MAX = 10_000


class AsyncGroupCalls:
    """The calls of the service `ConsumerGroups`."""

    _connection: AsyncConnection

    async def create_group(
        self,
        name: str,
        *,
        stream: str | None = None,
        categories: Iterable[str] = (),
        types: Iterable[str] = (),
        tags: Iterable[str] = (),
        where: str = "",
        include_system_events: bool = False,
        copies: Copies | None = None,
        settings: GroupSettings | None = None,
        resume_token: bytes | None = None,
        from_position: int | None = None,
        from_recorded_at: dt.datetime | None = None,
        from_now: bool = False,
        timeout: float | None = None,
    ) -> Group:
        """Creates a consumer group. The same again, whatever the start, changes nothing.

        Args:
            name: 1 to 128 bytes without control characters.
            stream: only events of this stream; not with `categories`. Default: of all.
            categories: only events of these categories; at most 100. Default: of all.
            types: only events of these types; at most 100. Default: of all.
            tags: only events that have all of these tags; at most 64. Default: no demand.
            where: only events for which this CEL expression over `event` and `meta` is true.
            include_system_events: also events of streams whose name starts with `$`.
            copies: `include` or `exclude` events that a transform has copied from others. Default:
                those of a stream or of `categories` are included, those of the whole log are not.
            settings: how it delivers. Default: all defaults, in the order of the streams.
            resume_token: begin behind what this token stands for.
            from_position: begin with this position, inclusive.
            from_recorded_at: begin with the first event recorded at or after this time.
            from_now: begin behind the head. Default of the start: the beginning of the log.
            timeout: seconds for the call. Default: that of the client.

        Returns:
            The group; `created` says whether it is new.

        Raises:
            GroupExists: there is one of this name about other events, or with other settings.
            CopiesAmbiguous: both a source and a target of one transform are among `categories`.
            InvalidRequest, InvalidExpression, PositionAhead, StoreIncarnationChanged: see there.
        """
        source = Source(stream, categories, types, tags, where, include_system_events, copies)
        start = Start(None, resume_token, from_position, None, from_recorded_at, from_now)
        request = pb.CreateGroupRequest(
            name=name,
            source=source.group(),
            settings=(settings or GroupSettings())._to_wire(),
            start=start.of_group(),
        )
        answer = await self._connection.unary(methods.CREATE_GROUP, request, timeout)
        return Group._from_wire(answer.group, answer.created)

    async def get_group(self, name: str, *, timeout: float | None = None) -> Group:
        """Describes a group, how far it is (`status`), and who consumes it.

        Raises:
            GroupNotFound: there is none.
        """
        request = pb.GetGroupRequest(name=name)
        answer = await self._connection.unary(methods.GET_GROUP, request, timeout)
        return Group._from_wire(answer.group, status=GroupStatus._from_wire(answer.status))

    async def list_groups(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[Group]:
        """Lists groups in byte order of their names, fetching page after page.

        Args:
            page_size: groups fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListGroupsRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_GROUPS, request, timeout)
            for group in page.groups:
                yield Group._from_wire(group)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def delete_group(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a group with its progress and its parked events; its consumers get GroupNotFound.

        Raises:
            GroupNotFound: there is none.
        """
        request = pb.DeleteGroupRequest(name=name)
        await self._connection.unary(methods.DELETE_GROUP, request, timeout)

    async def reset_group(
        self,
        name: str,
        *,
        resume_token: bytes | None = None,
        from_position: int | None = None,
        from_recorded_at: dt.datetime | None = None,
        from_now: bool = False,
        timeout: float | None = None,
    ) -> Group:
        """Lets a group begin anew, at one of these starts, which are those of `subscribe`.

        Events that are with consumers are settled too late from then on. Parked events at or behind
        the start are dropped, since they are delivered anew.

        Raises:
            GroupNotFound: there is none.
            PositionAhead, StoreIncarnationChanged, InvalidResumeToken: the start.
            TypeError: there is not exactly one start.
        """
        start = Start(None, resume_token, from_position, None, from_recorded_at, from_now)
        wire = start.of_group()
        if wire is None:
            raise TypeError("name the start: from_position=1 is the beginning")
        request = pb.ResetGroupRequest(name=name, start=wire)
        answer = await self._connection.unary(methods.RESET_GROUP, request, timeout)
        return Group._from_wire(answer.group)

    async def list_parked(
        self, group: str, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[ParkedEvent]:
        """Lists the parked events of a group in order of position, fetching page after page.

        Args:
            group: name of the group.
            page_size: events fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.

        Raises:
            GroupNotFound: there is none.
        """
        request = pb.ListParkedRequest(group=group, page_size=page_size)
        numbers = self._connection.settings.numbers
        while True:
            answer = await self._connection.unary(methods.LIST_PARKED, request, timeout)
            page = event_page(answer, numbers)
            rest = pb.ListParkedResponse.FromString(page.rest)
            for event, about in zip(page.events(), rest.parked, strict=True):
                yield ParkedEvent._from_wire(event, about)
            if not rest.next_page_token:
                return
            request.page_token = rest.next_page_token

    async def replay_parked(
        self,
        group: str,
        positions: Iterable[int] = (),
        *,
        all: bool = False,
        timeout: float | None = None,
    ) -> int:
        """Delivers parked events again, each with a full number of attempts.

        Args:
            group: name of the group.
            positions: positions of parked events, at most 1,000.
            all: all that are parked, in place of `positions`.
            timeout: seconds for the call. Default: that of the client.

        Returns:
            How many; those of `positions` that are not parked are left out.

        Raises:
            GroupNotFound: there is none.
        """
        numbers = [whole(position, "positions") for position in positions]
        request = pb.ReplayParkedRequest(group=group, positions=numbers, all=all)
        answer = await self._connection.unary(methods.REPLAY_PARKED, request, timeout)
        return answer.replayed

    async def purge_parked(
        self,
        group: str,
        positions: Iterable[int] = (),
        *,
        all: bool = False,
        timeout: float | None = None,
    ) -> int:
        """Gives parked events up: the group does not deliver them again, and what they held back is
        delivered. The events stay in the log. Parameters and errors as in `replay_parked`.
        """
        numbers = [whole(position, "positions") for position in positions]
        request = pb.PurgeParkedRequest(group=group, positions=numbers, all=all)
        answer = await self._connection.unary(methods.PURGE_PARKED, request, timeout)
        return answer.purged

    def consume(
        self,
        group: str,
        *,
        consumer: str = "",
        under_way: int = 100,
        on_lost: Callable[[AsyncDelivery, EventfoldError], None] | None = None,
        on_reconnect: OnReconnect | None = None,
        give_up_after: float | None = None,
        timeout: float | None = None,
    ) -> AsyncConsumer:
        """Consumes the events of a group, at least once each; its consumers share the work.

            with store.consume("mailer") as events:
                for event in events:
                    ...

        Args:
            group: name of the group.
            consumer: name for people who look at the group. Default: none.
            under_way: most events that are here and not settled, 1 to 10,000. What waits here for
                its turn stays here: its leases are extended, unless a handler hangs.
            on_lost: called with a delivery that was settled too late, and `LeaseLost` or
                `ConnectionFailed`: it is delivered again. It is logged in any case.
            on_reconnect: called with a `Reconnect` when the session broke, before the pause.
            give_up_after: as in `subscribe`.
            timeout: as in `subscribe`.

        Returns:
            An iterator over `RecordedEvent`, see there for the other ways. These errors come when
            it is used:

        Raises:
            GroupNotFound: there is none, or it was deleted.
        """
        if not 1 <= under_way <= _UNDER_WAY_MAX:
            raise ValueError(f"under_way is between 1 and {_UNDER_WAY_MAX:,}, not {under_way}")
        seconds = self._connection.timeout(timeout)
        reconnects = Reconnects(f"consumer of {group}", seconds, give_up_after, on_reconnect)
        names = (group, consumer)
        return AsyncConsumer(self._connection, names, under_way, reconnects, on_lost)
