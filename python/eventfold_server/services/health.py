"""The service `grpc.health.v1.Health`."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from grpc_health.v1 import health, health_pb2

from eventfold_server.errors import Refusal
from eventfold_server.limits import HEALTH_PAUSE_S, HEALTH_STORAGE_LOST_S

_STATUS = health_pb2.HealthCheckResponse


class Health(health.aio.HealthServicer):
    """Tells whether the server takes calls and reaches its storage. Its watchers do not hold up the
    end of the server.
    """

    def __init__(self, services: Sequence[str], ping: Callable[[], Awaitable[None]]) -> None:
        """`ping` raises Refusal when the storage does not answer."""
        super().__init__()
        # The empty name stands for the whole server.
        self._services = ("", *services)
        self._ping = ping
        self._watches: set[asyncio.Task[None]] = set()
        self._checks: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serves from now on, while the storage answers."""
        await self._tell(_STATUS.SERVING)
        self._checks = asyncio.get_running_loop().create_task(self._check_storage())

    async def stop(self) -> None:
        """Serves no more; watchers are told, and their calls ended."""
        if self._checks is not None:
            self._checks.cancel()
        await self.enter_graceful_shutdown()
        # The statuses were handed to the watches; one turn of the loop lets them send.
        await asyncio.sleep(0)
        for watch in self._watches:
            watch.cancel()

    # The name is gRPC's.
    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802
        """Tells each new status, and ends after the last."""
        watch = asyncio.ensure_future(super().Watch(request, context))
        self._watches.add(watch)
        try:
            await asyncio.wait({watch})
        finally:
            self._watches.discard(watch)
            watch.cancel()

    async def _check_storage(self) -> None:
        reached = time.monotonic()
        ping: asyncio.Task[None] | None = None
        told: int = _STATUS.SERVING
        try:
            while True:
                # One that hangs is not left alone, but the clock goes on.
                ping = ping or asyncio.ensure_future(self._ping())
                await asyncio.wait({ping}, timeout=HEALTH_PAUSE_S)
                if ping.done():
                    with contextlib.suppress(Refusal):
                        ping.result()
                        reached = time.monotonic()
                    ping = None
                lost = time.monotonic() - reached > HEALTH_STORAGE_LOST_S
                status: int = _STATUS.NOT_SERVING if lost else _STATUS.SERVING
                if status != told:
                    await self._tell(status)
                    told = status
                await asyncio.sleep(HEALTH_PAUSE_S)
        finally:
            if ping is not None:
                ping.cancel()

    async def _tell(self, status: int) -> None:
        for service in self._services:
            await self.set(service, status)
