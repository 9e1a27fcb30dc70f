"""Starts the workers of a server, starts again what dies, and passes signals on."""

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import sys
import time
from pathlib import Path

from eventfold_server.config import ServerConfig
from eventfold_server.processes import Child, Command
from eventfold_server.workers.address import ReservedAddress
from eventfold_server.workers.order import Order, Report

log = logging.getLogger(__name__)

# A worker gets this much, and the wait for its database, to serve.
START_S_MAX = 60.0
# What a worker gets beyond the grace to close its pools, before it is killed.
STOP_S_MAX = 20.0
# A worker that ends is started again after the first pause; each end within STABLE_S doubles it.
RESTART_PAUSE_S = 1.0
RESTART_PAUSE_S_MAX = 30.0
STABLE_S = 60.0
# While no worker serves, the server gives up after so many starts in a row that came to nothing.
FAILED_STARTS_MAX = 5
STDERR = 2


class WorkerFailed(Exception):
    """Workers cannot be started, or not again; says which one, and why."""


@dataclasses.dataclass
class _Slot:
    """A worker's place: one process after the other runs in it, under the same name."""

    number: int
    child: Child | None = None
    serving: bool = False
    # SIGHUP came before there was anybody to handle it.
    reload_missed: bool = False
    # Ends in a row that came soon, and those before it served.
    quick_ends: int = 0
    failed_starts: int = 0

    @property
    def name(self) -> str:
        """As it is called in logs."""
        return f"worker {self.number}"


class Workers:
    """The server processes behind one address; they die with this one, whatever ends it."""

    def __init__(self, config: ServerConfig, database_url: str) -> None:
        """Nothing is started yet. `database_url`: of the database that all of them use."""
        self._config = config
        self._database_url = database_url
        self._slots = [_Slot(number) for number in range(1, config.workers + 1)]
        self._keepers: list[asyncio.Task[None]] = []
        self._reserved: ReservedAddress | None = None
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._failed: WorkerFailed | None = None
        self._started = False

    async def start(self) -> str:
        """Returns `host:port` once every worker serves; raises ConfigError or WorkerFailed."""
        self._reserved = ReservedAddress(self._config.listen)
        worker_config = dataclasses.replace(
            self._config,
            listen=self._reserved.listen,
            data_dir=None,
            postgres_settings={},
            database_url=self._database_url,
            workers=1,
        )
        if sys.platform != "linux":
            log.warning("this system does not spread connections over workers evenly")
        for slot in self._slots:
            keeper = asyncio.create_task(self._keep(slot, worker_config))
            keeper.add_done_callback(self._kept)
            self._keepers.append(keeper)
        while not all(slot.serving for slot in self._slots):
            await self._change()
        self._started = True
        return self._reserved.listen

    async def wait_ended(self) -> None:
        """Returns never; raises WorkerFailed when no worker serves and none can be started."""
        while True:
            await self._change()

    def reload(self) -> None:
        """Makes all workers read again what a server reads again."""
        for slot in self._slots:
            if slot.child is not None and slot.serving:
                slot.child.signal(signal.SIGHUP)
            else:
                slot.reload_missed = True

    async def stop(self) -> None:
        """Ends all workers: each refuses new calls, and lets those under way end."""
        self._stopping.set()
        for slot in self._slots:
            if slot.child is not None:
                slot.child.signal(signal.SIGTERM)
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=self._config.grace_s + STOP_S_MAX)
        for slot in self._slots:
            if slot.child is not None and slot.child.returncode is None:
                log.error("%s (pid %d) did not stop; killing it", slot.name, slot.child.pid)
                slot.child.signal(signal.SIGKILL)
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._reserved is not None:
            self._reserved.close()

    async def _change(self) -> None:
        """Waits until something changed; raises what makes going on impossible."""
        await self._changed.wait()
        self._changed.clear()
        if self._failed is not None:
            raise self._failed

    async def _keep(self, slot: _Slot, config: ServerConfig) -> None:
        """Runs one process after the other in the slot."""
        while True:
            began = time.monotonic()
            why = await self._run(slot, config)
            if self._stopping.is_set():
                return
            if self._is_hopeless(slot):
                raise WorkerFailed(f"{slot.name} does not start: {why}")
            slot.quick_ends = 1 if time.monotonic() - began > STABLE_S else slot.quick_ends + 1
            pause = min(RESTART_PAUSE_S * 2 ** (slot.quick_ends - 1), RESTART_PAUSE_S_MAX)
            log.error("%s %s; starting it again in %g s", slot.name, why, pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                    return

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        """Makes the end of a keeper known that nobody asked for."""
        if not keeper.cancelled() and (error := keeper.exception()) is not None:
            if not isinstance(error, WorkerFailed):
                error = WorkerFailed(f"a worker cannot be run: {type(error).__name__}: {error}")
            self._failed = self._failed or error
            self._changed.set()

    def _is_hopeless(self, slot: _Slot) -> bool:
        """Whether going on makes no sense, after an end of the worker in this slot."""
        if not self._started:
            return slot.failed_starts > 0
        served = any(other.serving for other in self._slots)
        return not served and slot.failed_starts >= FAILED_STARTS_MAX

    async def _run(self, slot: _Slot, config: ServerConfig) -> str:
        """Runs one process to its end; returns how it ended."""
        order = Order(slot.name, config, logging.getLogger().getEffectiveLevel())
        child, reports = await _launch(order)
        slot.child = child
        if self._stopping.is_set():
            child.signal(signal.SIGTERM)
        try:
            report = await _report_of(reports, START_S_MAX + config.database_wait_s)
            if report.refused is None:
                self._serves(slot, child)
            elif child.returncode is None:
                # Hangs, or is on its way out: it has said all that it will say.
                await child.wait(1.0)
                child.signal(signal.SIGKILL)
            status = await child.wait()
            assert status is not None
            if report.refused is not None:
                slot.failed_starts += 1
                return f"{report.refused} ({_ending(status)})"
            return f"(pid {child.pid}) {_ending(status)}"
        finally:
            slot.child, slot.serving = None, False

    def _serves(self, slot: _Slot, child: Child) -> None:
        log.info("%s serves, pid %d", slot.name, child.pid)
        slot.serving, slot.failed_starts = True, 0
        if slot.reload_missed:
            slot.reload_missed = False
            child.signal(signal.SIGHUP)
        self._changed.set()


async def _launch(order: Order) -> tuple[Child, asyncio.StreamReader]:
    """Starts a worker; returns it with what it will report."""
    order_fd, give_fd = os.pipe()
    report_fd, told_fd = os.pipe()
    reports = asyncio.StreamReader()
    reported = os.fdopen(report_fd, "rb")
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reports), reported
    )
    try:
        os.write(give_fd, order.dump())
        command = Command(
            program=Path(sys.executable),
            # Not the current directory first on the path, as `-m` would have it.
            arguments=["-P", "-m", "eventfold_server.workers.worker"],
            directory=Path.cwd(),
            # At once, as this process itself ended: there is nobody left to start it again.
            death_signal=signal.SIGKILL,
            environment=os.environ,
        )
        child = Child.launch(command, told_fd, input_fd=order_fd, errors_fd=STDERR)
    finally:
        for fd in (give_fd, order_fd, told_fd):
            os.close(fd)
    return child, reports


async def _report_of(reports: asyncio.StreamReader, seconds: float) -> Report:
    try:
        async with asyncio.timeout(seconds):
            return Report.load(await reports.readline())
    except TimeoutError:
        return Report(f"it did not serve within {seconds:g} s")


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"
