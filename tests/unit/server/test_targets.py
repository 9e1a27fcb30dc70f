"""Goal: the file that names other servers is read as docs/transforms.md says, and how copies are
shared out among calls.

Method: files with one thing right or wrong; messages of known sizes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from eventfold.v1 import transforms_pb2 as pb
from eventfold_server import limits
from eventfold_server.config import ConfigError
from eventfold_server.domain.transforms.remote import _groups
from eventfold_server.storage.remote import RemoteStore
from eventfold_server.targets import TargetAddress, read_targets


def read(folder: Path, text: str) -> dict[str, TargetAddress]:
    path = folder / "targets.toml"
    path.write_text(text, encoding="utf-8")
    return read_targets(path)


def test_all_that_may_stand_there(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("secret\n", encoding="utf-8")
    found = read(
        tmp_path,
        '[a]\naddress = "h:1"\ntoken_file = "t"\ntls_ca = "ca.pem"\n'
        '["b.c"]\naddress = "h:2"\ntls = true\n[d]\naddress = "h:3"\ninsecure = true\n',
    )
    assert found == {
        "a": TargetAddress("h:1", "secret", tmp_path / "ca.pem"),
        "b.c": TargetAddress("h:2", tls=True),
        "d": TargetAddress("h:3", insecure=True),
    }
    assert "secret" not in repr(found)
    assert read_targets(None) == {}


def test_names_have_a_limit(tmp_path: Path) -> None:
    name = "a" * limits.TRANSFORM_TARGET_NAME_BYTES_MAX
    assert list(read(tmp_path, f'[{name}]\naddress = "h:1"\n')) == [name]
    with pytest.raises(ConfigError):
        read(tmp_path, f'[{name}a]\naddress = "h:1"\n')


def test_plain_text_stays_on_the_machine() -> None:
    with pytest.raises(ConfigError, match="loopback"):
        RemoteStore(TargetAddress("archive.example:4141"))
    RemoteStore(TargetAddress("archive.example:4141", tls=True))
    RemoteStore(TargetAddress("archive.example:4141", insecure=True))
    RemoteStore(TargetAddress("127.0.0.1:4141"))


def test_a_call_has_so_many_appends_and_bytes() -> None:
    small = [pb.StreamCopies(copied_from=["x"]) for _ in range(limits.COPIES_APPENDS_MAX + 1)]
    assert [len(group) for group in _groups(small)] == [limits.COPIES_APPENDS_MAX, 1]
    half = pb.StreamCopies()
    half.append.stream = "x" * (limits.COPIES_CALL_BYTES // 2 - 8)
    assert half.ByteSize() == limits.COPIES_CALL_BYTES // 2
    assert [len(group) for group in _groups([half] * 3)] == [2, 1]
    half.append.stream += "x"
    assert [len(group) for group in _groups([half] * 3)] == [1, 1, 1]
    assert list(_groups([])) == []
