"""The Go stubs of the contract, and whether there is a toolchain to write and run Go with."""

from __future__ import annotations

import os
import re
import shutil
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


class ToolchainMissing(Exception):
    """There is no Go that can build this; says what is there and what is needed."""


def require_toolchain() -> None:
    """Raises ToolchainMissing unless the command `go` can build the modules of the repository."""
    needed = _version(r"^go (\S+)$", (TOOLS / "go.mod").read_text(encoding="utf-8"))
    if shutil.which("go") is None:
        raise ToolchainMissing(f"Go {_shown(needed)} or later is needed: go was not found")
    command = ["go", "env", "GOVERSION"]
    # In a folder without a module, where no line of one can make `go` fetch another toolchain.
    told = subprocess.run(command, check=True, cwd="/", capture_output=True, text=True).stdout
    found = _version(r"^go(\d+\.\d+(?:\.\d+)?)", told)
    if found < needed:
        raise ToolchainMissing(f"Go {_shown(needed)} or later is needed: go is {_shown(found)}")


def may_be_skipped() -> bool:
    """Whether work on Go is left out where the toolchain is missing: everywhere but in CI."""
    return not os.environ.get("CI")


def _version(pattern: str, text: str) -> tuple[int, ...]:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"no version is told in {text[:80]!r}"
    return tuple(int(part) for part in found.group(1).split("."))


def _shown(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


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


def main() -> int:
    """Tells shell scripts whether Go can be built here: 0, or 1 and why not."""
    try:
        require_toolchain()
    except ToolchainMissing as missing:
        print(missing)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
