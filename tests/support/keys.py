"""Key stores and master keys for tests."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from eventfold_server.storage.keys.database import KeyStoreAddress
from eventfold_server.storage.keys.providers.file import FileKeys
from eventfold_server.storage.keys.store import KeyStore


def master_key(name: str = "main") -> str:
    """A line of a file of master keys, with a new key."""
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


def master_key_file(folder: Path, *lines: str) -> Path:
    """A file of master keys that only its owner can read."""
    path = folder / "master-keys"
    path.write_text("\n".join(lines or [master_key()]))
    path.chmod(0o600)
    return path


def key_store(url: str, schema: str, *lines: str) -> KeyStore:
    """A key store, not opened, with these master keys."""
    return KeyStore(KeyStoreAddress(url, schema), FileKeys("\n".join(lines), "test"))
