"""Consuming the events of a group: an iterator that settles, and survives breaks."""

from collections.abc import AsyncGenerator, Callable
from typing import Any, Self

from eventfold import _methods as methods
from eventfold._async import _platform, _waiting
from eventfold._async._consuming import ConsumeSession
from eventfold._async._workers import Workers
from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._desk import Desk, Item, Lost, fault_of
from eventfold._errors import EventfoldError
from eventfold._events import RecordedEvent
from eventfold._failures import unanswered
from eventfold._methods import Safety
from eventfold._reconnects import LOGGER, SILENCE_S, Reconnects
from eventfold.v1 import consumer_groups_pb2 as pb


class AsyncDelivery:
    """An event that a consumer has, until it settles it.

    `ack`, `retry`, `park` and `skip` settle it, once; they do not wait for the server. What is
    settled too late comes to `on_lost` of the consumer; `confirm` waits for the answer.

    Attributes:
        event: the event.
        attempt: which delivery of it this is, from 1.
    """

    def __init__(self, session: ConsumeSession, item: Item) -> None:
        self.event: RecordedEvent = item.event
        self.attempt: int = item.attempt
        self._session = session
        self._item = item

    @property
    def is_open(self) -> bool:
        """Whether it can be settled: it is not yet, and its lease is not known to be lost."""
        return self._item.is_open

    @property
    def was_parked(self) -> bool:
        """Whether a retry parked it because its attempts are used up; known after `confirm`."""
        return self._item.was_parked

    def ack(self) -> None:
        """It is handled: the group never delivers it again."""
        self._session.settle(self._item, pb.SETTLE_ACTION_ACK)

    def retry(self, delay: float | None = None, reason: str = "") -> None:
        """It failed, and is delivered again; parked when its attempts are used up.

        The later events of its stream that are here go back with it.

        Args:
            delay: seconds to wait, up to 24 h. Default: as the settings of the group say.
            reason: why, for people who look at parked events; no personal data. Cut to 1,024
                bytes.
        """
        self._session.settle(self._item, pb.SETTLE_ACTION_RETRY, reason, delay)

    def park(self, reason: str = "") -> None:
        """It is set aside, until somebody replays or purges it; `reason` as in `retry`."""
        self._session.settle(self._item, pb.SETTLE_ACTION_PARK, reason)

    def skip(self) -> None:
        """It is not to be handled: the group never delivers it again."""
        self._session.settle(self._item, pb.SETTLE_ACTION_SKIP)

    def extend(self) -> None:
        """It takes longer: it stays here for another `ack_timeout` from now."""
        self._session.settle(self._item, pb.SETTLE_ACTION_EXTEND)

    async def confirm(self, timeout: float = SILENCE_S) -> None:
        """Waits until the server has settled it, which is on disk then.

        Args:
            timeout: seconds to wait.

        Raises:
            LeaseLost: it was settled too late: it is delivered again, maybe to another consumer.
            ConnectionFailed: the connection broke; it is settled, or delivered again.
            OutcomeUnknown: no answer came in time.
            RuntimeError: it is not settled yet.
        """
        if self.is_open:
            raise RuntimeError("settle the delivery before asking what became of it")
        outcome = await self._session.outcome(self._item, timeout)
        if outcome is None:
            raise unanswered(timeout, is_sent=True)
        if isinstance(outcome, EventfoldError):
            raise outcome

    def __repr__(self) -> str:
        state = self._item.state.value
        return f"<Delivery of event {self.event.position}, attempt {self.attempt}, {state}>"


class AsyncConsumer:
    """A consumer of a group; used once, in one of three ways.

    The simple one: an event is acknowledged when the loop comes back for the next one, and is
    retried when the body raises:

        async with store.consume("mailer") as events:
            async for event in events:
                await mailer.send(event)

    Leaving the loop otherwise gives the event in hand back. `delivery` is the delivery of the event
    in hand, to settle it in another way.

    By hand, with several in hand if need be:

        async for delivery in store.consume("mailer").deliveries():
            delivery.ack()

    Or with a function, for several events at once: `run(handler, concurrency=8)`.

    When the connection breaks, the consumer connects again by itself, as a subscription does. What
    was in hand is then delivered again, here or elsewhere: at least once.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        names: tuple[str, str],
        under_way: int,
        reconnects: Reconnects,
        on_lost: "Callable[[AsyncDelivery, EventfoldError], None] | None",
    ) -> None:
        self._connection = connection
        self._names = names
        self._under_way = under_way
        self._reconnects = reconnects
        self._on_lost = on_lost
        self._closing = _waiting.Closing()
        self._session: ConsumeSession | None = None
        self._source: AsyncGenerator[Any] | None = None
        self._in_hand: AsyncDelivery | None = None
        # Who goes through the deliveries.
        self._looper: object = None
        self._is_running = False

    @property
    def delivery(self) -> AsyncDelivery:
        """The delivery of the event in hand, in the simple way.

        Raises:
            RuntimeError: there is none.
        """
        if self._in_hand is None:
            raise RuntimeError("no event is in hand")
        return self._in_hand

    @property
    def session(self) -> int:
        """Number of the session, as `get_group` lists it; 0: there is none at the moment."""
        return 0 if self._session is None else self._session.desk.session

    def __aiter__(self) -> AsyncGenerator[RecordedEvent]:
        if self._source is None:
            self._source = self._events()
        return self._source

    async def __anext__(self) -> RecordedEvent:
        event: RecordedEvent = await self.__aiter__().__anext__()
        return event

    def deliveries(self) -> AsyncGenerator[AsyncDelivery]:
        """The deliveries, each to be settled by hand."""
        if self._source is not None:
            raise RuntimeError("a consumer is used once, and in one way")
        self._source = self._deliveries()
        return self._source

    async def run(self, handler: "Callable[[AsyncDelivery], Any]", *, concurrency: int = 1) -> None:
        """Hands each delivery to a function, until the consumer is closed.

        Events of a stream are handled one after the other, others at once. When the function
        returns, its event is acknowledged, unless the function settled it; when it raises an
        `Exception`, the event is retried, and the exception is logged.

        Args:
            handler: `fn(delivery)`; its event is `delivery.event`.
            concurrency: most events at once, at least 1.
        """
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        if self._source is not None:
            raise RuntimeError("a consumer is used once, and in one way")
        self._source = incoming = self._incoming()
        self._is_running = True
        try:
            async with Workers(concurrency) as workers:
                async for delivery in incoming:

                    async def job(delivery: AsyncDelivery = delivery) -> None:
                        await self._handle(handler, delivery)

                    workers.put(delivery.event.stream, job)
        finally:
            self._is_running = False
            await self.aclose()

    async def _handle(
        self, handler: "Callable[[AsyncDelivery], Any]", delivery: AsyncDelivery
    ) -> None:
        # It may have gone back with an earlier one of its stream while it waited.
        if not delivery._session.begin(delivery._item):
            return
        try:
            await _platform.settle(handler(delivery))
        except Exception as error:  # noqa: BLE001 - whatever it is, the event is retried
            LOGGER.exception("%s: event %d failed", self._names[0], delivery.event.position)
            if delivery._item.is_unsettled:
                delivery.retry(reason=fault_of(error))
        else:
            if delivery._item.is_unsettled:
                delivery.ack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        held = self._in_hand
        if isinstance(error, Exception) and held is not None and held.is_open:
            held.retry(reason=fault_of(error))
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the session: what is settled is sent and answered, and the rest goes to other
        consumers at once. May be called again.

        Called from elsewhere than the loop, it lets the event in hand be handled to its end, and
        the loop then ends as if there were no more events; so does `run`, which is not waited for.
        """
        self._closing.set()
        session = self._session
        if session is not None:
            session.stop()
            if self._is_running:
                return
            if self._looper not in (None, _platform.me()):
                # The loop ends the session when it comes back from what it has in hand.
                await session.wait(self._connection.settings.timeout)
            await self._end(session)
        if self._source is not None:
            await _waiting.close_source(self._source)
        self._in_hand = None

    async def _events(self) -> AsyncGenerator[RecordedEvent]:
        async for delivery in self._deliveries():
            self._in_hand = delivery
            yield delivery.event
            if delivery._item.is_unsettled:
                delivery.ack()

    async def _deliveries(self) -> AsyncGenerator[AsyncDelivery]:
        async for delivery in self._incoming():
            if delivery._session.begin(delivery._item):
                yield delivery

    async def _incoming(self) -> AsyncGenerator[AsyncDelivery]:
        """Deliveries that nobody handles yet."""
        while not self._closing.is_set():
            self._reconnects.begin()
            self._looper = _platform.me()
            session = self._open()
            try:
                while (found := await session.next()) is not None:
                    self._reconnects.heard(session.was_useful)
                    if isinstance(found, Lost):
                        self._tell(session, found)
                    else:
                        yield AsyncDelivery(session, found)
                        self._looper = _platform.me()
                if not self._is_running:
                    await self._end(session)
                return
            except CallError as error:
                failure = self._connection.failure(error, SILENCE_S, Safety.READ)
            except EventfoldError as error:
                failure = error
            finally:
                if not self._closing.is_set():
                    session.cancel()
            if session.desk.session:
                # It had begun, though no event may have come.
                self._reconnects.heard(session.was_useful)
            if not self._closing.is_set():
                await self._closing.pause(self._reconnects.pause_s(failure))

    async def _end(self, session: ConsumeSession) -> None:
        await session.end(self._connection.settings.timeout)
        while isinstance(lost := session.desk.next(), Lost):
            self._tell(session, lost)

    def _open(self) -> ConsumeSession:
        settings = self._connection.settings
        desk = Desk(*self._names, self._under_way)
        call = self._connection.session(methods.CONSUME)
        self._session = ConsumeSession(call, desk, settings.target, settings.numbers)
        return self._session

    def _tell(self, session: ConsumeSession, lost: Lost) -> None:
        event = lost.item.event
        text = "%s: event %d of %s is not settled: %s"
        LOGGER.warning(text, self._names[0], event.position, event.stream, lost.error)
        if self._on_lost is not None:
            self._on_lost(AsyncDelivery(session, lost.item), lost.error)
