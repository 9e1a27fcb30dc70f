"""The Go stubs of the contract."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
CONTRACT = "eventfold/v1"
# The module of the Go client, and where it stands; `go_package` of the protos begins with it.
MODULE = "eventfold.dev/go"
CLIENT = Path("clients/go")
# Pins the plugins of protoc, as tools of a module of their own: users of the client need none.
TOOLS = ROOT / "tools"


def write(tree: Path) -> None:
    """Writes messages and gRPC stubs of all protos, with the plugins that `tools/go.mod` pins."""
    target = tree / CLIENT
    target.mkdir(parents=True)
    plugins = tree.parent / "plugins"
    plugins.mkdir()
    subprocess.run(["go", "build", "-o", f"{plugins}{os.sep}", "tool"], check=True, cwd=TOOLS)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}"]
    for plugin in ("go", "go-grpc"):
        command += [
            f"--plugin=protoc-gen-{plugin}={plugins / f'protoc-gen-{plugin}'}",
            f"--{plugin}_out={target}",
            f"--{plugin}_opt=module={MODULE}",
        ]
    command += [str(proto) for proto in sorted((PROTO / CONTRACT).glob("*.proto"))]
    subprocess.run(command, check=True, cwd=ROOT)
