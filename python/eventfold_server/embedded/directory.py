"""The data directory: what lies in it, who may use it, and the lock that one server holds.

    DIR/                  0700, of the user who made it
      postgres.lock       locked (flock) by the running server; holds its pid
      postgres.password   the superuser's password
      postgres.url        the URL while it runs, for pg_dump, psql and the like
      postgres.log        what it wrote, and postgres.log.1 before that; initdb.log
      cluster/            PostgreSQL's own data directory, of the account it runs as
      cluster.new-*/      an initdb that did not finish; removed at the next start

Root may run a server in a directory of an ordinary user, so no file here is opened through a
symbolic link: that user could point one at root's files. For the same reason the files lie in
DIR itself and not in directories below it, which could be links too.
"""

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from eventfold_server.embedded.errors import DataDirectoryInUse, DataDirectoryUnusable

PASSWORD_BYTES = 32


class DataDirectory:
    """A data directory, from `open` (which takes the lock) to `close`."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.cluster = self.root / "cluster"
        self.server_log = self.root / "postgres.log"
        self.initdb_log = self.root / "initdb.log"
        self._password_file = self.root / "postgres.password"
        self._url_file = self.root / "postgres.url"
        self._lock_file = self.root / "postgres.lock"
        self._lock_fd: int | None = None
        self._owner = (os.geteuid(), os.getegid())

    def open(self) -> None:
        """Make what is missing and take the lock; raises at once when another has it."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.root.stat()
            if status.st_mode & stat.S_IWOTH:
                raise DataDirectoryUnusable(
                    f"every user of this machine may write in {self.root}: use a directory of "
                    f"your own",
                    data_dir=str(self.root),
                )
            if (self.root / "PG_VERSION").exists():
                raise DataDirectoryUnusable(
                    f"{self.root} is itself a PostgreSQL data directory, made by something "
                    f"else: name another, or start that PostgreSQL and use --database-url",
                    data_dir=str(self.root),
                )
            self._owner = (status.st_uid, status.st_gid)
            self._lock()
            for unfinished in self.root.glob("cluster.new-*"):
                shutil.rmtree(unfinished, ignore_errors=True)
        except OSError as error:
            self.close()
            raise DataDirectoryUnusable(
                f"cannot use {self.root} as the data directory: {error}",
                data_dir=str(self.root),
                errno=error.errno,
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def open_log(self, path: Path) -> int:
        """A descriptor that appends to a log of this directory."""
        return self._open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def password(self) -> str:
        """The superuser's password; made before the first initdb, kept from then on."""
        try:
            found = self._read(self._password_file).strip()
        except FileNotFoundError:
            found = ""
        if found:
            return found
        if self.cluster.exists():
            raise DataDirectoryUnusable(
                f"{self._password_file} is missing or empty: put it back from a backup, or set "
                f"a new password with 'postgres --single' and write it there",
                password_file=str(self._password_file),
            )
        made = secrets.token_hex(PASSWORD_BYTES)
        self._write(self._password_file, made + "\n")
        return made

    def write_url(self, url: str) -> None:
        """Leave the URL for tools; it is removed when the server stops."""
        self._write(self._url_file, url + "\n")

    def read_url(self) -> str | None:
        """The URL that a server which was killed left behind."""
        try:
            return self._read(self._url_file).strip()
        except (OSError, UnicodeDecodeError):
            return None

    def remove_url(self) -> None:
        """Forget the URL."""
        self._url_file.unlink(missing_ok=True)

    def major_version(self) -> str | None:
        """The major version that made the cluster, None when there is no cluster yet.

        Raises DataDirectoryUnusable when `cluster` is there but is not a whole cluster.
        """
        if not self.cluster.exists():
            return None
        try:
            return (self.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DataDirectoryUnusable(
                f"{self.cluster} is not a PostgreSQL data directory ({error}): restore it from "
                f"a backup, or move it away to start with an empty store",
                cluster_dir=str(self.cluster),
            ) from error

    def staging(self) -> Path:
        """A new private directory for an initdb."""
        return Path(tempfile.mkdtemp(prefix="cluster.new-", dir=self.root))

    def adopt(self, cluster: Path) -> None:
        """Make a finished cluster the directory's own, in one step that survives a crash."""
        cluster.rename(self.cluster)
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _lock(self) -> None:
        fd = self._open(self._lock_file, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise DataDirectoryInUse(
                f"{self.root} is in use by another server (pid {holder}): stop it, or name "
                f"another directory",
                data_dir=str(self.root),
                holder_pid=holder,
            ) from None
        self._lock_fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def _read(self, path: Path) -> str:
        with os.fdopen(self._open(path, os.O_RDONLY), encoding="ascii") as file:
            return file.read(4096)

    def _write(self, path: Path, text: str) -> None:
        """Replace a file in one step, so that a crash leaves the old or the new one."""
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        fd = self._open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)

    def _open(self, path: Path, flags: int) -> int:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if flags & os.O_CREAT and os.geteuid() == 0:
            # The directory's owner must be able to run the server without root later.
            os.fchown(fd, *self._owner)
        return fd
