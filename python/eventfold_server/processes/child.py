"""Processes that end with this one, each reaped by a thread of its own.

Threads and not asyncio's child watchers, so that a process started in one event loop can be
watched and stopped from another, and so that uvloop and asyncio behave the same.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")

# Only what programs need that are not ours: PGDATA, PGPORT, LC_* and the like from the server's
# environment would change what they do.
BARE_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

# Linux has PR_SET_PDEATHSIG; elsewhere a pipe and a watcher process take its place.
NEEDS_WATCHER = sys.platform != "linux"


@dataclass(frozen=True)
class Command:
    """What to run, where, with what, as whom, and its signal when this process ends."""

    program: Path
    arguments: Sequence[str]
    directory: Path
    death_signal: int
    environment: Mapping[str, str]
    account: tuple[int, int] | None = None
    """uid and gid to become; None stays the caller's."""


class Child:
    """One running process; `Child.launch` starts it."""

    def __init__(self, popen: "subprocess.Popen[bytes]", watch_fd: int | None) -> None:
        self._popen = popen
        self._watch_fd = watch_fd
        self._reaping = threading.Lock()
        self._exited: concurrent.futures.Future[int] = concurrent.futures.Future()
        # A running future cannot be cancelled: a waiter that gives up must not end it.
        self._exited.set_running_or_notify_cancel()
        threading.Thread(target=self._reap, name=f"reap-{popen.pid}", daemon=True).start()

    @classmethod
    def launch(
        cls,
        command: Command,
        output_fd: int,
        *,
        input_fd: int = subprocess.DEVNULL,
        errors_fd: int | None = None,
        watcher: bool | None = None,
    ) -> "Child":
        """Start `command` in a session of its own, writing to `output_fd`.

        Its errors go there too, unless `errors_fd` is another one. The session keeps a
        terminal's Ctrl-C away from it. Raises OSError when the interpreter that becomes the
        process cannot be run. `watcher` chooses between the parent-death signal and the pipe;
        None leaves it to the system.
        """
        if watcher is None:
            watcher = NEEDS_WATCHER
        read_fd, write_fd = os.pipe() if watcher else (None, None)
        specification = json.dumps(
            {
                "program": str(command.program),
                "arguments": list(command.arguments),
                "directory": str(command.directory),
                "parent": os.getpid(),
                "death_signal": int(command.death_signal),
                "uid": command.account[0] if command.account else None,
                "gid": command.account[1] if command.account else None,
                "watch_fd": read_fd,
            }
        )

        def start() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(
                # Isolated and without site: nothing of the user's environment runs as root.
                [sys.executable, "-I", "-S", str(LAUNCHER), specification],
                stdin=input_fd,
                stdout=output_fd,
                stderr=output_fd if errors_fd is None else errors_fd,
                env=command.environment,
                pass_fds=() if read_fd is None else (read_fd,),
                start_new_session=True,
            )

        try:
            popen = _keeper().run(start)
        except BaseException:
            if write_fd is not None:
                os.close(write_fd)
            raise
        finally:
            if read_fd is not None:
                os.close(read_fd)
        return cls(popen, write_fd)

    @property
    def pid(self) -> int:
        """Its process id; the program's own, since the launcher execs it."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, -N for death by signal N, None while it runs."""
        return self._exited.result() if self._exited.done() else None

    def signal(self, number: int) -> bool:
        """Send a signal; False when the process has ended, so its pid may be another's."""
        with self._reaping:
            if self._popen.returncode is not None:
                return False
            os.kill(self.pid, number)
            return True

    async def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait for the end and return the exit status, or None when the time is over."""
        ended = asyncio.wrap_future(self._exited)
        try:
            await asyncio.wait({ended}, timeout=timeout_seconds)
        finally:
            ended.cancel()
        return self.returncode

    def _reap(self) -> None:
        # Waiting without reaping first keeps the pid ours until the lock is held, so that
        # signal() cannot hit a process that got the same pid. macOS lacks waitid before
        # Python 3.13 and keeps that small race.
        if hasattr(os, "waitid"):
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            with self._reaping:
                status = self._popen.wait()
        else:
            status = self._popen.wait()
        if self._watch_fd is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._watch_fd, b".")
            os.close(self._watch_fd)
        self._exited.set_result(status)


class _Keeper:
    """A thread that forks for everybody and ends only with the process.

    The parent-death signal fires when the *thread* that forked ends. A caller's thread may
    end at any time; this one blocks for ever, so the signal means the end of the process.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._loop, name="keep-children", daemon=True).start()

    def run(self, start: Callable[[], "subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes]":
        """Call `start` in the thread and return its result or raise its error."""
        answer: concurrent.futures.Future[subprocess.Popen[bytes]] = concurrent.futures.Future()

        def work() -> None:
            try:
                answer.set_result(start())
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                answer.set_exception(error)

        self._work.put(work)
        return answer.result()

    def _loop(self) -> None:
        while True:
            self._work.get()()


_keepers: dict[int, _Keeper] = {}
_keepers_lock = threading.Lock()


def _keeper() -> _Keeper:
    # By process, because threads do not survive fork: a forked worker needs its own.
    with _keepers_lock:
        if os.getpid() not in _keepers:
            _keepers[os.getpid()] = _Keeper()
        return _keepers[os.getpid()]
