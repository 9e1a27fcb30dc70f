"""Server processes that are forked from one which has imported all that a server needs.

Most of a start is importing. What is forked is a process of its own like any other: it is killed,
stopped and waited for in the same way.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

MESSAGE_BYTES_MAX = 128 * 1024
START_SECONDS_MAX = 120.0


class ForkedProcess:
    """A process that the forge has forked; has what tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: IO[str]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._ended = threading.Event()

    def end(self, returncode: int) -> None:
        """Notes how it ended."""
        self.returncode = returncode
        self._ended.set()

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None: it is running."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; raises subprocess.TimeoutExpired."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"server {self.pid}", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


class Forge:
    """The process that forks, started when it is first asked."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # -P: the folder of this file is none to import from.
        command = [sys.executable, "-P", __file__, str(theirs.fileno())]
        # Ctrl-C is for the tests, which then stop what they started.
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], process_group=0
        )
        theirs.close()
        self._channel = ours
        self._asking = threading.Lock()
        self._started: dict[int, int] = {}
        self._number = 0
        self._news = threading.Condition()
        self.is_dead = False
        self._forked: dict[int, ForkedProcess] = {}
        self._early: dict[int, int] = {}
        threading.Thread(target=self._listen, name="forge", daemon=True).start()

    def start(self, program: str, argument: str, log: IO[Any]) -> ForkedProcess:
        """Runs a program of Python with one argument, in the environment of this process."""
        out, into = os.pipe()
        with self._asking, os.fdopen(into, "wb"), contextlib.ExitStack() as undone:
            stdout = undone.enter_context(os.fdopen(out, encoding="utf-8"))
            self._number += 1
            request = {
                "number": self._number,
                "argument": argument,
                "program": program,
                "environment": dict(os.environ),
                "cwd": str(Path.cwd()),
            }
            message = json.dumps(request).encode()
            assert len(message) <= MESSAGE_BYTES_MAX
            socket.send_fds(self._channel, [message], [into, log.fileno()])
            with self._news:
                self._news.wait_for(
                    lambda: self.is_dead or self._number in self._started, START_SECONDS_MAX
                )
                if self._number not in self._started:
                    raise RuntimeError("the forge does not answer")
                pid = self._started.pop(self._number)
                process = ForkedProcess(pid, stdout)
                if pid in self._early:
                    process.end(self._early.pop(pid))
                else:
                    self._forked[pid] = process
            undone.pop_all()
        return process

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while message := self._channel.recv(MESSAGE_BYTES_MAX):
                told = json.loads(message)
                with self._news:
                    if "started" in told:
                        self._started[told["number"]] = told["started"]
                    elif told["ended"] in self._forked:
                        self._forked.pop(told["ended"]).end(told["status"])
                    else:
                        self._early[told["ended"]] = told["status"]
                    self._news.notify_all()
        with self._news:
            # Nobody tells any more how its processes end.
            self.is_dead = True
            for process in self._forked.values():
                process.kill()
                process.end(-signal.SIGKILL)
            self._news.notify_all()


def forked_request(channel: socket.socket) -> dict[str, Any]:
    """Forks for each request, and returns it in the process that is to do it."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    while True:
        readable, _, _ = select.select([channel, wake_read], [], [])
        if wake_read in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            tell_ended(channel)
        if channel not in readable:
            continue
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES_MAX, 2)
        if not message:
            sys.exit(0)
        request: dict[str, Any] = json.loads(message)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(descriptors[0], 1)
            os.dup2(descriptors[1], 2)
            for descriptor in (*descriptors, wake_read, wake_write, channel.detach()):
                os.close(descriptor)
            return request
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(json.dumps({"started": pid, "number": request["number"]}).encode())


def tell_ended(channel: socket.socket) -> None:
    """Tells of all processes that have ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            channel.send(json.dumps({"ended": pid, "status": code}).encode())


def main() -> None:
    """Runs the program of a request, in a process of its own."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    import eventfold_server.serve  # noqa: F401 - what is imported now is there in all that follow

    request = forked_request(channel)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.argv = ["-c", request["argument"]]
    exec(request["program"], {"__name__": "__main__"})


if __name__ == "__main__":
    main()
