"""Builds the package @eventfold/fold: the core as WebAssembly, its glue, and the TypeScript.

    python scripts/build_wasm.py            build what is stale, into clients/typescript/wasm/dist
    python scripts/build_wasm.py --missing  exit 1, and say what this machine lacks for that

It takes Cargo with the target wasm32-unknown-unknown, and Node with npm. The glue comes from
wasm-bindgen as a library, in `tools/bindgen`, which is built once for each version of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "clients/typescript/wasm"
DIST = PACKAGE / "dist"
STAMP = DIST / ".built-from"
BINDGEN = ROOT / "tools/bindgen"
TARGET = "wasm32-unknown-unknown"
# What the package is made of.
SOURCES = (
    "Cargo.toml",
    "Cargo.lock",
    "rust/eventfold-core/Cargo.toml",
    "rust/eventfold-core/src/**/*.rs",
    "rust/eventfold-wasm/Cargo.toml",
    "rust/eventfold-wasm/src/**/*.rs",
    "scripts/build_wasm.py",
    "tools/bindgen/Cargo.*",
    "tools/bindgen/src/*.rs",
    "clients/typescript/wasm/package*.json",
    "clients/typescript/wasm/tsconfig.json",
    "clients/typescript/wasm/src/*.ts",
)


def missing() -> str | None:
    """What this machine lacks to build and run the package; None: nothing."""
    for command in ("cargo", "rustc", "node", "npm"):
        if shutil.which(command) is None:
            return f"the WebAssembly package needs {command}, which was not found"
    # In the repository: the toolchain may be that of a folder.
    sysroot = subprocess.run(
        ["rustc", "--print", "sysroot"], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    if not (Path(sysroot) / "lib/rustlib" / TARGET).is_dir():
        return f"the WebAssembly package needs a target of Rust: rustup target add {TARGET}"
    return None


def fingerprint() -> str:
    """Digest of all that the package is made of."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def sources() -> Iterator[Path]:
    """The files that the package is made of."""
    for pattern in SOURCES:
        yield from sorted(ROOT.glob(pattern))


def is_fresh() -> bool:
    """Whether the package is built of what stands here."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8") == fingerprint()


def build() -> None:
    """Builds the package, unless it is fresh."""
    if is_fresh():
        return
    built_from = fingerprint()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    run("cargo", "build", "--locked", "--profile=wasm", "--package=eventfold-wasm",
        f"--target={TARGET}", f"--target-dir={target}", f"--config={without_paths()}")  # fmt: skip
    # Of a folder of its own: it shares nothing with the workspace.
    run("cargo", "build", "--locked", "--release", f"--manifest-path={BINDGEN / 'Cargo.toml'}",
        f"--target-dir={target / 'bindgen'}")  # fmt: skip
    DIST.mkdir(exist_ok=True)
    STAMP.unlink(missing_ok=True)
    module = target / TARGET / "wasm/eventfold_wasm.wasm"
    run(str(target / "bindgen/release/eventfold-bindgen"), str(module), str(DIST))
    install()
    run("npm", "run", "--silent", "build", folder=PACKAGE)
    STAMP.write_text(built_from, encoding="utf-8")


def without_paths() -> str:
    """Of Cargo's configuration: places of panics tell nothing of the machine that builds."""
    home = os.environ.get("CARGO_HOME", Path.home() / ".cargo")
    flags = [f"--remap-path-prefix={home}=cargo", f"--remap-path-prefix={ROOT}=eventfold"]
    return f"target.{TARGET}.rustflags={json.dumps(flags)}"


def install() -> None:
    """Installs the compiler of TypeScript, if the lock has changed."""
    lock, installed = PACKAGE / "package-lock.json", PACKAGE / "node_modules/.package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--no-progress", folder=PACKAGE)


def run(*command: str, folder: Path = ROOT) -> None:
    """Runs a command, whose output goes to the caller."""
    subprocess.run(command, check=True, cwd=folder)


def main() -> int:
    """Builds, or says what is missing."""
    lacking = missing()
    if lacking is not None:
        print(lacking, file=sys.stderr)
        return 1
    if sys.argv[1:] != ["--missing"]:
        build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
