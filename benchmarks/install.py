"""Installs the peers and the load generator into `benchmarks/.peers`, which git ignores.

Versions are pinned: `peers/requirements.txt` with digests, `peers/package-lock.json`, the version
of UmaDB's crate below with the lock file that it was published with, `loadgen/Cargo.lock`.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALLED = HERE / ".peers"
UMADB_VERSION = "0.7.8"

PYTHON = INSTALLED / "venv" / "bin" / "python"
NODE_MODULES = INSTALLED / "npm" / "node_modules"
MESSAGE_DB = NODE_MODULES / "@eventide" / "message-db"
UMADB = INSTALLED / "umadb" / "bin" / "umadb"
LOADGEN = INSTALLED / "loadgen" / "release" / "eventfold-loadgen"


class Missing(Exception):
    """A tool that an installation needs is not there, or it failed."""


def loadgen() -> Path:
    """The compiled load generator."""
    _need("cargo")
    _run(
        "Building the load generator",
        ["cargo", "build", "--release", "--locked", "--manifest-path", HERE / "loadgen/Cargo.toml"],
        {"CARGO_TARGET_DIR": str(INSTALLED / "loadgen")},
    )
    return LOADGEN


def umadb() -> Path:
    """UmaDB's server, from its crate; the first time takes many minutes."""
    _need("cargo")
    if not UMADB.exists() or UMADB_VERSION not in _output([UMADB, "--version"]):
        install = ["cargo", "install", "umadb", "--locked", "--force"]
        _run(
            f"Building UmaDB {UMADB_VERSION}",
            [*install, "--version", UMADB_VERSION, "--root", INSTALLED / "umadb"],
            {"CARGO_TARGET_DIR": str(INSTALLED / "umadb-build"), "PROTOC": str(_protoc())},
        )
        shutil.rmtree(INSTALLED / "umadb-build", ignore_errors=True)
    return UMADB


def _protoc() -> Path:
    """The protoc of the package grpcio-tools, as the program that UmaDB's build asks for."""
    program = INSTALLED / "protoc"
    INSTALLED.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grpc_tools.protoc "$@"\n')
    program.chmod(0o755)
    return program


def python() -> Path:
    """The Python of an environment with the clients of the peers."""
    lock = HERE / "peers" / "requirements.txt"
    stamp = INSTALLED / "venv" / "installed.txt"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        _run(
            "Making an environment for the peers", [sys.executable, "-m", "venv", PYTHON.parents[1]]
        )
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run("Installing the clients of the peers", [*pip, "--require-hashes", "-r", lock])
        stamp.write_text(lock.read_text())
    return PYTHON


def npm() -> Path:
    """The modules of Message DB and emmett."""
    _need("node")
    _need("npm")
    folder = NODE_MODULES.parent
    lock = HERE / "peers" / "package-lock.json"
    stamp = folder / "installed.json"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / "peers" / name, folder / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-progress", "--prefix", folder]
        _run("Installing Message DB and emmett", command)
        stamp.write_text(lock.read_text())
    return NODE_MODULES


def versions() -> dict[str, str]:
    """Versions of all that is installed."""
    found = {}
    if UMADB.exists():
        found["umadb (server)"] = UMADB_VERSION
    if PYTHON.exists():
        names = ("umadb", "eventsourcing", "psycopg")
        code = f"from importlib import metadata as m; print([m.version(n) for n in {names}])"
        installed = dict(zip(names, ast.literal_eval(_output([PYTHON, "-c", code])), strict=True))
        found |= {f"{name} (peers)": version for name, version in installed.items()}
    for name in ("@eventide/message-db", "@event-driven-io/emmett-postgresql"):
        package = NODE_MODULES / name / "package.json"
        if package.exists():
            found[name] = json.loads(package.read_text())["version"]
    if NODE_MODULES.exists() and shutil.which("node"):
        found["node"] = _output(["node", "--version"]).strip()
    return found


def _need(tool: str) -> None:
    if shutil.which(tool) is None:
        raise Missing(f"{tool} was not found")


def _output(command: Sequence[str | Path]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _run(
    what: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
) -> None:
    print(what, flush=True)
    try:
        subprocess.run(command, check=True, env={**os.environ, **(environment or {})})
    except subprocess.CalledProcessError as error:
        raise Missing(f"{what}: {error}") from error
