"""Goal: the extension imports, and says of the core what the core's source says."""

from __future__ import annotations

import re
from pathlib import Path

from eventfold import _core

ROOT = Path(__file__).resolve().parents[2]


def test_every_limit_of_the_core_is_handed_out() -> None:
    source = (ROOT / "rust/eventfold-core/src/limits.rs").read_text(encoding="utf-8")
    names = re.findall(r"^pub const (\w+):", source, re.MULTILINE)
    assert names, "the pattern no longer finds the constants"
    assert list(_core.limits()) == [name.lower() for name in names]
    assert all(value > 0 for value in _core.limits().values())


def test_the_version_is_the_workspaces() -> None:
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{_core.version()}"\n' in manifest


def test_the_error_is_an_exception_of_its_own() -> None:
    assert issubclass(_core.CoreError, Exception)
    assert _core.CoreError.__module__ == "eventfold._core"
