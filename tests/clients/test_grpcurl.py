"""Goal: without any client of ours, grpcurl is enough.

Method: the commands of the guide are run as they stand there, on a real server; what the guide
shows of their output must be in it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import go_toolchain
import pytest
from tests.clients.servers import World, worlds
from tests.support import toolchains
from tests.support.snippets import ADDRESS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/guide/any-language.md"
MODULE = ROOT / "tools/grpcurl"
COMMAND = "github.com/fullstorydev/grpcurl/cmd/grpcurl"
# It compiles gRPC the first time.
BUILD_SECONDS_MAX = 1200


@dataclass
class Shown:
    """A command of the guide, and lines of its output, in their order."""

    command: str
    lines: list[str]


def shown() -> list[Shown]:
    text = PAGE.read_text(encoding="utf-8")
    found: list[Shown] = []
    for block in re.findall(r"<!-- run: grpcurl -->\n\n```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Shown(line[2:], []))
            elif line.startswith("    "):
                found[-1].command += f"\n{line}"
            elif line != "...":
                found[-1].lines.append(line.strip())
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where grpcurl is; skips without Go, and says so; in CI that is an error."""
    toolchains.require("grpcurl", go_toolchain.require)
    made = tmp_path_factory.mktemp("grpcurl")
    subprocess.run(["go", "build", "-o", f"{made}{os.sep}", COMMAND], cwd=MODULE, check=True)
    return made


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with worlds() as make, make() as made:
        yield made


@pytest.mark.timeout(BUILD_SECONDS_MAX)
def test_the_commands_of_the_guide(folder: Path, world: World) -> None:
    address = str(world.answer("server")["address"])
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    assignments = ""
    commands = shown()
    assert len(commands) == 7
    for one in commands:
        if "grpcurl" not in one.command:
            assignments += f"{one.command}\n"
            continue
        done = subprocess.run(
            ["sh", "-c", assignments + one.command.replace(ADDRESS, address)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == ("ERROR:" in one.lines), (one.command, said)
        position = 0
        for line in one.lines:
            position = said.find(line, position)
            assert position >= 0, (one.command, line, said)
            position += len(line)
