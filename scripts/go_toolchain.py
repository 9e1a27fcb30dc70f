"""Whether there is a Go here that can build the Go modules of the repository.

python scripts/go_toolchain.py    exit 1, and say what is missing, if there is not
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import toolchains
from toolchains import ToolchainMissing, shown

# Its line `go` is the oldest Go for all modules of the repository.
MODULE_FILE = Path(__file__).resolve().parent.parent / "tools/go.mod"


def require() -> None:
    """Raises ToolchainMissing unless the command `go` can build the modules of the repository."""
    needed = _version(r"^go (\S+)$", MODULE_FILE.read_text(encoding="utf-8"))
    if shutil.which("go") is None:
        raise ToolchainMissing(f"Go {shown(needed)} or later is needed: go was not found")
    command = ["go", "env", "GOVERSION"]
    # In a folder without a module, where no line of one can make `go` fetch another toolchain.
    told = subprocess.run(command, check=True, cwd="/", capture_output=True, text=True).stdout
    found = _version(r"^go(\d+\.\d+(?:\.\d+)?)", told)
    if found < needed:
        raise ToolchainMissing(f"Go {shown(needed)} or later is needed: go is {shown(found)}")


def _version(pattern: str, text: str) -> tuple[int, ...]:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"no version is told in {text[:80]!r}"
    return tuple(int(part) for part in found.group(1).split("."))


def main() -> int:
    """Returns the exit code."""
    return toolchains.said(require)


if __name__ == "__main__":
    sys.exit(main())
