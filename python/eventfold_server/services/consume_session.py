"""The session of `ConsumerGroups.Consume`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from eventfold.v1 import consumer_groups_pb2 as pb
from eventfold_server import limits, opened
from eventfold_server.domain import requests
from eventfold_server.domain.groups.consuming import Consumers
from eventfold_server.domain.groups.room import Room
from eventfold_server.domain.groups.session import Answer, Given, Session
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.services.group_messages import settings_message, timedelta_of
from eventfold_server.status import to_status

# Why a call is ended of which the consumer did nothing wrong.
_BLAMELESS = {"SHUTTING_DOWN", "UNAUTHENTICATED", "PERMISSION_DENIED", "KEYS_UNAVAILABLE"}


class ConsumeSession:
    """One session: reads what the consumer sends while there is room, and sends what is ready."""

    def __init__(self, consumers: Consumers, caller: Caller) -> None:
        self._consumers = consumers
        self._caller = caller

    async def messages(self, received: AsyncIterator[pb.ConsumeRequest]) -> AsyncIterator[bytes]:
        """Serialised messages, until the consumer closes its side."""
        first = await anext(received, None)
        if first is None:
            return
        if not first.HasField("start"):
            raise requests.invalid("start", "is required in the first message")
        session, room = await self._consumers.begin(
            self._caller, first.start.group, first.start.consumer
        )
        reading: asyncio.Task[None] | None = None
        # Unless it turns out otherwise, the consumer was cut off.
        failed = True
        try:
            yield pb.ConsumeResponse(
                started=pb.ConsumeStarted(
                    session=session.number, settings=settings_message(session.spec)
                )
            ).SerializeToString()
            reading = asyncio.create_task(self._read(session, room, first, received))
            reading.add_done_callback(lambda _: session.ready.set())
            while not _over(session, reading):
                await session.ready.wait()
                session.ready.clear()
                async with aclosing(self._ready(session, reading)) as messages:
                    async for message in messages:
                        yield message
            # A call that was cut looks as if its other side had been closed, until something is
            # sent on it.
            yield b""
            failed = _failed(session, reading)
        except Refusal as refusal:
            failed = refusal.reason not in _BLAMELESS
            raise
        finally:
            if reading is not None:
                reading.cancel()
            ending = self._consumers.end(session, room, failed=failed)
        # Whoever sees the call end well finds what it gave back with others.
        await asyncio.shield(ending)
        if session.ended is not None:
            raise session.ended
        reading.result()

    async def _read(
        self,
        session: Session,
        room: Room,
        message: pb.ConsumeRequest,
        received: AsyncIterator[pb.ConsumeRequest],
    ) -> None:
        await self._take(session, room, message)
        async for message in received:
            if message.HasField("start"):
                raise requests.invalid("start", "only in the first message")
            await self._take(session, room, message)

    async def _take(self, session: Session, room: Room, message: pb.ConsumeRequest) -> None:
        for settlement in message.settlements:
            pending = session.pending(
                settlement.number,
                settlement.action,
                list(settlement.positions),
                list(settlement.leases),
                settlement.reason,
                timedelta_of(settlement.delay) if settlement.HasField("delay") else None,
            )
            await session.room(pending.events)
            room.settle(pending)
        session.grant(message.credits)

    async def _ready(self, session: Session, reading: asyncio.Task[None]) -> AsyncGenerator[bytes]:
        """Everything that is ready to be sent; no event behind the end of what the client sends,
        which may be that it has no token any more.
        """
        while session.deliveries or session.answers:
            if reading.done():
                session.take_no_more()
            if not session.deliveries:
                if not session.answers:
                    return
                yield pb.ConsumeResponse(answers=_answers(session)).SerializeToString()
                continue
            delivery = session.deliveries.popleft()
            sent = 0
            while sent < len(delivery.positions) and not reading.done():
                message, upto = await self._next_message(session, delivery, sent)
                yield message
                opened.sent()
                sent = upto

    async def _next_message(
        self, session: Session, delivery: Given, sent: int
    ) -> tuple[bytes, int]:
        """The next events of a delivery, and how many were sent with them. In a function of its
        own, so that the page is not held while the message is on its way.
        """
        page = await self._consumers.page(delivery.positions[sent:], self._caller.view())
        upto = sent + page.rows
        rest = pb.ConsumeResponse(
            leases=delivery.leases[sent:upto],
            attempts=delivery.attempts[sent:upto],
            answers=_answers(session),
        )
        return (page.encoded or b"") + rest.SerializeToString(), upto


def _over(session: Session, reading: asyncio.Task[None]) -> bool:
    """Whether there is nothing more to send, ever."""
    if session.ended is not None:
        return not session.answers
    if not reading.done():
        return False
    session.take_no_more()
    return not session.settling and not session.answers


def _failed(session: Session, reading: asyncio.Task[None]) -> bool:
    """Whether the consumer is to blame for the end of the session."""
    if session.ended is not None:
        return False
    error = reading.exception()
    return error is not None and not (isinstance(error, Refusal) and error.reason in _BLAMELESS)


def _answers(session: Session) -> list[pb.SettleAnswer]:
    """The next answers, about 1 MiB."""
    answers: list[pb.SettleAnswer] = []
    size = 0
    while session.answers and size < limits.PAGE_BYTES:
        answer = session.answers.popleft()
        answers.append(_answer(answer))
        session.answered(answer)
        size += answers[-1].ByteSize()
    return answers


def _answer(answer: Answer) -> pb.SettleAnswer:
    if answer.refused is None:
        return pb.SettleAnswer(number=answer.number, settled=pb.Settled(parked=answer.parked))
    return pb.SettleAnswer(
        number=answer.number, refused=to_status(answer.refused), refused_positions=answer.lost
    )
