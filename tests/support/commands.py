"""The command `eventfold`, many times over.

Each command is a process with arguments, environment, folder and output of its own, as if it had
been typed. But most of the time of a short command goes into importing; so one process imports, and
commands are forks of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Nothing but the import is shared: threads and connections are made by the commands.
_PROGRAM = """
import json, os, signal, sys, traceback
from eventfold.cli import main
import eventfold._async.client, eventfold._sync.client, rich.console, rich.table

for line in sys.stdin:
    asked = json.loads(line)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            nothing = os.open(os.devnull, os.O_RDONLY)
            out, err = (os.open(asked[name], os.O_WRONLY | os.O_TRUNC) for name in ("out", "err"))
            for given, stream in ((nothing, 0), (out, 1), (err, 2)):
                os.dup2(given, stream)
            signal.alarm(asked["seconds"])
            os.chdir(asked["folder"])
            os.environ.clear()
            os.environ.update(asked["environment"])
            sys.argv = asked["argv"]
            # As the interpreter would have it, with the line buffering of a new process.
            sys.stdin = open(0, closefd=False)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    returncode: int
    stdout: str
    stderr: str


class Commands:
    """Runs commands, one after the other."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._out.touch()
        self._err.touch()

    def run(self, argv: Sequence[str], environment: Mapping[str, str], seconds: int) -> Done:
        """The command in the folder where this process is, ended after so many seconds."""
        asked = {
            "argv": list(argv),
            "environment": dict(environment),
            "folder": str(Path.cwd()),
            "seconds": seconds,
            "out": str(self._out),
            "err": str(self._err),
        }
        into, answers = _pipes(self._process)
        into.write(json.dumps(asked) + "\n")
        into.flush()
        status = answers.readline()
        assert status, "the process that has it imported is gone"
        return Done(
            int(status),
            self._out.read_text(encoding="utf-8"),
            self._err.read_text(encoding="utf-8"),
        )


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


@contextmanager
def commands(folder: Path) -> Iterator[Commands]:
    """What runs commands; `folder` is for what they print."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Commands(process, folder)
    finally:
        for pipe in _pipes(process):
            pipe.close()
        process.wait(timeout=30)
