"""Goal: `make generate` notices every way to be stale, and what it writes can be installed.

Method: run its comparison on a small tree; read the versions that generated code asks for.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import generate
import go_toolchain
import pytest

GENERATOR = generate.Generator("sample", owns=("out/*.py",), write=lambda tree: None)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one fresh, one stale and one forgotten file, and one of someone else."""
    root = tmp_path / "root"
    write(root / "out/fresh.py", "1")
    write(root / "out/stale.py", "old")
    write(root / "out/gone.py", "1")
    write(root / "out/other.txt", "1")
    monkeypatch.setattr(generate, "ROOT", root)
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_differences_are_found_and_written(root: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write(tree / "out/fresh.py", "1")
    write(tree / "out/stale.py", "new")
    write(tree / "out/added.py", "1")
    changes = generate.differences(GENERATOR, tree)
    assert changes == {"out/stale.py": b"new", "out/added.py": b"1", "out/gone.py": None}
    generate.apply(changes)
    assert generate.differences(GENERATOR, tree) == {}
    assert sorted(path.name for path in (root / "out").iterdir()) == [
        "added.py",
        "fresh.py",
        "other.txt",
        "stale.py",
    ]


def test_a_generator_writes_only_what_it_owns(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "tree/out/other.txt", "2")
    with pytest.raises(SystemExit, match=r"other\.txt"):
        generate.differences(GENERATOR, tmp_path / "tree")


@pytest.mark.parametrize(
    ("package", "files", "pattern"),
    [
        ("grpcio", "*_pb2_grpc.py", r"GRPC_GENERATED_VERSION = '([\d.]+)'"),
        ("protobuf", "*_pb2.py", r"# Protobuf Python Version: ([\d.]+)"),
    ],
)
def test_the_runtime_may_be_as_old_as_pyproject_allows(
    package: str, files: str, pattern: str
) -> None:
    # Generated code refuses a runtime older than the compiler that wrote it.
    project = tomllib.loads((generate.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (floor,) = (
        dependency.removeprefix(f"{package}>=")
        for dependency in project["project"]["dependencies"]
        if dependency.startswith(f"{package}>=")
    )
    written = {
        version
        for path in (generate.ROOT / "python" / generate.CONTRACT).glob(files)
        for version in re.findall(pattern, path.read_text(encoding="utf-8"))
    }
    assert written == {floor}


@pytest.fixture
def only_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves nothing to generate but the Go stubs."""
    (go_stubs,) = (one for one in generate.GENERATORS if one.name == "go stubs")
    monkeypatch.setattr(generate, "GENERATORS", (go_stubs,))
    monkeypatch.setattr("sys.argv", ["generate.py", "--check"])


@pytest.fixture(params=[None, "go1.2.3"], ids=["none", "old"])
def no_go(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Go, and one with a Go that is too old."""
    if request.param:
        (tmp_path / "go").write_text(f"#!/bin/sh\necho {request.param}\n", encoding="utf-8")
        (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_go_its_stubs_are_skipped_with_a_word(
    only_go: None, no_go: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert generate.main() == 0
    assert "skipped: go stubs. Go 1." in capsys.readouterr().out
    assert go_toolchain.main() == 1


def test_without_go_ci_fails(only_go: None, no_go: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SystemExit, match=r"Go 1\.\d+\.\d+ or later is needed"):
        generate.main()
