"""Master keys in the transit engine of HashiCorp Vault, or of what speaks like it (OpenBao).

Data keys travel to it and back over TLS; its master keys never leave it. What is wrapped is
Vault's own text, `vault:v1:...`, which names the version of the key.
"""

import base64
import binascii
import json
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from eventfold_server.config import ConfigError
from eventfold_server.errors import Refusal
from eventfold_server.limits import VAULT_BATCH_KEYS_MAX, VAULT_CALL_S
from eventfold_server.storage.keys.providers import KeyProvider, Wrapped, unavailable

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,126}[A-Za-z0-9_])?")
_MOUNT = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/=:_-]+")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class VaultAddress:
    """Where a transit engine is, and which of its keys is the master key."""

    url: str
    key: str
    # Read again for each call: tokens of Vault are replaced while servers run.
    token_file: Path
    # The certificate of its authority; None: those that the system trusts.
    authority: Path | None = None
    mount: str = "transit"

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ConfigError("--vault-url takes https://HOST:PORT")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ConfigError("--vault-url: data keys travel there, so it must be https")
        if not _NAME.fullmatch(self.key):
            raise ConfigError("--master-key: vault:NAME, where NAME is a key of the transit engine")
        if not _MOUNT.fullmatch(self.mount):
            raise ConfigError("--vault-mount is the path of a transit engine, such as transit")


class VaultKeys(KeyProvider):
    """A key of a transit engine as the master key."""

    def __init__(self, address: VaultAddress) -> None:
        """Nothing is opened yet; raises ConfigError."""
        self._address = address
        try:
            verify = ssl.create_default_context(cafile=address.authority)
        except OSError as error:
            raise ConfigError(f"--vault-ca: {error.strerror or type(error).__name__}") from None
        # The environment is not asked for proxies: data keys go where the operator said.
        self._client = httpx.AsyncClient(
            base_url=address.url,
            verify=verify,
            timeout=VAULT_CALL_S,
            trust_env=False,
            follow_redirects=False,
        )
        self._token()

    async def wrap_all(self, keys: Sequence[tuple[bytes, bytes]]) -> list[Wrapped]:
        """See `KeyProvider`."""
        items = [
            {"plaintext": _text(key), "associated_data": _text(context)} for key, context in keys
        ]
        results = await self._batches("encrypt", items)
        return [self._wrapped(result) for result in results]

    async def unwrap_all(self, keys: Sequence[tuple[Wrapped, bytes]]) -> list[bytes | Refusal]:
        """See `KeyProvider`."""
        mine = [
            (key, context) for key, context in keys if key.master_key == self._named(key.wrapped)
        ]
        items = [
            {"ciphertext": key.wrapped.decode("ascii"), "associated_data": _text(context)}
            for key, context in mine
        ]
        results = iter(await self._batches("decrypt", items))
        return [
            self._unwrapped(key, next(results))
            if key.master_key == self._named(key.wrapped)
            else self._refusal("no_master_key", "another master key wrapped the data key", key)
            for key, _ in keys
        ]

    async def newest(self) -> str:
        """See `KeyProvider`. Vault is asked to wrap nothing of worth, which needs no more rights
        than wrapping does.
        """
        return (await self.wrap(bytes(32), b"eventfold probe")).master_key

    async def lacks(self, master_keys: Sequence[str]) -> list[str]:
        """See `KeyProvider`. Which of its versions may still be used Vault says where one is."""
        begins = f"vault:{self._address.key}:v"
        return [name for name in master_keys if not name.startswith(begins)]

    async def close(self) -> None:
        """See `KeyProvider`."""
        await self._client.aclose()

    async def _batches(self, act: str, items: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
        """Vault's answer to each item, from as many calls as it takes."""
        results: list[dict[str, Any]] = []
        for first in range(0, len(items), VAULT_BATCH_KEYS_MAX):
            results += await self._call(act, items[first : first + VAULT_BATCH_KEYS_MAX])
        return results

    async def _call(self, act: str, items: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
        path = f"/v1/{self._address.mount}/{act}/{self._address.key}"
        try:
            token = self._token()
        except ConfigError as error:
            raise self._refusal("forbidden", str(error)) from None
        try:
            answer = await self._client.post(
                path,
                content=json.dumps({"batch_input": items}),
                headers={"X-Vault-Token": token, "Content-Type": "application/json"},
            )
        except httpx.HTTPError as error:
            problem = "timeout" if isinstance(error, httpx.TimeoutException) else "unreachable"
            # What the library says may hold the URL, and nothing of the keys.
            raise self._refusal(problem, f"Vault: {type(error).__name__}") from None
        results = _results(answer)
        # A batch of which some items failed has a status of its own, and all results.
        if results is None or len(results) != len(items):
            raise self._refused(answer.status_code)
        return results

    def _refused(self, status: int) -> Refusal:
        """Why Vault did not answer as it should, told by its status: what it says in words may
        quote the request.
        """
        match status:
            case 400 | 404:
                problem, said = "no_master_key", "has no such key, or the engine is not there"
            case 403:
                problem, said = "forbidden", "does not let the token use the key"
            case 503:
                problem, said = "sealed", "is sealed, or down for maintenance"
            case 429 | 472 | 473:
                problem, said = "unavailable", "is a standby, or busy"
            case _:
                problem, said = "unavailable", f"answers with status {status}"
        return self._refusal(problem, f"Vault {said}")

    def _wrapped(self, result: dict[str, Any]) -> Wrapped:
        text = result.get("ciphertext")
        if not isinstance(text, str) or not text.isascii():
            raise self._refusal("not_wrapped", "Vault does not wrap a data key")
        name = self._named(text.encode())
        if name is None:
            raise self._refusal("not_wrapped", "what Vault wrapped is not of its form")
        return Wrapped(name, text.encode())

    def _unwrapped(self, key: Wrapped, result: dict[str, Any]) -> bytes | Refusal:
        try:
            return base64.b64decode(result["plaintext"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            return self._refusal("not_unwrapped", "Vault does not unwrap a data key", key)

    def _named(self, wrapped: bytes) -> str | None:
        """The master key that wrapped a key, by Vault's text; None: it is no such text."""
        match = _CIPHERTEXT.fullmatch(wrapped.decode("ascii", "replace"))
        return None if match is None else f"vault:{self._address.key}:v{match[1]}"

    def _refusal(self, problem: str, message: str, key: Wrapped | None = None) -> Refusal:
        name = f"vault:{self._address.key}" if key is None else key.master_key
        return unavailable(problem, name, message)

    def _token(self) -> str:
        try:
            token = self._address.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--vault-token-file: {type(error).__name__}") from None
        if not token or not token.isprintable():
            raise ConfigError("--vault-token-file holds no token")
        return token


def _results(answer: httpx.Response) -> list[dict[str, Any]] | None:
    """What Vault says of each item; None: nothing."""
    try:
        results = answer.json()["data"]["batch_results"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        return None
    return results


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
