"""The sessions of this server process on the groups of one store."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing

from eventfold import _core
from eventfold_server import limits
from eventfold_server.domain import requests
from eventfold_server.domain.groups.admin import GroupAdmin, check_name, no_group
from eventfold_server.domain.groups.room import Room
from eventfold_server.domain.groups.session import Session
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.tail import Tail
from eventfold_server.errors import Refusal
from eventfold_server.storage.groups import GroupStorage
from eventfold_server.storage.views import View

log = logging.getLogger(__name__)

# What a session gives back is its leases; those of a PostgreSQL that is away for longer run out.
_RELEASE_TRIES = 10
_RELEASE_PAUSE_S = 0.5
# What settlements under way get to end, when a session does.
_SETTLE_S_MAX = 10.0


class Consumers:
    """Begins and ends sessions, and keeps the rooms that they are in."""

    def __init__(self, groups: GroupStorage, admin: GroupAdmin, tail: Tail) -> None:
        self._groups = groups
        self._admin = admin
        self._tail = tail
        self._rooms: dict[int, Room] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def begin(self, caller: Caller, group: str, consumer: str) -> "tuple[Session, Room]":
        """A session on the group of this name, which gets events once it grants credits."""
        check_name(group, "start.group")
        requests.text("start.consumer", consumer)
        upper = limits.GROUP_CONSUMER_BYTES_MAX
        if len(consumer.encode()) > upper:
            raise requests.invalid("start.consumer", f"at most {upper} bytes", upper)
        # A transform may have begun since it was created.
        spec = (await self._admin.get(group)).spec
        await self._admin.check_copies(spec)
        await self._admin.check_condition(spec, caller.view())
        begun = await self._groups.begin_session(group, consumer, caller.writer)
        found = await self._admin.get(group)
        if begun is None or begun[0] != found.group_no:
            # It was deleted, and another one made in its place, at this very moment.
            raise no_group(group)
        room = self._rooms.get(found.group_no)
        if room is None or room.broken:
            room = self._rooms[found.group_no] = Room(
                found.group_no, found.spec.condition, self._groups, self._tail
            )
        session = Session(begun[1], group, found.spec, room.changed)
        room.enter(session)
        return session, room

    async def page(self, positions: Sequence[int], view: View) -> _core.Page:
        """The events at the first of the positions, encoded, as they come to the consumer.

        Nothing is read ahead while they are sent: a consumer that takes its time holds no more
        than this page, and no connection.
        """
        async with aclosing(self._groups.events_at(positions, view)) as pages:
            page = await anext(pages)
        assert page.rows
        return page

    def end(self, session: Session, room: Room, *, failed: bool) -> "asyncio.Task[None]":
        """Ends a session; what it has goes to others. `failed`: the consumer was cut off, so that
        what each stream was at counts as a failed attempt.
        """
        session.take_no_more()
        task = asyncio.create_task(self._end(session, room, failed))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def close(self) -> None:
        """Waits until all sessions have given back what they had."""
        if self._ending:
            await asyncio.wait(self._ending, timeout=_SETTLE_S_MAX)

    async def _end(self, session: Session, room: Room, failed: bool) -> None:
        try:
            async with asyncio.timeout(_SETTLE_S_MAX):
                # What has arrived counts, whether or not anybody waits for the answer.
                while session.settling:
                    session.ready.clear()
                    await session.ready.wait()
        except TimeoutError:
            log.warning("settlements of session %d are still under way", session.number)
        room.leave(session)
        if not room.sessions and self._rooms.get(room.group_no) is room:
            del self._rooms[room.group_no]
        for _ in range(_RELEASE_TRIES):
            try:
                await self._groups.end_session(room.group_no, session.number, failed=failed)
                break
            except Refusal:
                await asyncio.sleep(_RELEASE_PAUSE_S)
        # The streams that it had are free.
        room.changed()
