"""What an earlier server may have left: processes of its PostgreSQL, and postmaster.pid.

A process is a leftover of this cluster when it runs `postgres` as the cluster's account with
the cluster as its working directory. Where the system does not show the working directory
(root without CAP_SYS_PTRACE in a container, macOS), its command line or title must carry the
cluster's name, which holds device and inode of the directory and so is no other cluster's; a
PostgreSQL without any such name counts as a stranger's on this cluster if postmaster.pid names it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from eventfold_server.embedded.errors import DataDirectoryInUse, StopFailed

POLL_SECONDS = 0.02
# An immediate shutdown takes milliseconds; this much patience, then SIGQUIT, then SIGKILL. That
# loses nothing that an immediate shutdown would keep, and time counts: a recovery follows.
PATIENCE_SECONDS = 1.0
QUIT_SECONDS = 0.5
KILL_SECONDS = 5.0
PS_TIMEOUT_SECONDS = 10.0
PID_MAX = 2**31 - 1


@dataclass(frozen=True)
class Leftover:
    """A live PostgreSQL process of the cluster; `ours` when a server of ours started it."""

    pid: int
    ours: bool


def cluster_name(cluster: Path) -> str:
    """A name for the cluster that no other directory of this machine has at the same time."""
    status = cluster.stat()
    return f"eventfold-{status.st_dev:x}-{status.st_ino:x}"


async def clear(cluster: Path, uid: int) -> None:
    """Wait until no process of the cluster is left, ending those that stay.

    Takes at most 7 s, and milliseconds in the usual case. Raises DataDirectoryInUse when a
    PostgreSQL that was not started by eventfold runs there, StopFailed when one of ours
    cannot be ended.
    """
    found = _checked(cluster, uid)
    for seconds, then in (
        (PATIENCE_SECONDS, signal.SIGQUIT),
        (QUIT_SECONDS, signal.SIGKILL),
        (KILL_SECONDS, None),
    ):
        deadline = time.monotonic() + seconds
        while found and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            found = _checked(cluster, uid)
        if not found:
            break
        if then is None:
            pids = [one.pid for one in found]
            raise StopFailed(
                f"PostgreSQL processes {pids} of {cluster} survived SIGKILL: is its disk hanging?",
                cluster_dir=str(cluster),
                pids=pids,
            )
        for one in found:
            _signal(one.pid, then)
    _remove_stale_pid_file(cluster)


def find(cluster: Path, uid: int) -> list[Leftover]:
    """The live PostgreSQL processes of the cluster, of account `uid`."""
    if Path("/proc/self").is_dir():
        return _find_in_proc(cluster, uid)
    return _find_with_ps(cluster, uid)


def _checked(cluster: Path, uid: int) -> list[Leftover]:
    found = find(cluster, uid)
    strangers = [one.pid for one in found if not one.ours]
    if strangers:
        raise DataDirectoryInUse(
            f"a PostgreSQL that eventfold did not start runs on {cluster} "
            f"(pid {min(strangers)}): stop it first",
            cluster_dir=str(cluster),
            holder_pid=min(strangers),
        )
    return found


def _find_in_proc(cluster: Path, uid: int) -> list[Leftover]:
    directory = cluster.stat()
    name = cluster_name(cluster)
    pid_file_pid = _pid_in_file(cluster)
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            process = Path(entry.path)
            # Parentheses end the command's name, which may hold anything; the state follows.
            state = (process / "stat").read_bytes().rpartition(b")")[2].split()[0]
            if state in (b"Z", b"X") or process.stat().st_uid != uid:
                continue
            command = (process / "cmdline").read_bytes()
            ours = _carries(command, name)
            runs_there = ours or _is_postgres_in(process, directory)
            if runs_there is None:
                runs_there = _is_suspect(int(entry.name), command, pid_file_pid)
            if runs_there:
                found.append(Leftover(int(entry.name), ours))
        except (FileNotFoundError, ProcessLookupError):
            # It ended while it was looked at.
            continue
    return found


def _is_postgres_in(process: Path, directory: os.stat_result) -> bool | None:
    """Whether it runs `postgres` in this directory; None when the system hides that."""
    try:
        program = (process / "exe").readlink().name.removesuffix(" (deleted)")
        where = (process / "cwd").stat()
    except PermissionError:
        return None
    same = (where.st_dev, where.st_ino) == (directory.st_dev, directory.st_ino)
    return same and program == "postgres"


def _is_suspect(pid: int, command: bytes, pid_file_pid: int | None) -> bool:
    """Whether postmaster.pid names this process, and it looks like a PostgreSQL of no name.

    Then it is taken for the owner of the cluster, although it may be another's that got the
    same pid: an error too many can be put right by hand, two servers on one cluster cannot.
    """
    program = command.split(b"\0", 1)[0].split(b" ", 1)[0].removesuffix(b":")
    is_postgres = program.rpartition(b"/")[2] == b"postgres"
    named = b"cluster_name=eventfold-" in command or command.startswith(b"postgres: eventfold-")
    return pid == pid_file_pid and is_postgres and not named


def _carries(command: bytes, name: str) -> bool:
    """Whether a command line is the postmaster's, or a title one of its children's."""
    marker = name.encode()
    return command.startswith(b"postgres: " + marker + b":") or (
        b"cluster_name=" + marker in command.split(b"\0")
    )


def _find_with_ps(cluster: Path, uid: int) -> list[Leftover]:
    name = cluster_name(cluster)
    pid_file_pid = _pid_in_file(cluster)
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,uid=,state=,command="],
        capture_output=True,
        timeout=PS_TIMEOUT_SECONDS,
        check=True,
    ).stdout
    found = []
    for line in listing.splitlines():
        pid, owner, state, command = [*line.split(None, 3), b"", b"", b"", b""][:4]
        if int(owner or -1) != uid or state.startswith(b"Z"):
            continue
        if _carries(command.replace(b" ", b"\0"), name) or _carries(command, name):
            found.append(Leftover(int(pid), ours=True))
        elif _is_suspect(int(pid), command, pid_file_pid):
            found.append(Leftover(int(pid), ours=False))
    return found


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _remove_stale_pid_file(cluster: Path) -> None:
    """Remove a postmaster.pid that PostgreSQL itself would take for a running server's.

    Called when no process of the cluster runs. PostgreSQL only asks whether the pid is alive,
    so it is fooled by a zombie, which nobody reaped, and by a pid that now is another
    program's. In all other cases the file stays for PostgreSQL to judge, since it also leads
    it to shared memory that was left over.
    """
    path = cluster / "postmaster.pid"
    if not path.exists():
        return
    pid = _pid_in_file(cluster)
    if pid is not None:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        except PermissionError:
            pass
    # Without a pid it was torn by a crash, and PostgreSQL would refuse to start on it.
    path.unlink(missing_ok=True)


def _pid_in_file(cluster: Path) -> int | None:
    """The pid that postmaster.pid names, None when there is none or it cannot be one."""
    try:
        text = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace")
        pid = int(text.split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if 0 < pid <= PID_MAX else None
