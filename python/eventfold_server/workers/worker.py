"""One worker: `python -m eventfold_server.workers.worker`, with its order on standard input.

It is a fresh interpreter, since neither gRPC nor the threads of the core survive a fork. It tells
on standard output that it serves, or why it does not.
"""

import sys

from eventfold_server.config import ConfigError
from eventfold_server.errors import Refusal
from eventfold_server.interceptors.identity import TokenFileError
from eventfold_server.interceptors.permissions import PermissionTableError
from eventfold_server.logs import log_to_stderr
from eventfold_server.serve import run
from eventfold_server.storage.preparing import StorageRefused
from eventfold_server.workers.order import Order, Report

# What a server may raise that cannot start on a database of others.
_REFUSALS = (ConfigError, TokenFileError, StorageRefused, PermissionTableError, Refusal)


def main() -> int:
    """Serves until SIGTERM; returns the exit status."""
    order = Order.load(sys.stdin.buffer.read())
    log_to_stderr(order.log_level, order.name)
    try:
        run(order.config, lambda _address: _report(Report()), share_address=True)
    except _REFUSALS as error:
        kind = "" if isinstance(error, Refusal) else f"{type(error).__name__}: "
        _report(Report(f"{kind}{error}"))
        return 1
    return 0


def _report(report: Report) -> None:
    sys.stdout.buffer.write(report.dump())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
