"""How much memory there is: of the machine, or what a container may use of it."""

import os
from collections.abc import Iterator
from pathlib import Path

# Where the second and the first version of cgroups are mounted, and what a limit is called there.
_LIMITS = (("", "", "memory.max"), ("memory", "memory", "memory.limit_in_bytes"))


def usable_bytes(root: Path = Path("/")) -> int:
    """The machine's memory, or the lowest limit that a cgroup of this process sets."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    mount = root / "sys/fs/cgroup"
    for controller, folder, name in _LIMITS:
        # In a container the own path may be that of the host, which is not there: its root is.
        path = mount / folder / _own_path(root, controller).lstrip("/")
        for group in (path, *path.parents):
            if not group.is_relative_to(mount / folder):
                break
            try:
                # "max" stands for none.
                yield int((group / name).read_text(encoding="ascii"))
            except (OSError, ValueError):
                continue


def _own_path(root: Path, controller: str) -> str:
    """The cgroup of this process under a controller; the second version has none ("")."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return ""
