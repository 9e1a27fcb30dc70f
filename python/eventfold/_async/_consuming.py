"""A session of a consumer on an event loop. Written by hand here and in `_sync`."""

import asyncio
from typing import Any

from eventfold._async import _platform
from eventfold._core import CallError
from eventfold._desk import Desk, Item, Lost
from eventfold._errors import EventfoldError
from eventfold._events import event_page
from eventfold._json import Numbers
from eventfold._reconnects import ended, silent


class ConsumeSession:
    """One call on a group. It begins at once.

    Args:
        call: the call.
        desk: what it has.
        target: address of the server, for errors.
        numbers: how numbers in data are decoded.
    """

    def __init__(self, call: _platform.Call, desk: Desk, target: str, numbers: Numbers) -> None:
        self.desk = desk
        self.was_useful = False
        self._target = target
        self._numbers = numbers
        self._failure: BaseException | None = None
        self._is_stopping = False
        self._is_over = asyncio.Event()
        self._came = asyncio.Event()
        self._wake = asyncio.Event()
        self._call = call
        # The event loop alone would not keep it alive.
        self._task = asyncio.create_task(self._run())

    @property
    def is_over(self) -> bool:
        """Whether nothing can be settled any more."""
        return self._is_over.is_set()

    async def next(self) -> Item | Lost | None:
        """The next delivery, or one that was lost; None: the session was stopped here.

        Raises:
            CallError, EventfoldError: what broke it.
        """
        while True:
            found = self.desk.next()
            if found is not None:
                return found
            if self._is_stopping:
                return None
            if self.is_over:
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
        future = asyncio.get_running_loop().create_future()

        def tell(told: Any) -> None:
            if not future.done():
                future.set_result(told)

        self.desk.watch(item, tell)
        self._wake.set()
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None

    def stop(self) -> None:
        """Hands nothing out any more."""
        self._is_stopping = True
        self.desk.stop()
        self._came.set()
        self._wake.set()

    async def wait(self, seconds: float) -> bool:
        """Waits until it is over, as long as that."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_over.wait()
        except TimeoutError:
            return False
        return True

    async def end(self, seconds: float) -> None:
        """Sends what is settled, gives back the rest, and waits for the answers."""
        self.stop()
        self.desk.close()
        self._wake.set()
        if not await self.wait(seconds):
            self._call.cancel()

    def cancel(self) -> None:
        """Breaks it off."""
        self._call.cancel()

    async def _run(self) -> None:
        sender = asyncio.create_task(self._send())
        try:
            while (message := await self._call.next()) is not None:
                page = event_page(message, self._numbers)
                self.was_useful = self.desk.receive(page) or self.was_useful
                self._came.set()
                self._wake.set()
        except (CallError, EventfoldError) as error:
            self._failure = self._failure or error
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
                    await self._call.send(message.SerializeToString())
                elif self.desk.is_finished:
                    break
                elif self.desk.is_stuck:
                    self._failure = silent(self._target)
                    self._call.cancel()
                    return
                else:
                    await self._pause(self.desk.wait_s())
            self._call.done_sending()
        except CallError:
            # Whoever reads the answers finds out why.
            return

    async def _pause(self, seconds: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
