"""Goal: whatever lies in the data directory, a start either works or says clearly why not.

Method: the states that crashes and mistakes leave behind are made by hand, then a start is
tried: pid files of the dead, of zombies and of strangers, half-made clusters, other versions.
"""

# Blocking calls are fine here: nothing else runs in the loop.
# ruff: noqa: ASYNC110, ASYNC220, ASYNC221, ASYNC230

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventfold_server.embedded import (
    DataDirectoryInUse,
    DataDirectoryUnusable,
    EmbeddedPostgres,
    InitialisationFailed,
    StartFailed,
    WrongMajorVersion,
    accounts,
    binaries,
    directory,
    leftovers,
    logs,
    sockets,
)
from eventfold_server.processes import child

RECOVERY_SECONDS_MAX = 20.0


def account_of(cluster):
    """The account that the cluster runs as."""
    return accounts.choose(cluster.data_dir, cluster.directory)


async def start_within_bound(cluster):
    began = time.monotonic()
    async with EmbeddedPostgres(cluster.data_dir) as postgres:
        assert time.monotonic() - began < RECOVERY_SECONDS_MAX
        return postgres.pid


def as_account(account):
    """Arguments that make subprocess run a command as the account."""
    if not account.switch:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def write_pid_file(cluster, account, text):
    path = cluster.directory / "postmaster.pid"
    path.write_text(text)
    os.chown(path, account.uid, account.gid)
    path.chmod(0o600)


async def test_pid_file_of_a_stranger(cluster):
    """The pid was used again, by a program of the same account, for which PostgreSQL refuses."""
    account = account_of(cluster)
    stranger = subprocess.Popen(["sleep", "60"], **as_account(account))
    try:
        write_pid_file(cluster, account, f"{stranger.pid}\n{cluster.directory}\n1\n5432\n/tmp\n\n")
        await start_within_bound(cluster)
        assert stranger.poll() is None, "the stranger must not be signalled"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("text", ["", "nonsense\n", f"{2**80}\n", "-7\n"])
async def test_torn_pid_file(cluster, text):
    account = account_of(cluster)
    write_pid_file(cluster, account, text)
    await start_within_bound(cluster)


# Runs a command as another account in a directory, and never reaps it.
CARELESS_PARENT = """
import os, sys, time
directory, uid, gid, *command = sys.argv[1:]
os.chdir(directory)
pid = os.fork()
if pid == 0:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    os.execv(command[0], command)
print(pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("hidden", [False, True])
async def test_zombie_postmaster(cluster, monkeypatch, hidden):
    """Its parent never reaps it, so its pid stays and PostgreSQL takes it for alive.

    `hidden`: as root in a container without CAP_SYS_PTRACE, which sees no working directories.
    """
    if hidden:
        monkeypatch.setattr(leftovers, "_is_postgres_in", lambda *_: None)
    account = account_of(cluster)
    sockets_dir = sockets.make_directory(account)
    postgres = str(binaries.find(account).postgres)
    command = [postgres, "-D", "/proc/self/cwd", "-c", "listen_addresses=", "-k", str(sockets_dir)]
    who = [str(account.uid), str(account.gid)]
    holder = subprocess.Popen(
        [sys.executable, "-c", CARELESS_PARENT, str(cluster.directory), *who, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        pid = int(holder.stdout.readline())
        pid_file = cluster.directory / "postmaster.pid"
        while not (pid_file.exists() and "ready" in pid_file.read_text()):
            await asyncio.sleep(0.01)
        # While it lives it is somebody's PostgreSQL, which must not be touched.
        with pytest.raises(DataDirectoryInUse, match="did not start"):
            await EmbeddedPostgres(cluster.data_dir).start()
        os.kill(pid, signal.SIGKILL)
        cluster.seconds_until_gone()
        os.kill(pid, 0)
        assert pid_file.read_text().startswith(f"{pid}\n")
        await start_within_bound(cluster)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
        sockets.remove_directory(sockets_dir, account)


async def test_pid_file_of_the_dead(cluster, hold):
    holder = hold()
    os.kill(holder.pid, signal.SIGSTOP)
    for pid in [*cluster.processes(), holder.process.pid]:
        os.kill(pid, signal.SIGKILL)
    holder.process.wait()
    cluster.seconds_until_gone()
    assert (cluster.directory / "postmaster.pid").exists()
    await start_within_bound(cluster)


async def test_other_major_version(cluster):
    (cluster.directory / "PG_VERSION").write_text("17\n")
    with pytest.raises(WrongMajorVersion, match=r"made by PostgreSQL 17, this one is 18") as caught:
        await EmbeddedPostgres(cluster.data_dir).start()
    assert caught.value.facts["cluster_major"] == "17"


async def test_not_a_cluster(fresh_cluster):
    fresh_cluster.directory.mkdir(parents=True, mode=0o700)
    os.chown(fresh_cluster.directory, *((65534, 65534) if os.geteuid() == 0 else (-1, -1)))
    with pytest.raises(DataDirectoryUnusable, match="not a PostgreSQL data directory"):
        await EmbeddedPostgres(fresh_cluster.data_dir).start()


async def test_lost_password(cluster):
    (cluster.data_dir / "postgres.password").unlink()
    with pytest.raises(DataDirectoryUnusable, match=r"postgres\.password is missing"):
        await EmbeddedPostgres(cluster.data_dir).start()


async def test_directories_that_are_refused(tmp_path):
    tmp_path.joinpath("PG_VERSION").write_text("18\n")
    with pytest.raises(DataDirectoryUnusable, match="made by something else"):
        await EmbeddedPostgres(tmp_path).start()
    everybody = tmp_path / "everybody"
    everybody.mkdir()
    everybody.chmod(0o777)
    with pytest.raises(DataDirectoryUnusable, match="every user"):
        await EmbeddedPostgres(everybody).start()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(DataDirectoryUnusable, match="cannot use"):
        await EmbeddedPostgres(file).start()


async def test_broken_cluster_tells_what_postgres_said(cluster):
    (cluster.directory / "global" / "pg_control").unlink()
    with pytest.raises(StartFailed, match="pg_control") as caught:
        await EmbeddedPostgres(cluster.data_dir).start()
    assert any("pg_control" in line for line in caught.value.log_tail)
    assert "shut down" not in str(caught.value), "lines of earlier runs do not belong there"


def with_initdb(monkeypatch, tmp_path, script):
    """Replace initdb by a shell script, found through the usual way."""
    fake = tmp_path / "initdb"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    tmp_path.chmod(0o711)
    find = binaries.find
    monkeypatch.setattr(
        binaries, "find", lambda account: dataclasses.replace(find(account), initdb=fake)
    )


async def test_initdb_that_crashes_half_way(fresh_cluster, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        with_initdb(patch, tmp_path, "mkdir base; echo 18 > PG_VERSION; kill -9 $$")
        with pytest.raises(InitialisationFailed, match="nothing of it was kept") as caught:
            await EmbeddedPostgres(fresh_cluster.data_dir).start()
    assert caught.value.facts["exit_status"] == -signal.SIGKILL
    assert not fresh_cluster.directory.exists()
    # What a kill of the whole machine would leave.
    (fresh_cluster.data_dir / "cluster.new-left" / "cluster" / "base").mkdir(parents=True)
    await start_within_bound(fresh_cluster)
    assert not list(fresh_cluster.data_dir.glob("cluster.new-*"))


async def test_initdb_that_hangs(fresh_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("eventfold_server.embedded.initialise.INITDB_TIMEOUT_SECONDS", 0.5)
    with_initdb(monkeypatch, tmp_path, "exec sleep 60")
    with pytest.raises(InitialisationFailed, match="did not end within"):
        await EmbeddedPostgres(fresh_cluster.data_dir).start()


async def test_full_disk(cluster, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount the small file system that this needs")
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(small)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let the test mount a file system")
    try:
        with pytest.raises(InitialisationFailed, match="the disk is full") as caught:
            await EmbeddedPostgres(small / "data").start()
        assert caught.value.facts["disk_full"] is True
        assert not list((small / "data").glob("cluster*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


async def test_launcher_refuses_a_foreign_parent(tmp_path, monkeypatch):
    """The server died before the parent-death signal was set: nobody would notice later."""
    monkeypatch.setattr(child.os, "getpid", lambda: 1)
    with (tmp_path / "log").open("wb") as log:
        launched = child.Child.launch(
            child.Command(Path("/bin/sleep"), ["60"], tmp_path, signal.SIGQUIT, {}),
            log.fileno(),
        )
        assert await launched.wait(10) == 125
    assert "the server ended" in (tmp_path / "log").read_text()
    assert launched.signal(signal.SIGKILL) is False


async def test_waiting_gives_up_and_can_be_repeated(tmp_path):
    with Path(os.devnull).open("wb") as log:
        launched = child.Child.launch(
            child.Command(Path("/bin/sleep"), ["60"], tmp_path, signal.SIGKILL, {}),
            log.fileno(),
        )
    assert await launched.wait(0.05) is None
    assert launched.signal(signal.SIGKILL)
    assert await launched.wait(5) == -signal.SIGKILL


def test_log_is_bounded(tmp_path):
    log = tmp_path / "postgres.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 100)
        assert not logs.shorten(log, bytes_max=400)
        offset = logs.size(log)
        writer.write(b"one more\n")
        assert logs.tail(log, offset) == ["one more"]
        assert logs.shorten(log, bytes_max=400)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "postgres.log.1").read_bytes().endswith(b"old\none more\n")
    assert logs.tail(log, offset) == ["new"]
    assert logs.tail(tmp_path / "none") == []


def test_links_are_not_followed(tmp_path):
    """The data directory may belong to another user than root, who runs the server."""
    precious = tmp_path / "precious"
    precious.write_text("x" * 100)
    link = tmp_path / "postgres.log"
    link.symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        directory.DataDirectory(tmp_path).open_log(link)
    assert logs.tail(link) == []
    with pytest.raises(OSError, match="symbolic links"):
        logs.shorten(link, bytes_max=1)
    assert precious.read_text() == "x" * 100


def test_strangers_directories_are_not_removed(tmp_path):
    me = accounts.Account("me", os.geteuid(), os.getegid(), switch=False)
    for name, mode in (("other-x", 0o700), ("eventfold-x", 0o755)):
        (tmp_path / name).mkdir(mode=mode)
        sockets.remove_left_directory(sockets.url(tmp_path / name, "p"), me)
        assert (tmp_path / name).exists()
    ours = tmp_path / "eventfold-y"
    ours.mkdir(mode=0o700)
    (ours / ".s.PGSQL.5432.lock").touch()
    sockets.remove_left_directory(sockets.url(ours, "p"), me)
    assert not ours.exists()
    sockets.remove_left_directory(None, me)


async def test_processes_are_found_without_proc(cluster):
    """As on macOS, through ps."""
    async with EmbeddedPostgres(cluster.data_dir) as postgres:
        uid = cluster.directory.stat().st_uid
        try:
            found = leftovers._find_with_ps(cluster.directory, uid)
        except FileNotFoundError:
            pytest.skip("this machine has no ps")
        assert postgres.pid in [one.pid for one in found]
        assert leftovers._find_with_ps(cluster.directory, uid + 1) == []
        assert all(one.ours for one in found)
        assert {one.pid for one in found} == set(cluster.processes())
