"""The settings that the embedded PostgreSQL runs with, and why.

They travel on the command line, where they win over postgresql.conf and ALTER SYSTEM. What the
promises rest on cannot be changed by anybody; what only makes it fast can, by `overrides`. All
other settings stay PostgreSQL's own, and editable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eventfold_server.embedded import memory

MIB = 1024 * 1024
SHARED_BUFFERS_MIB_MIN = 32
SHARED_BUFFERS_MIB_MAX = 2048
PORT = 5432


@dataclass(frozen=True)
class ServerSettings:
    """What varies from one embedded server to the next."""

    socket_directory: Path
    cluster_name: str
    max_connections: int
    unsafe_no_fsync_for_tests: bool
    overrides: Mapping[str, str] = field(default_factory=dict)


# What the promises of the server rest on; nobody turns it off by accident.
_DURABLE = {
    # An acknowledged append is on disk: all three are needed for that.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Times, messages and their parsing must not depend on the machine's settings.
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # To standard error, which the server bounds in size; the collector cannot do that.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    # Personal data must not reach the log: neither statements with their literals, nor the
    # DETAIL lines that quote rows and keys.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


def command_line(settings: ServerSettings) -> list[str]:
    """The `-c name=value` arguments for `postgres`."""
    # PostgreSQL takes names in any case.
    overrides = {name.lower(): value for name, value in settings.overrides.items()}
    values = tuned(memory.usable_bytes()) | overrides | _fixed(settings)
    return [part for name, value in values.items() for part in ("-c", f"{name}={value}")]


def tuned(memory_bytes: int) -> dict[str, str]:
    """What suits an event store on a machine with so much memory; may be overridden.

    docs/tuning.md has the same for other PostgreSQLs, and what was measured.
    """
    return {
        # What is in here costs a third less to read than what the operating system caches, but
        # the server beside it needs memory as well: an eighth, which is taken as it is used.
        "shared_buffers": f"{shared_buffers_mib(memory_bytes)}MB",
        # After each checkpoint whole pages go to the log; compressed they are about half.
        "wal_compression": "on",
        # Bounds what is replayed after a crash: 3 s for 550 MB of log were measured on two
        # cores, so that the default, 1 GB, would not keep a recovery under 5 s.
        "max_wal_size": "512MB",
    }


def _fixed(settings: ServerSettings) -> dict[str, str]:
    """What belongs to this cluster, and what the promises rest on."""
    values = {
        # Reachable through the socket only: no port to collide on, nothing on any network.
        "listen_addresses": "",
        "unix_socket_directories": str(settings.socket_directory),
        # The directory is private already; this holds if somebody opens it.
        "unix_socket_permissions": "0700",
        # Names the file inside the directory; several servers never share the directory.
        "port": str(PORT),
        # Marks every process of this cluster in its title, for telling leftovers of ours from
        # other people's PostgreSQL.
        "cluster_name": settings.cluster_name,
        # Pools of all workers, tools and a second server; each idle one costs about 2 MB.
        "max_connections": str(settings.max_connections),
        **_DURABLE,
    }
    if settings.unsafe_no_fsync_for_tests:
        values |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return values


def shared_buffers_mib(memory_bytes: int) -> int:
    """An eighth of the memory, between the two bounds, in MiB."""
    eighth = memory_bytes // 8 // MIB
    return max(SHARED_BUFFERS_MIB_MIN, min(SHARED_BUFFERS_MIB_MAX, eighth))


# What cannot be overridden.
FIXED_SETTINGS = frozenset(
    _fixed(ServerSettings(Path("/"), "", 0, unsafe_no_fsync_for_tests=False))
)
