"""What a server is told at its start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ServerConfig:
    """Everything that `eventfold serve` can be told; see its help for meaning and defaults."""

    listen: str = "127.0.0.1:4141"
    # One of the two: a directory for an embedded PostgreSQL, or the URL of any other.
    data_dir: Path | None = None
    database_url: str | None = None
    # `transaction`: `database_url` leads to a pooler that gives sessions away after each
    # transaction, and `direct_database_url` to the same database without it.
    pooler: str | None = None
    direct_database_url: str | None = None
    schema: str = "eventfold"
    # A role of PostgreSQL that may read the views of projections.
    query_role: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None
    # Names other servers that transforms may copy to.
    transform_targets: Path | None = None
    # What wraps the data keys of subjects, at most one of three: a file of master keys, a provider
    # and its key (`vault:NAME`), or the environment (`EVENTFOLD_MASTER_KEY`).
    master_key_file: Path | None = None
    master_key: str | None = None
    # Of the transit engine that `vault:NAME` means.
    vault_url: str | None = None
    vault_token_file: Path | None = None
    vault_ca: Path | None = None
    vault_mount: str = "transit"
    # The URL of another PostgreSQL for data keys. None: a schema of its own beside the log's.
    key_store_url: str | None = None
    # `file:PATH`, or the URL of a PostgreSQL, for the ledger of fences.
    fence_ledger: str | None = None
    # `host:port` on which metrics are told over HTTP; None: nowhere.
    metrics_listen: str | None = None
    # Days after which no backup holds a key that was destroyed; None: nobody has said so.
    backup_horizon_days: int | None = None
    # Plaintext, or calls without tokens, on an address that is not loopback.
    insecure: bool = False
    # None: on for plaintext on loopback, off otherwise.
    reflection: bool | None = None
    # Accept a PostgreSQL that may lose acknowledged appends.
    unsafe_durability: bool = False
    # Seconds to wait for a PostgreSQL of `database_url` that cannot be reached yet.
    database_wait_s: float = 30.0
    # Seconds that calls under way get to end when the server stops.
    grace_s: float = 10.0
    # Settings of the embedded PostgreSQL, in place of those that it is tuned with.
    postgres_settings: Mapping[str, str] = field(default_factory=dict)
    # Server processes that share the address; 1: this process serves by itself.
    workers: int = 1


class ConfigError(Exception):
    """The options contradict each other, or are not safe together."""
