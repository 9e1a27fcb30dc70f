"""initdb, so that either a whole cluster appears or nothing does."""

import os
import shutil
import signal
from pathlib import Path

from eventfold_server.embedded import logs, sockets
from eventfold_server.embedded.accounts import Account
from eventfold_server.embedded.binaries import Binaries
from eventfold_server.embedded.directory import DataDirectory
from eventfold_server.embedded.errors import InitialisationFailed
from eventfold_server.embedded.reach import postgres_directory
from eventfold_server.processes import BARE_ENVIRONMENT, Child, Command

INITDB_TIMEOUT_SECONDS = 180.0
KILL_TIMEOUT_SECONDS = 5.0
DISK_FULL = "No space left on device"


async def initialise(
    directory: DataDirectory,
    binaries: Binaries,
    account: Account,
    *,
    unsafe_no_fsync_for_tests: bool,
) -> None:
    """Make the cluster in a directory beside its place, then move it there.

    initdb writes everything to disk before it ends, so a cluster that has its final name is
    whole, whatever happens to the machine. Raises InitialisationFailed; takes about 0.5 s.
    """
    staging = directory.staging()
    try:
        cluster = _prepare(staging, directory.password(), account)
        arguments = [
            f"--pgdata={postgres_directory(cluster, account)}",
            f"--username={sockets.SUPERUSER}",
            "--pwfile=../password",
            "--auth=scram-sha-256",
            # Bytes compared as bytes: an index must not change with the system's libraries.
            "--no-locale",
            "--encoding=UTF8",
            "--no-instructions",
        ]
        if unsafe_no_fsync_for_tests:
            arguments.append("--no-sync")
        # SIGKILL: a half-made cluster is thrown away, so initdb need not tidy up.
        command = Command(
            binaries.initdb, arguments, cluster, signal.SIGKILL, BARE_ENVIRONMENT, account.become
        )
        await _run(command, directory)
        if not (cluster / "PG_VERSION").is_file():
            raise InitialisationFailed(
                f"initdb succeeded but left no PG_VERSION in {cluster}",
                disk_full=False,
                log_tail=logs.tail(directory.initdb_log),
            )
        directory.adopt(cluster)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _prepare(staging: Path, password: str, account: Account) -> Path:
    """Lay out the staging directory: the empty cluster, and the password for initdb to read."""
    cluster = staging / "cluster"
    cluster.mkdir(mode=0o700)
    password_file = staging / "password"
    password_file.touch(mode=0o600, exist_ok=False)
    password_file.write_text(password + "\n", encoding="ascii")
    if account.switch:
        # The staging directory last: from then on the account may change what is in it.
        for path in (cluster, password_file, staging):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    return cluster


async def _run(command: Command, directory: DataDirectory) -> None:
    log, data_dir = directory.initdb_log, directory.root
    log.unlink(missing_ok=True)
    log_fd = directory.open_log(log)
    try:
        child = Child.launch(command, log_fd)
    finally:
        os.close(log_fd)
    try:
        status = await child.wait(INITDB_TIMEOUT_SECONDS)
    finally:
        if child.returncode is None:
            child.signal(signal.SIGKILL)
            await child.wait(KILL_TIMEOUT_SECONDS)
    if status == 0:
        return
    said = logs.tail(log)
    free_bytes = shutil.disk_usage(data_dir).free
    disk_full = any(DISK_FULL in line for line in said)
    if status is None:
        why = f"did not end within {INITDB_TIMEOUT_SECONDS:.0f} s"
    elif disk_full:
        why = f"failed because the disk is full ({free_bytes // 2**20} MiB are free again now)"
    else:
        why = f"failed with exit status {status}"
    raise InitialisationFailed(
        f"initdb for {data_dir} {why}; nothing of it was kept",
        data_dir=str(data_dir),
        exit_status=status,
        disk_full=disk_full,
        free_bytes=free_bytes,
        log_tail=said,
    )
