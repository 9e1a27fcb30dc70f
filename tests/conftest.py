"""What all tests share: repeatable examples, and a folder that any user can enter."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# What a shell runs in its background ignores Ctrl-C, and so would all that tests start from there.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Clusters are made and removed by the dozen. In memory that takes half the time, and loses nothing:
# tests kill processes, not machines. PostgreSQL still syncs as it does on a disk.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 8 << 30
if (
    "TMPDIR" not in os.environ
    and _MEMORY.is_dir()
    and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES_MIN
):
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None

# CI draws the same examples every time, so that a red run is red again; developers draw new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make faults` says; only the conftest of all tests may add options."""
    group = parser.getgroup("faults")
    group.addoption("--histories", type=int, default=5, help="random histories of subscriptions")
    group.addoption(
        "--with-restarts", action="store_true", help="restart PostgreSQL in each history"
    )
    group.addoption(
        "--projection-histories", type=int, default=1, help="random histories of projections"
    )
    group.addoption(
        "--all-benchmarks", action="store_true", help="each part of each benchmark once"
    )
    group.addoption("--all-kills", action="store_true", help="all cases of each failpoint, not one")
    group.addoption(
        "--rebuilt-events", type=int, default=10_000, help="events of a rebuild under load"
    )
    group.addoption(
        "--closed-accounts", type=int, default=150, help="accounts of a year-end close under load"
    )

    group = parser.getgroup("conformance")
    group.addoption(
        "--conformance-outcomes", type=Path, help="folder for what became of each case, by runner"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Names the mark of tests that take long for what they add."""
    config.addinivalue_line("markers", "long: runs in `make faults`, or with --all-kills")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves such tests to `make faults`."""
    if not config.getoption("--all-kills"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="runs in `make faults`"))


@pytest.fixture(scope="session", autouse=True)
def _enterable_base(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Lets any user through to the folders of tests, which open their own where it must be.

    PostgreSQL refuses to run as root, so tests run as root start it as another user.
    """
    base, all_temporary = tmp_path_factory.getbasetemp(), Path(tempfile.gettempdir())
    for folder in (base, *base.parents):
        if folder.is_relative_to(all_temporary) and folder != all_temporary:
            folder.chmod(0o711)


@pytest.fixture
def shared_tmp_path() -> Iterator[Path]:
    """Yields a folder that any user can enter, and that is gone after the test."""
    folder = Path(tempfile.mkdtemp(prefix="eventfold-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
