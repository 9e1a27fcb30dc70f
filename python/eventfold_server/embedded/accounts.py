"""Which account PostgreSQL runs as, and what that account can reach.

PostgreSQL refuses to run as root. An ordinary user runs it as himself. Root runs it as, in
this order: the owner of the cluster that is already there; the owner of the data directory,
if that is not root; the account `eventfold`, if the machine has one; `nobody`. No account is
ever made: adding users is for the administrator or the package, not for starting a server.
`nobody` works everywhere, but other services may run as it too and could then read the
cluster's files; `useradd --system eventfold` before the first start avoids that.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from eventfold_server.embedded.errors import DataDirectoryUnusable

DEDICATED_ACCOUNT = "eventfold"
FALLBACK_ACCOUNT = "nobody"


@dataclass(frozen=True)
class Account:
    """A user of the machine; `switch` when the child must become it."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def become(self) -> tuple[int, int] | None:
        """User and group id for the launcher, None when they are the server's already."""
        return (self.uid, self.gid) if self.switch else None


def choose(data_dir: Path, cluster_dir: Path) -> Account:
    """The account to run PostgreSQL as; raises DataDirectoryUnusable when none will do."""
    cluster_owner = cluster_dir.stat().st_uid if cluster_dir.exists() else None
    if os.geteuid() != 0:
        if cluster_owner not in (None, os.geteuid()):
            raise DataDirectoryUnusable(
                f"{cluster_dir} belongs to uid {cluster_owner}, the server runs as uid "
                f"{os.geteuid()}: run it as that user (or as root), or name another directory",
                cluster_dir=str(cluster_dir),
                owner_uid=cluster_owner,
                server_uid=os.geteuid(),
            )
        return _by_uid(os.geteuid(), switch=False)
    if cluster_owner == 0:
        raise DataDirectoryUnusable(
            f"{cluster_dir} belongs to root, as which PostgreSQL refuses to run: "
            f"chown -R it to the account that it should run as",
            cluster_dir=str(cluster_dir),
            owner_uid=0,
        )
    if cluster_owner is not None:
        return _by_uid(cluster_owner, switch=True)
    directory_owner = data_dir.stat().st_uid
    if directory_owner != 0:
        return _by_uid(directory_owner, switch=True)
    for name in (DEDICATED_ACCOUNT, FALLBACK_ACCOUNT):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise DataDirectoryUnusable(
        f"PostgreSQL refuses to run as root, and this machine has neither an account "
        f"{DEDICATED_ACCOUNT} nor {FALLBACK_ACCOUNT}: chown {data_dir} to an ordinary user",
        data_dir=str(data_dir),
    )


def first_closed_parent(path: Path, account: Account) -> Path | None:
    """The topmost directory above `path` that `account` may not pass through, or None.

    Judged by owner, group and mode (access lists are not looked at), because asking the
    kernel would need a process of that account.
    """
    if not account.switch:
        return None
    for parent in reversed(path.resolve().parents):
        if not _may(parent.stat(), account, stat.S_IXOTH):
            return parent
    return None


def may_run(program: Path, account: Account) -> bool:
    """Whether `account` reaches `program` and may read and execute it."""
    if first_closed_parent(program, account) is not None:
        return False
    return not account.switch or _may(program.stat(), account, stat.S_IXOTH | stat.S_IROTH)


def _may(status: os.stat_result, account: Account, wanted_other_bits: int) -> bool:
    if status.st_uid == account.uid:
        shift = 6
    elif status.st_gid == account.gid:
        shift = 3
    else:
        shift = 0
    return (status.st_mode >> shift) & wanted_other_bits == wanted_other_bits


def _by_uid(uid: int, *, switch: bool) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        # initdb looks its own name up and gives up without one.
        raise DataDirectoryUnusable(
            f"uid {uid} has no entry in the machine's user database, which PostgreSQL needs: "
            f"add one, or use another account",
            uid=uid,
        ) from None
    return Account(entry.pw_name, uid, entry.pw_gid, switch)
