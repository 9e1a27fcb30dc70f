"""Processes of a measurement: started so that none is left behind, and what CPU they took."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventfold_server.processes.child import LAUNCHER

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_S = 30.0
_PAGE_BYTES = 4096
_CHUNK_BYTES = 1 << 20


def start(command: Sequence[str | Path], death: signal.Signals, **options: Any) -> Any:
    """A child that gets the signal `death` if this process dies without ending it."""
    if sys.platform != "linux":
        return subprocess.Popen([str(part) for part in command], **options)
    program, *arguments = (str(part) for part in command)
    spec = {
        "program": shutil.which(program) or program,
        "arguments": arguments,
        "directory": str(Path.cwd()),
        "parent": os.getpid(),
        "death_signal": int(death),
    }
    # The same launcher that ties the embedded PostgreSQL to its server.
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(spec)]
    return subprocess.Popen(launcher, **options)


def stop(process: Any) -> None:
    """Ends a child politely, then for sure."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class _Stat:
    name: str
    parent: int
    # Its own time and that of its children that ended.
    cpu_s: float


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name stands in brackets, and may hold some itself.
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(name, int(fields[1]), sum(map(int, fields[11:15])) / _TICKS_A_SECOND)


@dataclass
class Watched:
    """Processes of a store, whose CPU time is summed by what they are."""

    roots: list[int] = field(default_factory=list)

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far of `server` and of `postgres`, children included."""
        found = {"server": 0.0, "postgres": 0.0}
        if not self.roots or not Path("/proc/self/stat").exists():
            return found
        stats = {int(one.name): _stat(int(one.name)) for one in _process_folders()}
        children: dict[int, list[int]] = {}
        for pid, stat in stats.items():
            if stat is not None:
                children.setdefault(stat.parent, []).append(pid)
        waiting = list(self.roots)
        while waiting:
            pid = waiting.pop()
            stat = stats.get(pid)
            if stat is None:
                continue
            found["postgres" if stat.name.startswith("postgres") else "server"] += stat.cpu_s
            waiting += children.get(pid, [])
        return found


def _process_folders() -> list[Path]:
    return [one for one in Path("/proc").iterdir() if one.name.isdigit()]


def pages_written(path: Path) -> int:
    """Bytes of the pages of a file that hold anything: some stores fill files with zeros ahead."""
    written = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if chunk.count(0) == len(chunk):
                continue
            pages = range(0, len(chunk), _PAGE_BYTES)
            written += sum(any(chunk[at : at + _PAGE_BYTES]) for at in pages) * _PAGE_BYTES
    return written


def on_signal_exit() -> None:
    """A signal ends this program through its `finally` blocks, so that children end too."""

    def leave(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(ValueError):
            signal.signal(number, leave)
