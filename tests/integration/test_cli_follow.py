"""Goal: `read --follow` prints every event once, over cuts of the line, and ends by Ctrl-C;
`eventfold group` does what docs/cli.md says.

Method: the command as a process of its own, behind a proxy that cuts the line; typer's runner for
the rest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.integration.test_cli import Run, json_of
from tests.integration.test_cli import run as run  # noqa: PLC0414 - a fixture
from tests.support.proxy import cutting

import eventfold
from eventfold import ANY, Event
from eventfold.cli.failures import ExitCode

WAIT_SECONDS = 90.0


@dataclass
class Command:
    """A command that runs, and what it printed so far."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def until(self, count: int) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while len(self.out) < count:
            assert time.monotonic() < end, (self.out, self.err)
            time.sleep(0.02)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def command(address: str, *arguments: str) -> Iterator[Command]:
    process = subprocess.Popen(
        [sys.executable, "-m", "eventfold", *arguments],
        env=os.environ | {"EVENTFOLD_SERVER": address, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Command(process)

    def gather(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))
        stream.close()

    threads = [
        threading.Thread(target=gather, args=pair)
        for pair in ((process.stdout, running.out), (process.stderr, running.err))
    ]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(WAIT_SECONDS)
        for thread in threads:
            thread.join(WAIT_SECONDS)


def append(store: eventfold.Client, count: int, stream: str = "a-1") -> None:
    for _ in range(count):
        store.append(stream, [Event("T", {"text": "x"})], expected_version=ANY)


def test_following_over_cuts_until_it_is_interrupted(
    store: eventfold.Client, eventfold_target: str
) -> None:
    append(store, 3)
    with (
        cutting(eventfold_target) as proxy,
        command(proxy.address, "read", "--all", "-f", "--json", "--show-token") as running,
    ):
        running.until(3)
        for cut in range(1, 4):
            proxy.cut()
            append(store, 2)
            running.until(3 + 2 * cut)
        assert running.interrupt() == ExitCode.INTERRUPTED
    assert [json.loads(line)["position"] for line in running.out] == list(range(1, 10))
    assert sum(line.startswith("connection lost") for line in running.err) >= 3
    (token,) = [line for line in running.err if line.startswith("resume token: ")]
    assert not [line for line in running.err if "Traceback" in line]
    with command(
        eventfold_target, "read", "--all", "-f", "--json", "--after", token.split()[-1]
    ) as running:
        append(store, 1)
        running.until(1)
        assert running.interrupt() == ExitCode.INTERRUPTED
    assert [json.loads(line)["position"] for line in running.out] == [10]


def test_a_table_grows_as_events_come(store: eventfold.Client, eventfold_target: str) -> None:
    append(store, 2, "a-1")
    with command(eventfold_target, "read", "a-1", "--follow", "--limit", "4") as running:
        running.until(3)
        append(store, 3, "b-1")
        append(store, 2, "a-1")
        assert running.process.wait(WAIT_SECONDS) == ExitCode.DONE
    assert running.out[0].split() == ["position", "version", "type", "occurred", "writer", "data"]
    assert [line.split()[:2] for line in running.out[1:]] == [
        ["1", "1"], ["2", "2"], ["6", "3"], ["7", "4"]
    ]  # fmt: skip
    assert {len(line) for line in running.out[1:]} == {len(running.out[1])}


def test_starts_and_filters(run: Run, store: eventfold.Client) -> None:
    for n in range(6):
        store.append(f"{'ab'[n % 2]}-1", [Event("T", {"n": n})], expected_version=ANY)

    def positions(*arguments: str) -> list[int]:
        found = json_of(run("read", *arguments, "--follow", "--json"))
        return [event["position"] for event in found]

    assert positions("--all", "--limit", "2") == [1, 2]
    assert positions("--all", "--from", "4", "--limit", "2") == [4, 5]
    assert positions("b-1", "--from", "2", "--limit", "2") == [4, 6]
    assert positions("--all", "--category", "b", "--where", "event.n > 2", "--limit", "2") == [4, 6]
    run("read", "--all", "--follow", "--from", "9", code=ExitCode.NOT_FOUND)
    run("read", "--all", "--follow", "--where", "event.", code=ExitCode.INVALID_INPUT)


def test_nobody_there(run: Run) -> None:
    arguments = ["read", "--all", "-f", "--server", "127.0.0.1:1", "--timeout", "0.2"]
    result = run(*arguments, code=ExitCode.UNAVAILABLE)
    assert "is a server running?" in result.stderr


def test_groups(run: Run, store: eventfold.Client) -> None:
    append(store, 4)
    create = ["group", "create", "g", "--category", "a", "--ack-timeout", "2.5", "--from", "2"]
    (group,) = json_of(run(*create, "--on-park", "let-pass", "--json"))
    assert (group["name"], group["created"], group["categories"]) == ("g", True, ["a"])
    assert (group["settings"]["ack_timeout"], group["settings"]["on_park"]) == (2.5, "let pass")
    assert "no, the same" in run(*create, "--on-park", "let-pass").stdout
    assert "field=" in run("group", "create", "g", code=ExitCode.CONFLICT).stderr
    assert "g" in run("group", "list").stdout
    with store.consume("g", consumer="me") as events:
        assert next(events).version == 2
        events.delivery.park("no use\n")
        events.delivery.confirm()
        assert "me" in run("group", "show", "g").stdout
    (shown,) = json_of(run("group", "show", "g", "--json"))
    assert (shown["status"]["parked"], shown["status"]["oldest_parked"]) == (1, 2)
    assert "no use\\u000a" in run("group", "parked", "g").stdout
    (parked,) = json_of(run("group", "parked", "g", "--json"))
    assert (parked["event"]["position"], parked["cause"]) == (2, "consumer")
    assert run("group", "replay", "g", "2", "3").stderr == "1 delivered again\n"
    assert run("group", "purge", "g", "--all").stderr == "0 given up\n"
    (again,) = json_of(run("group", "reset", "g", "--now", "--json"))
    assert (again["generation"], again["lag"]) == (2, 0)
    run("group", "delete", "g")
    run("group", "show", "g", code=ExitCode.NOT_FOUND)
    assert run("group", "list").stderr == "no groups\n"


@pytest.mark.parametrize("name", ["show", "delete", "parked"])
def test_a_group_that_is_none(run: Run, name: str) -> None:
    run("group", name, "nobody", code=ExitCode.NOT_FOUND)
