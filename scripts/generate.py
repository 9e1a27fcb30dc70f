"""Writes all generated code of the repository, or checks that it is fresh.

    python scripts/generate.py            write what differs
    python scripts/generate.py --check    write nothing; exit 1 and name what is stale

Generated code is checked in, so that a build needs no compiler of protos. Every generator fills
an empty folder with the tree it wants; one place compares that tree with the repository, which
is how writing and checking cannot disagree.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import docs_errors
import go_errors
import go_stubs
import go_toolchain
import java_errors
import node_toolchain
import sdk_errors
import sdk_sync
import toolchains
import ts_errors
import ts_stubs

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
CONTRACT = "eventfold/v1"


@dataclass(frozen=True)
class Generator:
    """One kind of generated file."""

    name: str
    # Patterns, relative to the root, of the files that belong to this generator alone:
    # a file that matches and is no longer produced is stale too.
    owns: tuple[str, ...]
    # Fills an empty folder with files at their paths relative to the root.
    write: Callable[[Path], None]
    # Raises ToolchainMissing where the compiler of the language is not installed.
    require: Callable[[], None] = lambda: None


def write_python_stubs(tree: Path) -> None:
    """Messages, gRPC stubs and their types, from the protos of the contract."""
    protos = sorted((PROTO / CONTRACT).glob("*.proto"))
    target = tree / "python"
    target.mkdir(parents=True)
    run_protoc(target, protos)
    for proto in protos:
        if not re.search(r"^service ", proto.read_text(encoding="utf-8"), re.MULTILINE):
            # The gRPC plugins write empty modules for protos without a service.
            for suffix in ("py", "pyi"):
                (target / CONTRACT / f"{proto.stem}_pb2_grpc.{suffix}").unlink()


def run_protoc(target: Path, protos: Iterable[Path]) -> None:
    """Runs protoc with the plugins of this interpreter's environment, and no others."""
    bin_folder = Path(sys.executable).parent
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={PROTO}",
        f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
        *(str(proto) for proto in protos),
    ]
    # Warnings of protoc are findings too: nothing is hidden from the reader.
    subprocess.run(command, check=True, cwd=ROOT)


def write_sdk_errors(tree: Path) -> None:
    """The exception classes of the SDK, from the catalogue of errors."""
    target = tree / "python/eventfold/_generated"
    target.mkdir(parents=True)
    (target / "errors.py").write_text(sdk_errors.render(PROTO), encoding="utf-8")
    format_python(tree)


def write_docs_errors(tree: Path) -> None:
    """The page on errors, from the same catalogue."""
    (tree / "docs").mkdir(parents=True)
    (tree / "docs/errors.md").write_text(docs_errors.render(PROTO), encoding="utf-8")


def write_sdk_sync(tree: Path) -> None:
    """The synchronous client of the SDK, from the asynchronous one."""
    target = tree / "python/eventfold/_sync"
    target.mkdir(parents=True)
    for name, text in sdk_sync.render(ROOT / "python/eventfold").items():
        (target / name).write_text(text, encoding="utf-8")
    format_python(tree)


def format_python(tree: Path) -> None:
    """Sorts imports and formats, as `make fmt` does with code that people write."""
    ruff = [str(Path(sys.executable).parent / "ruff")]
    config = ["--config", str(ROOT / "pyproject.toml")]
    # The tree holds only the files that were generated, so that ruff cannot see whose they are.
    config += ["--config", 'lint.isort.known-first-party=["eventfold"]']
    for command in (
        ["check", "--no-cache", "--quiet", "--fix", "--select", "I"],
        ["format", "--no-cache", "--quiet"],
    ):
        subprocess.run([*ruff, *command, *config, str(tree)], check=True, cwd=tree)


# New kinds of generated code are added here, each with the files that it owns.
GENERATORS = (
    Generator(
        name="python stubs",
        owns=(f"python/{CONTRACT}/*_pb2*.py", f"python/{CONTRACT}/*_pb2*.pyi"),
        write=write_python_stubs,
    ),
    Generator(
        name="errors of the SDK",
        owns=("python/eventfold/_generated/errors.py",),
        write=write_sdk_errors,
    ),
    Generator(name="page on errors", owns=("docs/errors.md",), write=write_docs_errors),
    Generator(
        name="synchronous client of the SDK",
        # Not `__init__.py` and `_platform.py`, which are written by hand.
        owns=("python/eventfold/_sync/[a-z]*.py",),
        write=write_sdk_sync,
    ),
    Generator(
        name="go stubs",
        owns=(f"{go_stubs.CLIENT}/{CONTRACT}/*.pb.go",),
        write=go_stubs.write,
        require=go_toolchain.require,
    ),
    Generator(
        name="typescript stubs",
        owns=(f"{ts_stubs.TARGET}/all.ts", f"{ts_stubs.TARGET}/*/*/*_pb.ts"),
        write=ts_stubs.write,
        require=node_toolchain.require,
    ),
    Generator(
        name="errors of the typescript client",
        owns=(str(ts_errors.TARGET),),
        write=ts_errors.write,
    ),
    Generator(
        name="errors of the Go client",
        owns=(go_errors.TARGET,),
        write=lambda tree: go_errors.write(tree, PROTO),
        require=go_toolchain.require,
    ),
    Generator(
        name="errors of the Java client",
        owns=(f"{java_errors.FOLDER.as_posix()}/*.java",),
        write=lambda tree: java_errors.write(tree, PROTO),
    ),
)


def differences(generator: Generator, tree: Path) -> dict[str, bytes | None]:
    """Returns what must change: new content by path, or None for a file that must go."""
    wanted = {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }
    strays = [path for path in wanted if not any(Path(path).match(own) for own in generator.owns)]
    if strays:
        raise SystemExit(f"{generator.name} does not own what it wrote: {', '.join(strays)}")
    present = {path for own in generator.owns for path in relative_paths(own)}
    changes: dict[str, bytes | None] = dict.fromkeys(present - wanted.keys())
    changes |= {
        path: content
        for path, content in wanted.items()
        if path not in present or (ROOT / path).read_bytes() != content
    }
    return changes


def relative_paths(pattern: str) -> Iterable[str]:
    """Yields the files of the repository that match a pattern."""
    return (path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


def apply(changes: dict[str, bytes | None]) -> None:
    """Writes or removes files; each is replaced in one step, so that no reader sees half of it."""
    for path, content in changes.items():
        target = ROOT / path
        if content is None:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        partial.write_bytes(content)
        partial.replace(target)


def main() -> int:
    """Runs every generator; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if stale")
    check: bool = parser.parse_args().check
    stale = 0
    for generator in GENERATORS:
        try:
            generator.require()
        except toolchains.ToolchainMissing as missing:
            if not toolchains.may_be_skipped():
                raise SystemExit(f"{generator.name}: {missing}") from None
            print(f"skipped: {generator.name}. {missing}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            tree.mkdir()
            generator.write(tree)
            changes = differences(generator, tree)
        for path in sorted(changes):
            print(f"{'stale' if check else 'wrote'}: {path}")
        if check:
            stale += len(changes)
        else:
            apply(changes)
    if stale:
        print("Generated code is stale: run `make generate` and commit the result.")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
