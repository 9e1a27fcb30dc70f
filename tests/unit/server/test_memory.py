"""Goal: the embedded PostgreSQL takes memory by what this process may use, not by what there is.

Method: files of /proc and of both versions of cgroups as containers have them, in a folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventfold_server.embedded.memory import usable_bytes
from eventfold_server.embedded.settings import MIB, shared_buffers_mib

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def root(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, MACHINE),
        # The second version, as seen from inside of a container, and without a limit.
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "300000000\n"}, 300_000_000),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, MACHINE),
        # A service of systemd: the lowest limit on the way up is in force.
        (
            {
                "proc/self/cgroup": "0::/system.slice/store.service\n",
                "sys/fs/cgroup/system.slice/store.service/memory.max": "500000000\n",
                "sys/fs/cgroup/system.slice/memory.max": "400000000\n",
            },
            400_000_000,
        ),
        # The first version: the path is that of the host, and only its root is there.
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/4711\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "200000000\n",
            },
            200_000_000,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/4711\n",
                "sys/fs/cgroup/memory/docker/4711/memory.limit_in_bytes": "100000000\n",
                # What the first version says for none.
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            100_000_000,
        ),
    ],
    ids=["none", "v2", "v2 without", "v2 nested", "v1 container", "v1 nested"],
)
def test_the_lowest_limit_counts(tmp_path: Path, files: dict[str, str], found: int) -> None:
    assert usable_bytes(root(tmp_path, files)) == found


@pytest.mark.parametrize(
    ("memory_mib", "buffers_mib"), [(128, 32), (256, 32), (512, 64), (4096, 512), (65536, 2048)]
)
def test_shared_buffers_follow_memory(memory_mib: int, buffers_mib: int) -> None:
    assert shared_buffers_mib(memory_mib * MIB) == buffers_mib
