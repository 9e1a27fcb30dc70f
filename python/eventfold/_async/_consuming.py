"""A session of a consumer on an event loop. Written by hand here and in `_sync`."""

import asyncio
from typing import Any

import grpc

from eventfold._async._session import Waiter
from eventfold._desk import Desk, Item, Lost
from eventfold._errors import EventfoldError
from eventfold._events import event_page
from eventfold._json import Numbers
from eventfold._reconnects import ended, silent


class ConsumeSession:
    """One call on a group. It begins at once.

    Args:
        begin: begins the call.
        desk: what it has.
        target: address of the server, for errors.
        numbers: how numbers in data are decoded.
    """

    def __init__(self, begin: Any, desk: Desk, target: str, numbers: Numbers) -> None:
        self.desk = desk
        self.was_useful = False
        self._target = target
        self._numbers = numbers
        self._failure: BaseException | None = None
        self._is_ending = False
        self._is_over = asyncio.Event()
        self._came = asyncio.Event()
        self._wake = asyncio.Event()
        self._call = begin()
        # The event loop alone would not keep it alive.
        self._task = asyncio.create_task(self._run())

    @property
    def is_over(self) -> bool:
        """Whether nothing can be settled any more."""
        return self._is_over.is_set()

    async def next(self) -> Item | Lost | None:
        """The next delivery, or one that was lost; None: the session was ended here.

        Raises:
            grpc.RpcError, EventfoldError: what broke it.
        """
        while True:
            found = self.desk.next()
            if found is not None:
                return found
            if self.is_over:
                if self._is_ending:
                    return None
                raise self._failure or ended(self._target)
            self._came.clear()
            self._wake.set()
            await self._came.wait()

    def begin(self, item: Item) -> bool:
        """Notes that somebody handles it from now on; False: it was lost before."""
        begun = self.desk.begin(item)
        self._wake.set()
        return begun

    def settle(
        self, item: Item, action: Any, reason: str = "", delay_s: float | None = None
    ) -> None:
        """Settles a delivery with the next message."""
        self.desk.settle(item, action, reason, delay_s)
        self._wake.set()

    async def outcome(self, item: Item, seconds: float) -> Any:
        """What becomes of a delivery; None: nothing within so many seconds."""
        waiter = Waiter()
        item.waiters.append(waiter)
        if item.error is not None or item.was_settled:
            item.tell()
        self.desk.flush()
        self._wake.set()
        return await waiter.wait(seconds)

    async def end(self, seconds: float) -> None:
        """Sends what is settled, gives back the rest, and waits for the answers."""
        self._is_ending = True
        self.desk.finish()
        self._came.set()
        self._wake.set()
        try:
            async with asyncio.timeout(seconds):
                await self._is_over.wait()
        except TimeoutError:
            self._call.cancel()

    def cancel(self) -> None:
        """Breaks it off."""
        self._call.cancel()

    async def _run(self) -> None:
        sender = asyncio.create_task(self._send())
        try:
            async for message in self._call:
                page = event_page(message, self._numbers)
                self.was_useful = self.desk.receive(page) or self.was_useful
                self._came.set()
                self._wake.set()
        except (grpc.RpcError, EventfoldError) as error:
            self._failure = self._failure or error
        except asyncio.CancelledError:
            # gRPC tells so that the call was cancelled here.
            pass
        finally:
            sender.cancel()
            self._call.cancel()
            self.desk.fail()
            self._is_over.set()
            self._came.set()

    async def _send(self) -> None:
        try:
            while not self.is_over:
                message = self.desk.next_message()
                if message is not None:
                    await self._call.write(message)
                elif self.desk.is_finished:
                    break
                elif self.desk.is_stuck:
                    self._failure = silent(self._target)
                    self._call.cancel()
                    return
                else:
                    await self._pause(self.desk.wait_s())
            await self._call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            # Whoever reads the answers finds out why.
            return

    async def _pause(self, seconds: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
