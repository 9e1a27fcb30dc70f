"""Which key provider a configuration asks for."""

import os
from importlib import metadata

from eventfold_server.config import ConfigError, ServerConfig
from eventfold_server.storage.keys.providers import KeyProvider
from eventfold_server.storage.keys.providers.file import ENVIRONMENT, FileKeys, read_master_keys
from eventfold_server.storage.keys.providers.vault import VaultAddress, VaultKeys

# Distributions name providers of their own here: each a function of the text behind `NAME:` in
# `--master-key` that returns a `KeyProvider`, or raises `ConfigError`.
ENTRY_POINTS = "eventfold.key_providers"


def check_key_options(config: ServerConfig) -> None:
    """Refuses options about keys that contradict each other, or cannot be followed."""
    provider = choose_provider(config)
    if provider is None and (config.key_store_url is not None or config.fence_ledger is not None):
        raise ConfigError(
            "--key-store-url and --fence-ledger go with a master key: --master-key-file, "
            f"--master-key or {ENVIRONMENT}"
        )


def choose_provider(config: ServerConfig) -> KeyProvider | None:
    """The provider of the master keys; None: there are none. Raises ConfigError."""
    told = os.environ.get(ENVIRONMENT)
    given = {
        "--master-key-file": config.master_key_file is not None,
        "--master-key": config.master_key is not None,
        ENVIRONMENT: bool(told),
    }
    named = [name for name, is_given in given.items() if is_given]
    if len(named) > 1:
        raise ConfigError(f"one of {' and '.join(named)} says the master key, not both")
    name, _, rest = (config.master_key or "").partition(":")
    if name != "vault" and any((config.vault_url, config.vault_token_file, config.vault_ca)):
        raise ConfigError("--vault-url, --vault-token-file and --vault-ca go with vault:NAME")
    if config.master_key_file is not None:
        return FileKeys(read_master_keys(config.master_key_file), "--master-key-file")
    if told:
        return FileKeys(told, ENVIRONMENT)
    if config.master_key is None:
        return None
    if name != "vault":
        return _of_entry_point(name, rest)
    if config.vault_url is None or config.vault_token_file is None:
        raise ConfigError("--master-key vault:NAME needs --vault-url and --vault-token-file")
    return VaultKeys(
        VaultAddress(
            config.vault_url,
            rest,
            config.vault_token_file,
            config.vault_ca,
            config.vault_mount,
        )
    )


def _of_entry_point(name: str, rest: str) -> KeyProvider:
    found = list(metadata.entry_points(group=ENTRY_POINTS, name=name))
    if len(found) != 1:
        known = sorted({"vault", *(one.name for one in metadata.entry_points(group=ENTRY_POINTS))})
        raise ConfigError(f"--master-key takes PROVIDER:KEY, where PROVIDER is {', '.join(known)}")
    provider = found[0].load()(rest)
    if not isinstance(provider, KeyProvider):
        raise ConfigError(f"--master-key: {name} makes no KeyProvider")
    return provider
