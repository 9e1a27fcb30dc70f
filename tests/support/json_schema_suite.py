"""The official test suite of JSON Schema, downloaded once and kept in the clone."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_LOCK = Path(__file__).with_suffix(".txt")
_KEPT = ROOT / ".build" / "json-schema-suite-4.26.0"
# Where the suite says that its other documents are.
REMOTE = "http://localhost:1234/"

DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


@dataclass(frozen=True)
class Group:
    """A schema of the suite, and what is to become of some values under it."""

    name: str
    schema: Any
    tests: list[dict[str, Any]]


def folder() -> Path:
    """The suite; the first call downloads it, with pip and by its hash."""
    if not _KEPT.exists():
        _KEPT.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_KEPT.parent) as scratch:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            options = ["--no-binary", "jsonschema", "--require-hashes", "--dest", scratch]
            subprocess.run([*pip, *options, "-r", _LOCK], check=True)
            [archive] = Path(scratch).glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                packed.extractall(scratch, filter="data")
            [unpacked] = Path(scratch).glob("jsonschema-*/json")
            unpacked.rename(_KEPT)
    return _KEPT


def groups(draft: str) -> Iterator[Group]:
    """All that a draft requires."""
    for file in sorted((folder() / "tests" / draft).glob("*.json")):
        for group in json.loads(file.read_text(encoding="utf-8")):
            schema = group["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": DRAFTS[draft], **schema}
            yield Group(f"{file.stem}: {group['description']}", schema, group["tests"])


def remote(uri: str) -> str | None:
    """The document of a URI, if it is one of the suite's."""
    path = folder() / "remotes" / uri.removeprefix(REMOTE)
    if not uri.startswith(REMOTE) or not path.is_file():
        return None
    return path.read_text(encoding="utf-8")
