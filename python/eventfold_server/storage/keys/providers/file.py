"""Master keys in a file or in the environment of the server.

A line holds one key: a name, a colon, and 32 bytes in base64. The first wraps; the others unwrap
what they wrapped before they were replaced. Empty lines, and those that begin with `#`, say
nothing.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventfold_server.config import ConfigError
from eventfold_server.errors import Refusal
from eventfold_server.limits import MASTER_KEY_NAME_BYTES_MAX, MASTER_KEYS_MAX
from eventfold_server.storage.keys.providers import KeyProvider, Wrapped, unavailable

ENVIRONMENT = "EVENTFOLD_MASTER_KEY"
MASTER_KEY_BYTES = 32
_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{MASTER_KEY_NAME_BYTES_MAX}}}")
_NONCE_BYTES = 12
# How many others a file may be open to: none.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FileKeys(KeyProvider):
    """Master keys that the server itself has in memory; AES-256-GCM, a random nonce for each."""

    def __init__(self, text: str, source: str) -> None:
        """`source`: where the text comes from, as messages name it; raises ConfigError."""
        self._keys = _parse(text, source)
        # The first, since a dict keeps its order.
        self._newest = next(iter(self._keys))

    async def wrap_all(self, keys: Sequence[tuple[bytes, bytes]]) -> list[Wrapped]:
        """See `KeyProvider`."""
        return [Wrapped(self._newest, self._wrap(key, context)) for key, context in keys]

    async def unwrap_all(self, keys: Sequence[tuple[Wrapped, bytes]]) -> list[bytes | Refusal]:
        """See `KeyProvider`."""
        return [self._unwrap(key, context) for key, context in keys]

    async def newest(self) -> str:
        """See `KeyProvider`."""
        return self._newest

    async def lacks(self, master_keys: Sequence[str]) -> list[str]:
        """See `KeyProvider`."""
        return [name for name in master_keys if name not in self._keys]

    def _wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._keys[self._newest].encrypt(nonce, key, context)

    def _unwrap(self, key: Wrapped, context: bytes) -> bytes | Refusal:
        cipher = self._keys.get(key.master_key)
        if cipher is None:
            return unavailable("no_master_key", key.master_key, "the master key is not configured")
        try:
            return cipher.decrypt(key.wrapped[:_NONCE_BYTES], key.wrapped[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            return unavailable("not_unwrapped", key.master_key, "a data key does not unwrap")


def read_master_keys(path: Path) -> str:
    """The text of a file of master keys; ConfigError if it cannot be read, or others can read it.

    The file is looked at through its descriptor: what is checked is what is read.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"--master-key-file: {path} is no file")
            if mode & _OTHERS:
                raise ConfigError(
                    f"--master-key-file: {path} is open to others than its owner (mode "
                    f"{stat.S_IMODE(mode):04o}); chmod 600 it"
                )
            return file.read().decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--master-key-file: {path}: {_reason(error)}") from None


def _reason(error: OSError | UnicodeDecodeError) -> str:
    """Why a file was not read, without anything of what stands in it."""
    return (error.strerror or "not read") if isinstance(error, OSError) else "is not ASCII"


def _parse(text: str, source: str) -> dict[str, AESGCM]:
    """Ciphers by master key, in their order; ConfigError names a line and nothing in it."""
    keys: dict[str, AESGCM] = {}
    names: set[str] = set()
    for number, line in enumerate(text.replace(",", "\n").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, encoded = line.partition(":")
        where = f"{source}, line {number}"
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{where}: `name:key`, where a name has 1 to {MASTER_KEY_NAME_BYTES_MAX} of "
                "A-Z a-z 0-9 . _ -"
            )
        key = _decoded(encoded.strip())
        if key is None:
            # The name is not told: who forgot it has the key in its place.
            raise ConfigError(f"{where}: the key is not {MASTER_KEY_BYTES} bytes in base64")
        if len(set(key)) == 1:
            raise ConfigError(f"{where}: key {name} is one byte over and over")
        if name in names:
            raise ConfigError(f"{where}: a key named {name} stands there twice")
        names.add(name)
        keys[f"file:{name}:{_mark(key)}"] = AESGCM(key)
    if not keys:
        raise ConfigError(f"{source} holds no key")
    if len(keys) > MASTER_KEYS_MAX:
        raise ConfigError(f"{source} holds {len(keys)} keys; at most {MASTER_KEYS_MAX} are allowed")
    return keys


def _decoded(encoded: str) -> bytes | None:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == MASTER_KEY_BYTES else None


def _mark(key: bytes) -> str:
    """Tells one key from another of the same name, and nothing of the key."""
    return hmac.new(key, b"eventfold master key", hashlib.sha256).hexdigest()[:8]
