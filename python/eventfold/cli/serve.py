"""`eventfold serve`: the one command that knows the server."""

import enum
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eventfold.cli.connection import DEFAULT_SERVER
from eventfold.cli.failures import ExitCode, Failure
from eventfold.cli.output import print_json

if TYPE_CHECKING:
    from eventfold_server.config import ServerConfig

_DATA_DIR = Path("data")


class LogLevel(enum.StrEnum):
    """How much the server tells of itself."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Pooler(enum.StrEnum):
    """How a pooler shares connections."""

    TRANSACTION = "transaction"


def _program() -> str:
    """How this command was called, so that the lines to try next can be copied."""
    called = sys.argv[0]
    found = shutil.which("eventfold")
    if found is not None and Path(found).resolve() == Path(called).resolve():
        return "eventfold"
    if Path(called).name != "eventfold":
        return "python -m eventfold"
    relative = os.path.relpath(called)
    return called if relative.startswith("..") else relative


def _greet(address: str, config: "ServerConfig", as_json: bool) -> None:
    """Says where the server is, and what to try."""
    if as_json:
        print_json({"address": address, "pid": os.getpid()})
        sys.stdout.flush()
        return
    program = _program()
    options = "" if address == DEFAULT_SERVER else f" --server {address}"
    if config.tls_cert is not None:
        options += " --tls-ca CA.pem"
    if config.token_file is not None:
        options += " --token TOKEN"
    where = "the database" if config.data_dir is None else config.data_dir
    opened = """account-1 AccountOpened '{"holderId": "u-1"}' --expected 0"""
    lines = [
        f"eventfold serves on {address}, with its data in {where}. Ctrl-C stops it. Try next:",
        f"  {program} append {opened}{options}",
        f"  {program} read account-1{options}",
        f"  {program} streams{options}",
    ]
    print("\n".join(lines), flush=True)


def _run(config: "ServerConfig", as_json: bool) -> None:
    """Serves until a signal; its refusals to start become failures with a reason."""
    try:
        from eventfold_server.config import ConfigError  # noqa: PLC0415 - clients lack the server
        from eventfold_server.embedded import EmbeddedPostgresError  # noqa: PLC0415
        from eventfold_server.errors import Refusal  # noqa: PLC0415
        from eventfold_server.interceptors.identity import TokenFileError  # noqa: PLC0415
        from eventfold_server.interceptors.permissions import PermissionTableError  # noqa: PLC0415
        from eventfold_server.serve import run  # noqa: PLC0415
        from eventfold_server.storage.preparing import StorageRefused  # noqa: PLC0415
        from eventfold_server.workers import WorkerFailed  # noqa: PLC0415
    except ImportError as error:
        raise _not_installed(error) from error
    try:
        run(config, lambda address: _greet(address, config, as_json))
    except ConfigError as error:
        raise Failure("INVALID_OPTIONS", str(error), ExitCode.USAGE) from error
    except TokenFileError as error:
        raise Failure("INVALID_TOKEN_FILE", str(error), ExitCode.USAGE) from error
    except StorageRefused as error:
        raise Failure("STORAGE_REFUSED", str(error), ExitCode.NOT_STARTED) from error
    except WorkerFailed as error:
        raise Failure("WORKER_FAILED", str(error), ExitCode.NOT_STARTED) from error
    except PermissionTableError as error:
        raise Failure("BUG", str(error), ExitCode.NOT_STARTED) from error
    except Refusal as error:
        facts = {name: str(value) for name, value in error.facts.items()}
        passes = error.reason in ("STORAGE_UNAVAILABLE", "KEYS_UNAVAILABLE")
        code = ExitCode.UNAVAILABLE if passes else None
        raise Failure(error.reason, error.message, code or ExitCode.NOT_STARTED, facts) from error
    except EmbeddedPostgresError as error:
        message, *said = str(error).splitlines()
        raise Failure(
            "EMBEDDED_POSTGRES",
            f"{type(error).__name__}: {message}",
            ExitCode.NOT_STARTED,
            {"excerpt": "\n".join(said)} if said else {},
        ) from error


def _not_installed(error: ImportError) -> Failure:
    return Failure(
        "SERVER_NOT_INSTALLED",
        "the server is an extra: pip install 'eventfold[server]'",
        ExitCode.NOT_STARTED,
        {"missing": error.name or str(error)},
    )


def _settings(given: list[str]) -> dict[str, str]:
    """The settings by name; of two with one name the last."""
    for one in given:
        if not one.partition("=")[0].strip() or "=" not in one:
            raise Failure(
                "INVALID_OPTIONS",
                f"--postgres-setting takes NAME=VALUE, not {one!r}",
                ExitCode.USAGE,
            )
    pairs = (one.partition("=") for one in given)
    return {name.strip(): value.strip() for name, _, value in pairs}


_Listen = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Address; port 0 takes a free one.")
]
_DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of an embedded PostgreSQL, made when it is missing. Default: data, "
        "without --database-url.",
    ),
]
_DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="EVENTFOLD_DATABASE_URL",
        help="Any PostgreSQL 15 or later instead; no extension and no superuser is needed.",
    ),
]
_Pooler = Annotated[
    Pooler | None,
    typer.Option(
        help="What --database-url leads through: a pooler, such as PgBouncer, in transaction mode.",
    ),
]
_DirectDatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="EVENTFOLD_DIRECT_DATABASE_URL",
        help="The same database without the pooler, for migrations; with --pooler.",
    ),
]
_Schema = Annotated[str, typer.Option(help="Schema of the database that holds the store.")]
_QueryRole = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE",
        help="A role of PostgreSQL that may read the views of projections; the embedded one "
        "makes it.",
    ),
]
_TlsCert = Annotated[
    Path | None, typer.Option(help="Certificate chain for TLS, PEM; with --tls-key.")
]
_TlsKey = Annotated[Path | None, typer.Option(help="Its private key, PEM.")]
_TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="Who may call: lines of name, SHA-256 of the token, permissions (read, write, "
        "admin, personal) joined by commas. SIGHUP reads it again.",
    ),
]
_TransformTargets = Annotated[
    Path | None,
    typer.Option(
        help="Other servers that transforms may copy to: TOML, a table for each with address, "
        "token_file, tls, tls_ca, insecure.",
    ),
]
_MasterKeyFile = Annotated[
    Path | None,
    typer.Option(
        help="Master keys that wrap the data keys of subjects: lines of name:key, 32 bytes in "
        "base64. The first wraps, the others unwrap. Only its owner may read it. Or in the "
        "environment: EVENTFOLD_MASTER_KEY.",
    ),
]
_MasterKey = Annotated[
    str | None,
    typer.Option(
        metavar="PROVIDER:KEY",
        help="A master key that a key provider holds instead: vault:NAME, a key of Vault's "
        "transit engine.",
    ),
]
_VaultUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Where Vault is, https://HOST:PORT.")
]
_VaultTokenFile = Annotated[
    Path | None, typer.Option(help="A file with a token of Vault; read for each call.")
]
_VaultCa = Annotated[
    Path | None, typer.Option(help="Certificate of Vault's authority, PEM. Default: the system's.")
]
_VaultMount = Annotated[str, typer.Option(help="Path of the transit engine.")]
_KeyStoreUrl = Annotated[
    str | None,
    typer.Option(
        envvar="EVENTFOLD_KEY_STORE_URL",
        help="Another PostgreSQL for data keys, so that backups of the log hold none. Default: "
        "a schema of its own in the log's database.",
    ),
]
_FenceLedger = Annotated[
    str | None,
    typer.Option(
        envvar="EVENTFOLD_FENCE_LEDGER",
        metavar="file:PATH|URL",
        help="Where the ledger of erased subjects is kept, apart from log and keys: a file, or "
        "a PostgreSQL. Default: the file fences in --data-dir, else in the log's database.",
    ),
]
_BackupHorizon = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=36_500,
        envvar="EVENTFOLD_BACKUP_HORIZON",
        metavar="DAYS",
        help="Days after which no backup holds a key that was destroyed; receipts of erasures say "
        "so. Default: receipts say that nobody knows.",
    ),
]
_MetricsListen = Annotated[
    str | None,
    typer.Option(
        envvar="EVENTFOLD_METRICS_LISTEN",
        metavar="HOST:PORT",
        help="Address for metrics, plain HTTP for Prometheus at /metrics: figures of personal data "
        "and of the log, of no person. Default: none.",
    ),
]
_Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Allow plain text, and calls without tokens, on an address that others reach.",
    ),
]
_Reflection = Annotated[
    bool | None,
    typer.Option(
        "--reflection/--no-reflection",
        help="gRPC reflection. Default: on for plain text on loopback, else off.",
    ),
]
_UnsafeDurability = Annotated[
    bool,
    typer.Option(
        "--unsafe-durability",
        help="Accept a PostgreSQL that may lose acknowledged appends; for tests.",
    ),
]
_DatabaseWait = Annotated[
    float,
    typer.Option(min=0, help="Seconds to wait for a PostgreSQL that is not up yet."),
]
_Grace = Annotated[
    float,
    typer.Option(min=0, help="Seconds that calls under way get to end when it stops."),
]
_Workers = Annotated[
    int,
    typer.Option(
        min=1,
        envvar="EVENTFOLD_WORKERS",
        help="Server processes that share the address, to use several cores.",
    ),
]
_PostgresSetting = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Setting of the embedded PostgreSQL, such as shared_buffers=2GB; may be repeated. "
        "Those that durability rests on cannot be changed.",
    ),
]
_Level = Annotated[LogLevel, typer.Option(help="What to log to stderr.")]
_AddressAsJson = Annotated[
    bool,
    typer.Option("--json", help="Print address and process id as JSON once calls are answered."),
]


def serve(
    listen: _Listen = DEFAULT_SERVER,
    data_dir: _DataDir = None,
    database_url: _DatabaseUrl = None,
    pooler: _Pooler = None,
    direct_database_url: _DirectDatabaseUrl = None,
    schema: _Schema = "eventfold",
    query_role: _QueryRole = None,
    tls_cert: _TlsCert = None,
    tls_key: _TlsKey = None,
    token_file: _TokenFile = None,
    transform_targets: _TransformTargets = None,
    master_key_file: _MasterKeyFile = None,
    master_key: _MasterKey = None,
    vault_url: _VaultUrl = None,
    vault_token_file: _VaultTokenFile = None,
    vault_ca: _VaultCa = None,
    vault_mount: _VaultMount = "transit",
    key_store_url: _KeyStoreUrl = None,
    fence_ledger: _FenceLedger = None,
    backup_horizon: _BackupHorizon = None,
    metrics_listen: _MetricsListen = None,
    insecure: _Insecure = False,
    reflection: _Reflection = None,
    unsafe_durability: _UnsafeDurability = False,
    database_wait: _DatabaseWait = 30.0,
    grace: _Grace = 10.0,
    workers: _Workers = 1,
    postgres_setting: _PostgresSetting = None,
    log_level: _Level = LogLevel.INFO,
    as_json: _AddressAsJson = False,
) -> None:
    """Run a server until Ctrl-C or SIGTERM; without options on a PostgreSQL of its own."""
    try:
        from eventfold_server.config import ServerConfig  # noqa: PLC0415 - clients lack the server
        from eventfold_server.logs import log_to_stderr  # noqa: PLC0415
    except ImportError as error:
        raise _not_installed(error) from error
    log_to_stderr(log_level.upper())
    _run(
        ServerConfig(
            listen=listen,
            data_dir=_DATA_DIR if data_dir is None and database_url is None else data_dir,
            database_url=database_url,
            pooler=pooler,
            direct_database_url=direct_database_url,
            schema=schema,
            query_role=query_role,
            tls_cert=tls_cert,
            tls_key=tls_key,
            token_file=token_file,
            transform_targets=transform_targets,
            master_key_file=master_key_file,
            master_key=master_key,
            vault_url=vault_url,
            vault_token_file=vault_token_file,
            vault_ca=vault_ca,
            vault_mount=vault_mount,
            key_store_url=key_store_url,
            fence_ledger=fence_ledger,
            backup_horizon_days=backup_horizon,
            metrics_listen=metrics_listen,
            insecure=insecure,
            reflection=reflection,
            unsafe_durability=unsafe_durability,
            database_wait_s=database_wait,
            grace_s=grace,
            workers=workers,
            postgres_settings=_settings(postgres_setting or []),
        ),
        as_json,
    )
