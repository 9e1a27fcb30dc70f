"""The settings that the embedded PostgreSQL runs with, and why.

They travel on the command line: there they win over postgresql.conf and ALTER SYSTEM, so
nobody turns off by accident what the promises rest on; everything else stays editable.
"""

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
SHARED_BUFFERS_MIB_MIN = 128
SHARED_BUFFERS_MIB_MAX = 512
PORT = 5432


@dataclass(frozen=True)
class ServerSettings:
    """What varies from one embedded server to the next."""

    socket_directory: Path
    cluster_name: str
    max_connections: int
    unsafe_no_fsync_for_tests: bool


def command_line(settings: ServerSettings) -> list[str]:
    """The `-c name=value` arguments for `postgres`."""
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
        # Server's pool, listeners, tools and a second server; each idle one costs about 2 MB.
        "max_connections": str(settings.max_connections),
        # The operating system caches too: a quarter of memory would only take it from others.
        "shared_buffers": f"{shared_buffers_mib()}MB",
        # An acknowledged append is on disk: all three are needed for that.
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        # After each checkpoint whole pages go to the log; compressed they are a third.
        "wal_compression": "on",
        # Bounds what is replayed after a crash: 3 s for 550 MB of log were measured on two
        # cores, so that the default, 1 GB, would not keep a recovery under 5 s.
        "max_wal_size": "512MB",
        # Times, messages and their parsing must not depend on the machine's settings.
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        # To standard error, which the server bounds in size; the collector cannot do that.
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m [%p] ",
        # Personal data must not reach the log: neither statements with their literals, nor
        # the DETAIL lines that quote rows and keys.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
    if settings.unsafe_no_fsync_for_tests:
        values |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return [part for name, value in values.items() for part in ("-c", f"{name}={value}")]


def shared_buffers_mib() -> int:
    """An eighth of the memory this process may use, between the two bounds, in MiB."""
    eighth = _memory_bytes() // 8 // MIB
    return max(SHARED_BUFFERS_MIB_MIN, min(SHARED_BUFFERS_MIB_MAX, eighth))


def _memory_bytes() -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        # A container's limit, when there is one ("max" stands for none).
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        return min(machine, int(limit))
    except (OSError, ValueError):
        return machine
