"""Tests of what is written in other languages, where the toolchain is missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import toolchains


def require(what: str, check: Callable[[], None]) -> None:
    """Skips without a toolchain, and says so; in CI that is an error."""
    try:
        check()
    except toolchains.ToolchainMissing as missing:
        if toolchains.may_be_skipped():
            pytest.skip(f"{what}: {missing}")
        raise
