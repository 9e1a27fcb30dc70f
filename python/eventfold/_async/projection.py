"""Projections whose handlers write to the caller's own database."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from eventfold import _projecting as projecting
from eventfold._async import _platform
from eventfold._async.client import AsyncClient
from eventfold._async.subscription import AsyncSubscription
from eventfold._events import RecordedEvent
from eventfold._following import Frame, FrameKind
from eventfold._place import Place
from eventfold._projecting import OnError, ProjectionRun, ProjectionStatus, Until
from eventfold._reconnects import OnReconnect
from eventfold._results import Copies
from eventfold.checkpoint._base import TABLE, CheckpointTaken
from eventfold.checkpoint._kinds import AsyncKinds

_BEGINNING = Place()

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


class AsyncProjection:
    """A read model of the caller's own, in PostgreSQL or SQLite, kept by functions.

        balances = AsyncProjection("balances", categories=["account"])

        @balances.on("MoneyDeposited")
        async def deposited(db, event):
            await db.execute("UPDATE ...", ...)

        await balances.run(store, db)

    A handler gets the connection, on which a transaction is open, and the event. What handlers
    write is stored together with the place behind their events, or not at all: so every event has
    its effect once, however often the process dies. The connection is one for which there is a
    checkpoint in `eventfold.checkpoint`; a handler leaves its transaction open, and writes on no
    other connection.

    A projection that computes something else is another generation: it is built beside the one
    that is read, into tables of its own, and takes its place by `switch` when it has caught up.

    Args:
        name: its name: 1 to 128 letters, digits, `_`, `.` and `-`.
        generation: counts up with every change after which the events have to be handled again.
        categories: only events of these categories; at most 100. Default: all.
        tags: only events that have all of these tags; at most 64. Default: all.
        where: only events for which this CEL expression over `event` and `meta` is true.
        include_system_events: also events of streams whose name starts with `$`.
        copies: `include` or `exclude` events that a transform has copied from others. Default:
            those of `categories` are included, those of the whole log are not.
        events_per_transaction: most events that one transaction handles. While it catches up, one
            has as many; live, it has what just came.
        on_error: what becomes of an event on which its handler failed: called with the connection,
            the event and the `HandlerFailed`, in a transaction in which it may write. Default:
            the run stops with the error.
        create: whether to make the tables `eventfold_checkpoints` and `eventfold_projections` if
            they are missing.
    """

    def __init__(
        self,
        name: str,
        *,
        generation: int = 1,
        categories: Iterable[str] = (),
        tags: Iterable[str] = (),
        where: str = "",
        include_system_events: bool = False,
        copies: Copies | None = None,
        events_per_transaction: int = 1_000,
        on_error: Callable[[Any, RecordedEvent, projecting.HandlerFailed], Any] | None = None,
        create: bool = True,
    ) -> None:
        projecting.check_name(name, generation)
        if events_per_transaction < 1:
            raise ValueError("a transaction has at least one event")
        self.name = name
        self.generation = generation
        self._source: dict[str, Any] = {
            "categories": tuple(categories),
            "tags": tuple(tags),
            "where": where,
            "include_system_events": include_system_events,
            "copies": copies,
        }
        self._events_max = events_per_transaction
        self._on_error = on_error
        self._create = create
        self._handling = projecting.Handling()
        self._run: _Run | None = None

    def on(self, *types: str) -> Callable[[HandlerT], HandlerT]:
        """Registers the function below it as the handler of these event types.

        Args:
            types: event types; none: all that have no handler of their own.
        """

        def register(handler: HandlerT) -> HandlerT:
            self._handling.add(types, handler)
            return handler

        return register

    async def run(
        self,
        store: AsyncClient,
        connection: Any,
        *,
        until: Until | None = None,
        switch: Callable[[Any], Any] | None = None,
        on_reconnect: OnReconnect | None = None,
        give_up_after: float | None = None,
    ) -> ProjectionRun:
        """Handles events from where the last run ended; used by one run at a time.

        One that starts takes the generation over from one that runs elsewhere.

        Args:
            store: where the events are.
            connection: where the handlers write; no transaction is open on it.
            until: `caught_up`: ends at the head of the log, once `switch` is done. Default: runs
                until `stop`.
            switch: makes readers read this generation, for example by a view; called with the
                connection when all is handled that the generation read so far has handled, in the
                transaction that makes this the generation that is read, and stops the other one.
                Not called if that is done.
            on_reconnect: called with a `Reconnect` when the connection to the store broke.
            give_up_after: seconds for which a broken connection is tried again. Default: without
                limit.

        Raises:
            HandlerFailed: a handler failed on an event; what came before it is stored.
            CheckpointTaken: another process runs this generation now; nothing of the transaction
                is stored.
            ProjectionReplaced: a later generation has taken its place.
            StoreIncarnationChanged: the log lost its tail: `rewind`.
            FilterFailed, InvalidExpression, InvalidRequest: see there.
        """
        if self._run is not None:
            raise RuntimeError("the projection is running already")
        run = self._run = _Run(self, self._checkpoint(connection), connection, until, switch)
        try:
            async with run.checkpoint:
                await run.begin()
                following = store.subscribe(
                    types=self._handling.types,
                    place=run.checkpoint.place,
                    on_reconnect=on_reconnect,
                    give_up_after=give_up_after,
                    **self._source,
                )
                return await run.follow(following)
        except CheckpointTaken as taken:
            active = await self._active(run.checkpoint)
            if active > self.generation:
                raise projecting.replaced(self.name, self.generation, active) from taken
            raise
        finally:
            self._run = None

    async def stop(self) -> None:
        """Ends the run when the transaction under way is stored."""
        if self._run is not None:
            await self._run.stop()

    async def status(self, connection: Any) -> ProjectionStatus:
        """How far this generation is, and which one is read. Disturbs no run of it.

        Args:
            connection: where the handlers write; no transaction is open on it.
        """
        checkpoint = self._checkpoint(connection)
        async with checkpoint._transaction():
            await checkpoint._make_tables()
            statement = projecting.POSITION.format(checkpoint._marks[0], table=TABLE)
            rows = await checkpoint._rows(statement, checkpoint.name)
        active = await self._active(checkpoint)
        position = rows[0][0] if rows else 0
        return ProjectionStatus(self.name, self.generation, active, position)

    @asynccontextmanager
    async def rewind(self, connection: Any, to: Place = _BEGINNING) -> AsyncIterator[None]:
        """A transaction that undoes what came behind a place, by what the block writes. The next
        run begins there.

        After `StoreIncarnationChanged` that is `Place(error.common_position)`; to begin anew, the
        default.

        Raises:
            ProjectionReplaced: a later generation has taken its place.
        """
        checkpoint = self._checkpoint(connection)
        async with checkpoint:
            await self._refuse_if_replaced(checkpoint)
            async with checkpoint.rewind(to):
                yield

    def _checkpoint(self, connection: Any) -> Any:
        name = projecting.name_of(self.name, self.generation)
        checkpoint = AsyncKinds.of(connection)(connection, name, create=self._create)
        ddl = projecting.projections_ddl(checkpoint._dialect)
        checkpoint._more[projecting.PROJECTIONS_TABLE] = ddl
        return checkpoint

    async def _active(self, checkpoint: Any) -> int:
        """The generation that is read. Waits for a switch that is under way."""
        mark, table = checkpoint._marks[0], projecting.PROJECTIONS_TABLE
        settled = projecting.ACTIVE_SETTLED[checkpoint._dialect]
        async with checkpoint._transaction():
            await checkpoint._rows(projecting.BEGIN.format(mark, table=table), self.name)
            [row] = await checkpoint._rows(settled.format(mark, table=table), self.name)
        return int(row[0])

    async def _refuse_if_replaced(self, checkpoint: Any) -> int:
        """The generation that is read, if it is no later one than this."""
        active = await self._active(checkpoint)
        if active > self.generation:
            raise projecting.replaced(self.name, self.generation, active)
        return active


class _Run:
    """One run of a projection."""

    def __init__(
        self,
        projection: AsyncProjection,
        checkpoint: Any,
        connection: Any,
        until: Until | None,
        switch: Callable[[Any], Any] | None,
    ) -> None:
        if until not in (None, "caught_up"):
            raise ValueError(f"until is 'caught_up' or None, not {until!r}")
        self.checkpoint = checkpoint
        self._projection = projection
        self._db = connection
        self._until = until
        # None: there is none, or it is done.
        self._switch = switch
        self._following: AsyncSubscription | None = None
        self._is_stopping = False
        self._events = 0
        self._is_caught_up = False
        self._switched = False

    async def begin(self) -> None:
        """Refuses to run a generation that was replaced."""
        projection = self._projection
        if await projection._refuse_if_replaced(self.checkpoint) == projection.generation:
            self._switch = None

    async def follow(self, following: AsyncSubscription) -> ProjectionRun:
        """Handles frames until there is a reason to end."""
        self._following = following
        if self._is_stopping:
            await following.aclose()
        async with following:
            before = self.checkpoint.place
            async for frame in following.frames():
                if self._is_stopping:
                    break
                await self._take(frame, before, following.place)
                before = following.place
                self._is_caught_up |= frame.kind is FrameKind.CAUGHT_UP
                if self._is_caught_up and self._switch is not None:
                    await self._try_to_switch(self._switch)
                if self._is_caught_up and self._until is not None and self._switch is None:
                    break
        return ProjectionRun(
            self.checkpoint.place.position, self._events, self._is_caught_up, self._switched
        )

    async def stop(self) -> None:
        """Ends it when the transaction under way is stored."""
        self._is_stopping = True
        if self._following is not None:
            await self._following.aclose()

    async def _take(self, frame: Frame, before: Place, behind: Place) -> None:
        """Handles a frame, in one transaction or several."""
        left = len(frame)
        for batch in projecting.batches(frame, self._projection._events_max):
            left -= len(batch)
            await self._handle(batch, before, None if left else behind)
            if self._is_stopping:
                return
        # With no event to handle it hears by signs of life that another one took its place.
        moved = self.checkpoint.place.position < behind.position
        if moved or frame.kind is FrameKind.HEARTBEAT:
            async with self.checkpoint.advance(behind):
                pass

    async def _handle(
        self, batch: Sequence[RecordedEvent], before: Place, behind: Place | None
    ) -> None:
        """Handles events of a frame. If a handler fails, what is before its event is stored.

        `before`: the place before the frame; `behind`: the place behind the batch, if that is the
        end of the frame.
        """
        done, attempt = 0, 1
        fault: projecting.Fault | None = None

        def place(end: int) -> Place:
            if end == len(batch) and behind is not None:
                return behind
            return projecting.place_behind(batch[end - 1], before)

        while done < len(batch):
            if fault is not None and fault.index == done:
                failed = await self._decide(batch[done], place(done + 1), fault, attempt)
                attempt = attempt + 1 if failed else 1
                done += 0 if failed else 1
                fault = None
                continue
            end = len(batch) if fault is None else fault.index
            try:
                async with self.checkpoint.advance(place(end)):
                    for index in range(done, end):
                        await self._call(batch[index], index)
            except projecting.Fault as found:
                if found.index != done:
                    attempt = 1
                fault = found
                continue
            self._events += end - done
            done = end

    async def _call(self, event: RecordedEvent, index: int) -> None:
        handler = self._projection._handling.of(event)
        if handler is None:
            return
        try:
            await _platform.settle(handler(self._db, event))
        except Exception as error:
            name = getattr(handler, "__qualname__", repr(handler))
            raise projecting.Fault(index, name, error) from error

    async def _decide(
        self, event: RecordedEvent, behind: Place, fault: projecting.Fault, attempt: int
    ) -> bool:
        """Asks what becomes of an event on which its handler failed; whether it is tried again."""
        projection = self._projection
        failed = projecting.handler_failed(self.checkpoint.name, event, fault, attempt)
        if projection._on_error is None:
            # Not the handler's fault where the connection broke, or another generation took the
            # tables.
            async with self.checkpoint.advance(self.checkpoint.place):
                pass
            raise failed from fault.error
        try:
            async with self.checkpoint.advance(behind):
                action = await _platform.settle(projection._on_error(self._db, event, failed))
                if action is OnError.RETRY:
                    raise projecting.Undo
                if action is not OnError.SKIP:
                    raise failed from fault.error
        except projecting.Undo:
            return True
        return False

    async def _try_to_switch(self, switch: Callable[[Any], Any]) -> None:
        """Makes this the generation that is read, unless the one that is so far has handled more:
        then readers would see what was, and it is tried again behind the next frame.
        """
        checkpoint, projection = self.checkpoint, self._projection
        mine, place = projection.generation, checkpoint.place
        table, marks = projecting.PROJECTIONS_TABLE, checkpoint._marks
        try:
            async with checkpoint.advance(place):
                active_of = projecting.ACTIVE.format(marks[0], table=table)
                [row] = await checkpoint._rows(active_of, projection.name)
                active = int(row[0])
                if active > mine:
                    raise projecting.replaced(projection.name, mine, active)
                others = [
                    projecting.name_of(projection.name, other) for other in range(active, mine)
                ]
                position_of = projecting.POSITION.format(marks[0], table=TABLE)
                self._compare(await checkpoint._rows(position_of, others[0]), place)
                await _platform.settle(switch(self._db))
                # Now, so that the other one can end a transaction that `switch` had to wait for.
                taken = await checkpoint._rows(
                    projecting.SWITCH.format(*marks, table=table), mine, projection.name, active
                )
                if not taken:
                    raise projecting.Undo
                fence = projecting.FENCE.format(marks[0], table=TABLE)
                for other in others:
                    fenced = await checkpoint._rows(fence, other)
                    if other == others[0]:
                        self._compare(fenced, place)
        except projecting.Undo:
            return
        self._switch, self._switched = None, True

    @staticmethod
    def _compare(rows: list[Any], place: Place) -> None:
        """Gives the switch up for now if the other generation is further."""
        if rows and rows[0][0] > place.position:
            raise projecting.Undo
