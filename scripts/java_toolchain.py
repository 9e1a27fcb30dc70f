"""Whether there are a JDK and a Maven here that can build the Java client.

python scripts/java_toolchain.py    exit 1, and say what is missing, if there are not
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import toolchains
from toolchains import ToolchainMissing

# `maven.compiler.release` of clients/java/pom.xml.
JAVA_MIN = 17
# What the plugins of clients/java/pom.xml run on.
MAVEN_MIN = (3, 8)


def require() -> None:
    """Raises ToolchainMissing unless `javac` and `mvn` can build the client."""
    javac = _told("javac", "-version", r"javac (\d+)")
    if javac < (JAVA_MIN,):
        raise ToolchainMissing(f"Java {JAVA_MIN} or later is needed: javac is {javac[0]}")
    maven = _told("mvn", "--version", r"Apache Maven (\d+)\.(\d+)")
    if maven < MAVEN_MIN:
        shown = ".".join(map(str, maven))
        raise ToolchainMissing(f"Maven 3.8 or later is needed: mvn is {shown}")


def _told(command: str, option: str, pattern: str) -> tuple[int, ...]:
    if shutil.which(command) is None:
        raise ToolchainMissing(f"Java {JAVA_MIN} and Maven are needed: {command} was not found")
    told = subprocess.run([command, option], check=True, capture_output=True, text=True).stdout
    found = re.search(pattern, told)
    if found is None:
        raise ToolchainMissing(f"{command} tells no version: {told[:80]!r}")
    return tuple(map(int, found.groups()))


def main() -> int:
    """Returns the exit code."""
    return toolchains.said(require)


if __name__ == "__main__":
    sys.exit(main())
