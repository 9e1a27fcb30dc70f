"""Whether there is a Node.js here that can build and test the TypeScript client.

python scripts/node_toolchain.py    exit 1, and say what is missing, if there is not
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import toolchains
from toolchains import ToolchainMissing, shown

ROOT = Path(__file__).resolve().parent.parent
# Its `engines` say the oldest Node.js for the client and its tests.
PACKAGE = ROOT / "clients/typescript/package.json"


def require() -> None:
    """Raises ToolchainMissing unless `node` and `npm` are there and new enough."""
    engine = json.loads(PACKAGE.read_text(encoding="utf-8"))["engines"]["node"]
    needed = _version(engine)
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            raise ToolchainMissing(f"Node.js {shown(needed)} or later: {command} was not found")
    told = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout
    found = _version(told)
    if found < needed:
        raise ToolchainMissing(f"Node.js {shown(needed)} or later: node is {shown(found)}")


def install(package: Path) -> None:
    """Installs what the lock of a package names, unless that is done."""
    lock = package / "package-lock.json"
    mark = package / "node_modules/.package-lock.json"
    if mark.exists() and mark.stat().st_mtime >= lock.stat().st_mtime:
        return
    command = ["npm", "ci", "--ignore-scripts", "--no-progress"]
    subprocess.run(command, check=True, cwd=package, stdout=subprocess.DEVNULL)


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"\d+(?:\.\d+)*", text)
    assert found, f"no version is told in {text[:80]!r}"
    return tuple(int(part) for part in found.group().split("."))


def main() -> int:
    """Returns the exit code."""
    return toolchains.said(require)


if __name__ == "__main__":
    sys.exit(main())
