"""Other servers that transforms may copy to: a file that names them, read at the start."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventfold_server.config import ConfigError
from eventfold_server.limits import TRANSFORM_TARGET_NAME_BYTES_MAX

_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{TRANSFORM_TARGET_NAME_BYTES_MAX}}}")
# What a table may say, and the type of it.
_KEYS: dict[str, type] = {
    "address": str, "token_file": str, "tls": bool, "tls_ca": str, "insecure": bool
}  # fmt: skip


@dataclass(frozen=True)
class TargetAddress:
    """Where another server is, and how to call it."""

    address: str
    token: str | None = field(default=None, repr=False)
    # False: plain text; a path: the certificate of its authority.
    tls: bool | Path = False
    # A token in plain text to an address that is not loopback.
    insecure: bool = False


def read_targets(path: Path | None) -> dict[str, TargetAddress]:
    """Other servers by name, of a TOML file with a table for each; ConfigError if it is none.

    Paths in it are relative to its own folder.
    """
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # What a parser says of a file can quote it.
        raise ConfigError(f"--transform-targets: {path.name}: {type(error).__name__}") from None
    return {name: _target(name, table, path.parent) for name, table in tables.items()}


def _target(name: str, table: Any, folder: Path) -> TargetAddress:
    where = f"--transform-targets: [{name}]"
    if not _NAME.fullmatch(name) or not isinstance(table, dict):
        raise ConfigError(f"{where}: a table, named with A-Z a-z 0-9 . _ -")
    for key, value in table.items():
        if not isinstance(value, _KEYS.get(key, ())):
            raise ConfigError(f"{where}: {key} is unknown, or of another type")
    if "address" not in table:
        raise ConfigError(f"{where}: address is required")
    token = None
    if "token_file" in table:
        try:
            token = (folder / table["token_file"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: token_file: {type(error).__name__}") from None
        if not token:
            raise ConfigError(f"{where}: token_file is empty")
    tls: bool | Path = table.get("tls", False)
    if "tls_ca" in table:
        tls = folder / table["tls_ca"]
    return TargetAddress(table["address"], token, tls, table.get("insecure", False))
