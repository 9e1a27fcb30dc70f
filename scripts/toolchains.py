"""What the scripts that look for the toolchain of a language share."""

from __future__ import annotations

import os
from collections.abc import Callable


class ToolchainMissing(Exception):
    """A language cannot be built here; says what is there and what is needed."""


def may_be_skipped() -> bool:
    """Whether work is left out where its toolchain is missing: everywhere but in CI."""
    return not os.environ.get("CI")


def shown(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def said(require: Callable[[], None]) -> int:
    """Says what is missing, if something is; returns the exit code."""
    try:
        require()
    except ToolchainMissing as missing:
        print(missing)
        return 1
    return 0
