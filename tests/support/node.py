"""Builds and runs what is written in TypeScript."""

from __future__ import annotations

import subprocess
from pathlib import Path

import node_toolchain

from . import toolchains
from .locks import locked

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "clients/typescript"
REPORTER = Path(__file__).with_name("node_reporter.mjs")


def require() -> None:
    """Skips without Node.js, and says so; in CI that is an error."""
    toolchains.require("the TypeScript client", node_toolchain.require)


def build(package: Path, *projects: str) -> None:
    """Installs what a package needs, and compiles it; one process at a time does so."""
    with locked(package):
        node_toolchain.install(package)
        for project in projects:
            command = ["node_modules/.bin/tsc", "-p", project]
            done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def run_tests(
    package: Path, folder: str, environment: dict[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    """Runs the tests of a package, which tell of each as `tests.support.outcomes` reads it."""
    files = sorted(str(path) for path in (package / folder).rglob("*.test.js"))
    return subprocess.run(
        ["node", "--test", f"--test-reporter={REPORTER}", *options, *files],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
