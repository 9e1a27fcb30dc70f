"""`EmbeddedPostgres`: one cluster under one data directory, from start to stop."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from eventfold_server.embedded import accounts, binaries, leftovers, logs, sockets
from eventfold_server.embedded.accounts import Account
from eventfold_server.embedded.binaries import Binaries
from eventfold_server.embedded.directory import DataDirectory
from eventfold_server.embedded.errors import (
    DataDirectoryUnusable,
    EmbeddedPostgresError,
    NotRunning,
    StartFailed,
    StopFailed,
    WrongMajorVersion,
)
from eventfold_server.embedded.initialise import initialise
from eventfold_server.embedded.reach import postgres_directory
from eventfold_server.embedded.settings import ServerSettings, command_line
from eventfold_server.processes import BARE_ENVIRONMENT, Child, Command

# The signal that PostgreSQL gets when this process dies without stopping it: an immediate
# shutdown. A fast one (SIGINT) would make the next start quicker (0.5 s against 1.5 s after a
# heavy load), but writes a checkpoint first, which takes as long as the disk wants and fails on
# a full one. An immediate one is bounded by PostgreSQL itself (it kills what is left after 5 s),
# and committed data is safe in the write-ahead log either way.
DEATH_SIGNAL = signal.SIGQUIT

POLL_SECONDS = 0.01
IMMEDIATE_SECONDS = 7.0
KILL_SECONDS = 5.0
READY = "ready"
STATUS_LINE = 7  # of postmaster.pid, counted from 0


@dataclass(frozen=True)
class ExitReport:
    """How a PostgreSQL ended."""

    pid: int
    exit_status: int
    """Its exit status, or -N when signal N killed it."""
    requested: bool
    """True when `stop` or `restart` ended it, False when it died by itself or did not start."""
    log_tail: tuple[str, ...]


@dataclass
class _Running:
    """What belongs to one start of the server process."""

    child: Child
    log_keeper: logs.LogKeeper
    log_offset: int
    ready: bool = False
    requested: bool = False


@dataclass(frozen=True)
class _Prepared:
    """What stays the same from start to stop."""

    account: Account
    binaries: Binaries
    socket_directory: Path
    url: str


class EmbeddedPostgres:
    """A PostgreSQL that lives and dies with this process.

        async with EmbeddedPostgres(Path("data")) as postgres:
            pool = await asyncpg.create_pool(postgres.dsn)

    It may be started in one event loop and stopped in another, but is not safe for use from
    two threads at once. A worker that is forked (not executed) holds the lock of the data
    directory for as long as it lives. Should this process end without `stop`, PostgreSQL ends
    with it, whatever the reason, and the next start recovers.

    `data_dir` is made if missing. `max_connections` bounds the connections to PostgreSQL.
    `settings` win over the ones that it is tuned with, but not over those that it rests on.
    `start_timeout_seconds` bounds a start, recovery after a crash included, but not the first
    initdb (180 s); `stop_timeout_seconds` bounds a clean stop, after which at most 12 s of
    less clean ones follow. `unsafe_no_fsync_for_tests` trades the data for speed: a crash of
    the machine can destroy all of it.
    """

    def __init__(
        self,
        data_dir: Path | str,
        *,
        max_connections: int = 200,
        settings: Mapping[str, str] | None = None,
        start_timeout_seconds: float = 60.0,
        stop_timeout_seconds: float = 10.0,
        unsafe_no_fsync_for_tests: bool = False,
    ) -> None:
        self._directory = DataDirectory(Path(data_dir))
        self._max_connections = max_connections
        self._overrides = dict(settings or {})
        self._start_timeout_seconds = start_timeout_seconds
        self._stop_timeout_seconds = stop_timeout_seconds
        self._unsafe_no_fsync_for_tests = unsafe_no_fsync_for_tests
        self._gate = asyncio.Lock()
        self._prepared: _Prepared | None = None
        self._running: _Running | None = None
        self._last_exit: ExitReport | None = None

    @property
    def data_dir(self) -> Path:
        """The data directory, absolute."""
        return self._directory.root

    @property
    def log_path(self) -> Path:
        """PostgreSQL's log: at most 8 MiB or so, with one older file `.1` beside it."""
        return self._directory.server_log

    @property
    def dsn(self) -> str:
        """PostgreSQL URL of the superuser, password included; raises NotRunning.

        The same before and after `restart`, another one after `stop` and `start`.
        """
        return self._require_prepared().url

    @property
    def pid(self) -> int:
        """Process id of the PostgreSQL server process; raises NotRunning."""
        return self._require_running().child.pid

    async def start(self) -> None:
        """Initialise the cluster if it is new, and start it; returns when it takes connections.

        Recovers by itself from whatever a killed server left behind. Raises a subclass of
        EmbeddedPostgresError, and then, as on cancellation, nothing is left running.
        """
        async with self._gate:
            if self._prepared is not None:
                raise EmbeddedPostgresError(f"the PostgreSQL of {self.data_dir} is started already")
            self._directory.open()
            try:
                self._prepared = await self._prepare()
                await self._launch(self._prepared)
            except BaseException:
                await self._abandon()
                raise

    async def stop(self) -> None:
        """Stop PostgreSQL and release the data directory; without effect when not started.

        A fast shutdown first (sessions are ended, a checkpoint is written), then an immediate
        one, then SIGKILL. Raises StopFailed if even that does not end it. When cancelled, it
        may be called again.
        """
        async with self._gate:
            if self._prepared is None:
                return
            try:
                await self._end(signal.SIGINT, self._stop_timeout_seconds)
            finally:
                if self._running is None or self._running.child.returncode is not None:
                    self._release()

    async def restart(self) -> None:
        """End PostgreSQL if it still runs, reap it, and start it again under the same URL.

        After a failure it may be called again, or `stop`.
        """
        async with self._gate:
            prepared = self._require_prepared()
            await self._end(signal.SIGINT, self._stop_timeout_seconds)
            try:
                await self._launch(prepared)
            except BaseException:
                await self._end(signal.SIGQUIT, IMMEDIATE_SECONDS)
                raise

    async def wait_died(self) -> ExitReport:
        """Wait until the present PostgreSQL ends, for whatever reason, and tell how it ended.

        Returns at once when it has ended already, after a `restart` that failed too, so that
        waiting, pausing and restarting can simply be repeated. Raises NotRunning before the
        first start and after `stop`.
        """
        self._require_prepared()
        if self._running is None and self._last_exit is not None:
            return self._last_exit
        running = self._require_running()
        status = await running.child.wait()
        assert status is not None, "an unbounded wait ends with a status"
        return self._report(running, status)

    def _report(self, running: _Running, status: int) -> ExitReport:
        tail = logs.tail(self.log_path, running.log_offset)
        return ExitReport(running.child.pid, status, running.requested, tuple(tail))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _require_prepared(self) -> _Prepared:
        if self._prepared is None:
            raise NotRunning(f"the PostgreSQL of {self.data_dir} is not started")
        return self._prepared

    def _require_running(self) -> _Running:
        if self._running is None:
            raise NotRunning(f"the PostgreSQL of {self.data_dir} is not running")
        return self._running

    async def _prepare(self) -> _Prepared:
        """Everything up to the point where only `postgres` has to be run; holds the lock."""
        directory = self._directory
        try:
            account = accounts.choose(directory.root, directory.cluster)
            programs = await asyncio.to_thread(binaries.find, account)
            made_by = directory.major_version()
            if made_by not in (None, programs.major):
                raise WrongMajorVersion(
                    f"{directory.cluster} was made by PostgreSQL {made_by}, this one is "
                    f"{programs.major}: dump it with the old version, and restore it into a new "
                    f"data directory (or use pg_upgrade)",
                    cluster_dir=str(directory.cluster),
                    cluster_major=made_by,
                    binaries_major=programs.major,
                )
            if made_by is None:
                await initialise(
                    directory,
                    programs,
                    account,
                    unsafe_no_fsync_for_tests=self._unsafe_no_fsync_for_tests,
                )
            password = directory.password()
            sockets.remove_left_directory(directory.read_url(), account)
            socket_directory = sockets.make_directory(account)
            url = sockets.url(socket_directory, password)
            prepared = _Prepared(account, programs, socket_directory, url)
            # Before the socket exists, so that a kill at any time leaves a trace of its place.
            directory.write_url(url)
            return prepared
        except OSError as error:
            raise DataDirectoryUnusable(
                f"cannot prepare {directory.root}: {error}",
                data_dir=str(directory.root),
                errno=error.errno,
            ) from error

    async def _launch(self, prepared: _Prepared) -> None:
        """Start `postgres` and wait until it takes connections."""
        cluster = self._directory.cluster
        deadline = time.monotonic() + self._start_timeout_seconds
        await leftovers.clear(cluster, prepared.account.uid)
        try:
            sockets.ensure_directory(prepared.socket_directory, prepared.account)
            settings = ServerSettings(
                socket_directory=prepared.socket_directory,
                cluster_name=leftovers.cluster_name(cluster),
                max_connections=self._max_connections,
                unsafe_no_fsync_for_tests=self._unsafe_no_fsync_for_tests,
                overrides=self._overrides,
            )
            command = Command(
                program=prepared.binaries.postgres,
                arguments=[
                    "-D",
                    postgres_directory(cluster, prepared.account),
                    *command_line(settings),
                ],
                directory=cluster,
                death_signal=DEATH_SIGNAL,
                environment=BARE_ENVIRONMENT,
                account=prepared.account.become,
            )
            log_fd = self._directory.open_log(self.log_path)
            try:
                logs.shorten(self.log_path)
                offset = logs.size(self.log_path)
                child = Child.launch(command, log_fd)
            finally:
                os.close(log_fd)
        except OSError as error:
            raise StartFailed(f"cannot run PostgreSQL: {error}", errno=error.errno) from error
        self._running = _Running(child, logs.LogKeeper(self.log_path), offset)
        await self._until_ready(self._running, deadline)

    async def _until_ready(self, running: _Running, deadline: float) -> None:
        """Poll the status that PostgreSQL itself keeps: true only when it takes connections."""
        pid_file = self._directory.cluster / "postmaster.pid"
        while not _says_ready(pid_file, running.child.pid):
            status = running.child.returncode
            if status is not None or time.monotonic() >= deadline:
                why = (
                    f"ended with exit status {status} while starting"
                    if status is not None
                    else f"was not ready within {self._start_timeout_seconds:g} s"
                )
                raise StartFailed(
                    f"the PostgreSQL of {self.data_dir} {why}; its log is {self.log_path}",
                    exit_status=status,
                    log_path=str(self.log_path),
                    log_tail=logs.tail(self.log_path, running.log_offset),
                )
            await asyncio.sleep(POLL_SECONDS)
        running.ready = True

    async def _end(self, first_signal: int, first_seconds: float) -> None:
        """End the present server process, gently first, and reap it."""
        running = self._running
        if running is None:
            return
        child = running.child
        for number, seconds in (
            (first_signal, first_seconds),
            (signal.SIGQUIT, IMMEDIATE_SECONDS),
            (signal.SIGKILL, KILL_SECONDS),
        ):
            if child.returncode is not None:
                break
            # A signal that came too late did not end it, and one to a start that hangs is not
            # what the caller wanted.
            running.requested |= child.signal(number) and running.ready
            await child.wait(seconds)
        if child.returncode is None:
            raise StopFailed(
                f"PostgreSQL (pid {child.pid}) survived SIGKILL: is its disk hanging?",
                pid=child.pid,
            )
        running.log_keeper.stop()
        self._last_exit = self._report(running, child.returncode)
        self._running = None

    async def _abandon(self) -> None:
        """Undo a start that failed or was cancelled."""
        try:
            await self._end(signal.SIGQUIT, IMMEDIATE_SECONDS)
        finally:
            self._release()

    def _release(self) -> None:
        if self._prepared is not None:
            sockets.remove_directory(self._prepared.socket_directory, self._prepared.account)
            self._directory.remove_url()
            self._prepared = None
        if self._running is not None:
            self._running.log_keeper.stop()
            self._running = None
        self._last_exit = None
        self._directory.close()


def _says_ready(pid_file: Path, pid: int) -> bool:
    try:
        lines = pid_file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == READY
