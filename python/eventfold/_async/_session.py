"""A session of appends on an event loop. Written by hand here and in `_sync`."""

import asyncio
from typing import Any

import grpc

from eventfold._outbox import IDLE_S, Outbox, Sending, session_ended

_FAILED_WRITE = "Internal error from Core"


class Waiter:
    """Where one task waits for what becomes of an append."""

    def __init__(self) -> None:
        self._outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def put(self, outcome: Any) -> None:
        """Hands over the outcome."""
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more."""
        return self._outcome.done()

    async def wait(self, seconds: float) -> Any:
        """The outcome; None if it does not come within so many seconds."""
        timer = asyncio.get_running_loop().call_later(seconds, self.put, None)
        try:
            return await self._outcome
        finally:
            timer.cancel()


def _hides_its_cause(error: Any) -> bool:
    """Whether gRPC made the error itself: when a message cannot be sent any more, the status that
    says why is lost.
    """
    return bool(error.code() is grpc.StatusCode.INTERNAL and error.details() == _FAILED_WRITE)


class Session:
    """One call that carries many appends. It begins at once, and ends when it breaks or idles.

    Args:
        begin: begins the call.
        target: address of the server, for errors.
    """

    def __init__(self, begin: Any, target: str) -> None:
        self.is_over = False
        self._target = target
        self._outbox = Outbox()
        self._wake = asyncio.Event()
        # The event loop alone would not keep it alive.
        self._task = asyncio.create_task(self._run(begin()))

    def __len__(self) -> int:
        return len(self._outbox)

    def put(self, sending: Sending[Waiter]) -> bool:
        """Sends an append with the next message; False: the session is over, and takes none."""
        if self.is_over:
            return False
        self._outbox.put(sending)
        self._wake.set()
        return True

    async def _run(self, call: Any) -> None:
        sender = asyncio.create_task(self._send(call))
        failure: BaseException = session_ended(self._target)
        try:
            async for message in call:
                self._outbox.answer(message)
                self._wake.set()
        except grpc.RpcError as error:
            if not _hides_its_cause(error):
                failure = error
        finally:
            self.is_over = True
            sender.cancel()
            call.cancel()
            self._outbox.fail(failure)

    async def _send(self, call: Any) -> None:
        try:
            while not self.is_over:
                # What is put while a message is on its way goes into the next one.
                message = self._outbox.next_message()
                if message is None:
                    await self._pause()
                else:
                    await call.write(message)
            await call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            # Whoever reads the answers finds out why.
            return

    async def _pause(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(IDLE_S):
                await self._wake.wait()
        except TimeoutError:
            self.is_over = self.is_over or not self._outbox
