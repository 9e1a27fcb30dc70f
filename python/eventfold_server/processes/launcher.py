"""Becomes the process to supervise: drops root, ties itself to the server, execs the program.

Run as a script by a fresh interpreter (`python -I -S launcher.py SPEC`), so it must import
nothing but the standard library. It exists because the same steps in a `preexec_fn` would run
Python in a forked copy of a process with threads, which may deadlock.

SPEC is JSON: `program`, `arguments`, `directory` (working directory), `parent` (pid of the
server), `death_signal`, and optionally `uid` with `gid`, and `watch_fd`, the read end of a pipe
where the system has no parent-death signal.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
EXIT_REFUSED = 125


def main(spec: dict[str, Any]) -> NoReturn:
    """Carry out SPEC; the order of the steps is what makes it safe."""
    # Before the account changes: the directory may lie under parents closed to the new account.
    os.chdir(spec["directory"])
    os.umask(0o077)
    if spec.get("uid") is not None:
        # No supplementary groups: the database needs none of root's.
        os.setgroups([])
        os.setgid(spec["gid"])
        os.setuid(spec["uid"])
    # After setuid, because the kernel clears the setting when the credentials change. It
    # survives execve, as long as the program is neither setuid nor has file capabilities.
    if spec.get("watch_fd") is None:
        _die_with_parent(spec["death_signal"])
    else:
        _watch(spec["watch_fd"], spec["death_signal"])
    # After that, because a parent that died before it would never be noticed.
    if os.getppid() != spec["parent"]:
        _refuse("the server ended while this process was being launched")
    _reset_signals()
    os.execv(spec["program"], [spec["program"], *spec["arguments"]])


def _die_with_parent(death_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        _refuse(f"PR_SET_PDEATHSIG: {os.strerror(ctypes.get_errno())}")


def _reset_signals() -> None:
    """Undo what the interpreter and the server's thread hand down through execve."""
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _watch(read_fd: int, death_signal: int) -> None:
    """Leave a watcher behind that signals this pid when the server's end of the pipe closes.

    For systems without PR_SET_PDEATHSIG. A byte on the pipe means that the server saw the
    program end, so that a pid used again by somebody else is never signalled. The watcher is
    a grandchild, so the program does not meet a child that it does not know.
    """
    target = os.getpid()
    middle = os.fork()
    if middle != 0:
        os.waitpid(middle, 0)
        os.close(read_fd)
        return
    if os.fork() != 0:
        os._exit(0)
    os.chdir("/")
    for fd in (0, 1, 2):
        os.close(fd)
    if os.read(read_fd, 1) == b"":
        with contextlib.suppress(OSError):
            os.kill(target, death_signal)
    os._exit(0)


def _refuse(why: str) -> NoReturn:
    print(f"launcher: {why}", file=sys.stderr, flush=True)
    os._exit(EXIT_REFUSED)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except OSError as error:
        _refuse(str(error))
