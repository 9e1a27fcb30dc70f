"""Goal: root and ordinary users get the same database, wherever their directories lie.

Method: as root, the scenarios of test_lifecycle.py run once more in a process of `nobody`, and
data directories are placed where the account cannot walk, or given to other owners. Run as an
ordinary user, these tests are skipped, since they cannot change the account.
"""

# Blocking calls are fine here: nothing else runs in the loop.
# ruff: noqa: ASYNC240

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from eventfold_server.embedded import (
    BinariesNotFound,
    DataDirectoryUnusable,
    EmbeddedPostgres,
    accounts,
    binaries,
    reach,
)

NOBODY = 65534
HERE = Path(__file__).parent
ROOT_ONLY = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, to become another user; the other tests ran as one"
)
# Without the interpreter's own library, which may lie in root's home.
PACKAGES = [path for path in sys.path if path and not path.startswith(sys.base_prefix)]
FALLBACK = accounts.Account("nobody", NOBODY, NOBODY, switch=True)


def interpreter_for_everybody():
    """This interpreter, or another of the same version, that `nobody` can run."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    directories = dict.fromkeys([*os.get_exec_path(), "/usr/local/bin", "/usr/bin"])
    for path in (Path(sys.executable), *(Path(directory, name) for directory in directories)):
        if path.exists() and accounts.may_run(path.resolve(), FALLBACK):
            return path
    return None


@pytest.fixture
def private_dir(tmp_path):
    """A directory of root that nobody else may pass through, as root's home often is."""
    made = tmp_path / "private"
    made.mkdir(mode=0o700)
    return made


@ROOT_ONLY
@pytest.mark.timeout(110)
def test_lifecycle_as_an_ordinary_user():
    for needed in (HERE, Path(accounts.__file__), Path(asyncpg.__file__)):
        closed = accounts.first_closed_parent(needed, FALLBACK)
        if closed is not None:
            pytest.skip(f"an ordinary user cannot pass through {closed}")
    interpreter = interpreter_for_everybody()
    if interpreter is None:
        pytest.skip(f"no interpreter like {sys.executable} that an ordinary user can reach")
    home = tempfile.mkdtemp(prefix="eventfold-test-")
    os.chown(home, NOBODY, NOBODY)
    try:
        command = [str(interpreter), "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"--basetemp={home}/t", str(HERE / "test_lifecycle.py")],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd=HERE,
            env={
                "PATH": os.environ["PATH"],
                "HOME": home,
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONPATH": os.pathsep.join(PACKAGES),
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    finally:
        shutil.rmtree(home)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@ROOT_ONLY
async def test_data_directory_below_a_private_one(private_dir):
    data_dir = private_dir / "data"
    for _ in range(2):
        async with EmbeddedPostgres(data_dir) as postgres:
            connection = await asyncpg.connect(postgres.dsn)
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            await connection.execute("SELECT pg_reload_conf()")
            await connection.close()
    assert stat.S_IMODE(private_dir.stat().st_mode) == 0o700
    assert data_dir.stat().st_uid == 0
    assert (data_dir / "cluster").stat().st_uid not in (0, data_dir.stat().st_uid)


@ROOT_ONLY
async def test_owner_of_the_data_directory_runs_it(tmp_path):
    """And can run it without root afterwards: every file is his."""
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, NOBODY, NOBODY)
    async with EmbeddedPostgres(data_dir) as postgres:
        assert Path(f"/proc/{postgres.pid}").stat().st_uid == NOBODY
    assert {path.stat().st_uid for path in data_dir.rglob("*")} == {NOBODY}


@ROOT_ONLY
async def test_cluster_of_root_is_refused(tmp_path):
    (tmp_path / "data" / "cluster").mkdir(parents=True)
    with pytest.raises(DataDirectoryUnusable, match="belongs to root"):
        await EmbeddedPostgres(tmp_path / "data").start()


@ROOT_ONLY
async def test_wheel_below_a_private_directory(private_dir, tmp_path, monkeypatch):
    """As in a virtual environment under root's home: a copy is used, made once."""
    installed = Path(binaries.importlib.util.find_spec(binaries.PACKAGE).origin).parent.parent
    for name in (binaries.PACKAGE, binaries.LIBRARIES):
        shutil.copytree(installed / name, private_dir / name)
    monkeypatch.syspath_prepend(private_dir)
    copies = Path(tempfile.mkdtemp(prefix="eventfold-test-"))
    copies.chmod(0o755)
    try:
        monkeypatch.setattr(binaries.find, "__defaults__", (copies,))
        made = set()
        for name in ("one", "two"):
            async with EmbeddedPostgres(private_dir / name) as postgres:
                command = Path(f"/proc/{postgres.pid}/cmdline").read_bytes()
                program = Path(os.fsdecode(command.split(b"\0")[0]))
                made.add(program.relative_to(copies).parts[0])
        assert made == {path.name for path in copies.iterdir()}
        copies.joinpath(*made).chmod(0o777)
        with pytest.raises(BinariesNotFound, match="written by others"):
            await EmbeddedPostgres(private_dir / "three").start()
    finally:
        shutil.rmtree(copies)


@ROOT_ONLY
def test_closed_parent_without_linux(private_dir, monkeypatch):
    monkeypatch.setattr(reach.platform, "system", lambda: "Darwin")
    with pytest.raises(DataDirectoryUnusable, match="may not pass through") as caught:
        reach.postgres_directory(private_dir / "data" / "cluster", FALLBACK)
    closed = Path(caught.value.facts["closed_dir"])
    assert closed in private_dir.parents or closed == private_dir


def test_cluster_of_another_user(tmp_path, monkeypatch):
    (tmp_path / "cluster").mkdir()
    monkeypatch.setattr(accounts.os, "geteuid", lambda: 4242)
    with pytest.raises(DataDirectoryUnusable, match="the server runs as uid 4242"):
        accounts.choose(tmp_path, tmp_path / "cluster")


async def test_wheel_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(binaries.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BinariesNotFound, match="--database-url"):
        await EmbeddedPostgres(tmp_path / "data").start()
