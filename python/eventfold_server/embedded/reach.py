"""How PostgreSQL names its data directory when its account cannot walk the path to it."""

import platform
from pathlib import Path

from eventfold_server.embedded.accounts import Account, first_closed_parent
from eventfold_server.embedded.errors import DataDirectoryUnusable

WORKING_DIRECTORY = "/proc/self/cwd"


def postgres_directory(cluster: Path, account: Account) -> str:
    """What to pass as `-D`, for a process whose working directory is `cluster`.

    The path itself where the account can reach it. Otherwise, on Linux, the name of the
    working directory: the launcher enters it while it still is root, and this name leads
    there without passing through the parents. So root can keep the data directory private, or
    below its home directory, and no mode of any parent is changed. Elsewhere there is no such
    name: raises DataDirectoryUnusable with the first directory that is closed.
    """
    closed = first_closed_parent(cluster, account)
    if closed is None:
        return str(cluster)
    if platform.system() == "Linux" and Path(WORKING_DIRECTORY).exists():
        return WORKING_DIRECTORY
    raise DataDirectoryUnusable(
        f"PostgreSQL runs as {account.name} here, which may not pass through {closed}: "
        f"choose another data directory, run as an ordinary user, or chmod o+x {closed}",
        cluster_dir=str(cluster),
        closed_dir=str(closed),
        account=account.name,
    )
