"""Goal: a point kills the process when it is armed, at the time that was said, and only then.

Method: processes that reach points of Python; those of Rust are reached by tests of faults.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from eventfold import _core
from eventfold_server import failpoints

REACH = """
from eventfold_server import failpoints
for name in ("dropped", "caught_up", "dropped"):
    failpoints.reach(name)
    print(name, flush=True)
"""


def reached(setting: str) -> tuple[int, list[str]]:
    """How a process ends whose points are armed so, and what it had passed."""
    done = subprocess.run(
        [sys.executable, "-c", REACH],
        env={**os.environ, failpoints.ENVIRONMENT: setting},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.split()


def test_an_armed_point_kills() -> None:
    assert reached("dropped") == (-signal.SIGKILL, [])
    assert reached("caught_up") == (-signal.SIGKILL, ["dropped"])
    assert reached("dropped:2") == (-signal.SIGKILL, ["dropped", "caught_up"])
    everything = (0, ["dropped", "caught_up", "dropped"])
    assert reached("dropped:3") == reached("before_switch") == reached("") == everything
    # Of Rust.
    assert reached("before_commit") == everything


def test_an_armed_point_may_stop_instead() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", REACH],
        env={**os.environ, failpoints.ENVIRONMENT: "caught_up:1:stop"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.communicate()[0].split() == ["dropped", "caught_up", "dropped"]
        assert process.returncode == 0


def test_a_point_that_is_not_there_is_told() -> None:
    assert reached("nowhere") == (1, [])


def test_names_are_names_of_one_point() -> None:
    names = [*failpoints.NAMES, *_core.failpoints()]
    assert len(set(names)) == len(names)
