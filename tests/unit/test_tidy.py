"""Goal: habits that a reader counts on hold everywhere, not only where a reviewer looked.

Method: read every file that git tracks. Each habit is also shown a sample that breaks it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINE_COLUMNS_MAX = 100
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 80

SOURCES = {".py", ".pyi", ".rs", ".proto", ".sql", ".go", ".ts", ".java"}
GENERATED = re.compile(
    r"_pb2(_grpc)?\.pyi?$|\.pb\.go$|_gen\.go$|^clients/.*/(gen|generated)/|/_generated/"
)
VENDORED = re.compile(r"^proto/google/")
# Named in pieces, or this file would hold what it forbids.
REGISTRY_HOSTS = re.compile(
    r"(?i)\b(?:"
    + "|".join(
        host.replace(" ", r"\.")
        for host in (
            "pypi org",
            "files pythonhosted org",
            "test pypi org",
            "registry npmjs org",
            "registry yarnpkg com",
            "static crates io",
            "index crates io",
            "proxy golang org",
            "sum golang org",
            "repo1 maven org",
            "repo maven apache org",
            "deb debian org",
            "buf build",
        )
    )
    + r")\b"
)


def lines_are_short(path: str, text: str) -> Iterator[str]:
    """Two files fit side by side on a screen."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if path.endswith(".md"):
            if line.lstrip().startswith(("```", "~~~")):
                fenced = not fenced
            # Tables and links cannot be broken into lines.
            if fenced or line.lstrip().startswith("|") or "](" in line or "http" in line:
                continue
        elif Path(path).suffix not in SOURCES:
            return
        if len(line) > LINE_COLUMNS_MAX:
            yield f"line {number} has {len(line)} columns, {LINE_COLUMNS_MAX} at most"


def files_are_short(path: str, text: str) -> Iterator[str]:
    """A file has one subject; a long one has several."""
    count = text.count("\n")
    # SQL has one file for the whole schema, and protos one for each service.
    if Path(path).suffix in SOURCES - {".sql", ".proto"} and count > FILE_LINES_MAX:
        yield f"{count} lines, {FILE_LINES_MAX} at most"


def functions_are_short(path: str, text: str) -> Iterator[str]:
    """A function is understood without scrolling."""
    if not path.endswith(".py"):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # Samples of a test stand in its decorator, and do not count.
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > FUNCTION_LINES_MAX:
                yield f"{node.name} has {count} lines, {FUNCTION_LINES_MAX} at most"


def no_registry_is_named(path: str, text: str) -> Iterator[str]:
    """Where packages come from is a setting of whoever installs them."""
    for number, line in enumerate(text.splitlines(), 1):
        # Cargo names its default registry by this address in every lock.
        rest = line.replace("registry+https://github.com/rust-lang/crates.io-index", "")
        if found := REGISTRY_HOSTS.search(rest):
            yield f"line {number} names {found.group()}"
    if path.endswith("package-lock.json") and '"resolved"' in text:
        yield "holds download addresses: install with omit-lockfile-registry-resolved"


def text_is_clean(path: str, text: str) -> Iterator[str]:
    """Diffs show only what changed."""
    if Path(path).suffix not in SOURCES | {".md", ".toml", ".yaml", ".yml"}:
        return
    if text and not text.endswith("\n"):
        yield "does not end with a line break"
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield f"line {number} ends with blanks"
        if "\t" in line and Path(path).suffix != ".go":
            yield f"line {number} holds a tab"


def the_changelog_is_open(path: str, text: str) -> Iterator[str]:
    """Every change has a place to be told."""
    if path == "CHANGELOG.md" and not re.search(r"^## \[?Unreleased\]?$", text, re.MULTILINE):
        yield "has no heading `## Unreleased`"


def no_test_is_forgotten(path: str, text: str) -> Iterator[str]:
    """A folder of tests that `testpaths` forgets is never run."""
    if path != "pyproject.toml":
        return
    named = set(tomllib.loads(text)["tool"]["pytest"]["ini_options"]["testpaths"])
    for test in (ROOT / "tests").rglob("test_*.py"):
        folder = "/".join(test.relative_to(ROOT).parts[:2])
        if folder not in named:
            yield f"testpaths lacks {folder}"


HABITS: tuple[Callable[[str, str], Iterator[str]], ...] = (
    lines_are_short,
    files_are_short,
    functions_are_short,
    no_registry_is_named,
    text_is_clean,
    the_changelog_is_open,
    no_test_is_forgotten,
)


def findings(path: str, text: str) -> list[str]:
    """Returns what a file does against the habits, each with the habit's name."""
    if GENERATED.search(path) or VENDORED.search(path):
        return []
    return [f"{habit.__name__}: {path}: {found}" for habit in HABITS for found in habit(path, text)]


def tracked_files() -> list[str]:
    """Returns all files that are or will be committed, from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return [path for path in listed.stdout.decode().split("\0") if (ROOT / path).is_file()]


def test_every_file_is_tidy() -> None:
    found: list[str] = []
    files = tracked_files()
    assert files, "git lists no file"
    for path in files:
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # data, such as a compressed example
        found += findings(path, text)
    assert not found, "\n".join(found)


HOST = "registry" + ".npmjs.org"


@pytest.mark.parametrize(
    ("path", "text", "habit"),
    [
        ("a.py", "x = '" + "a" * 100 + "'\n", "lines_are_short"),
        ("a.rs", "// " + "a" * 100 + "\n", "lines_are_short"),
        ("a.sql", "-- " + "a" * 100 + "\n", "lines_are_short"),
        ("a.proto", "// " + "a" * 100 + "\n", "lines_are_short"),
        ("a.md", "a " * 60 + "a\n", "lines_are_short"),
        ("a.md", "```\n" + "a" * 120 + "\n```\n" + "a" * 120 + "\n", "lines_are_short"),
        ("a.rs", "\n" * 501, "files_are_short"),
        ("a.py", "def f():\n" + "    f()\n" * 80, "functions_are_short"),
        ("a.py", "class A:\n async def f(self):\n" + "  f()\n" * 80, "functions_are_short"),
        ("a.txt", f"from {HOST} come\n", "no_registry_is_named"),
        ("a/package-lock.json", '{"resolved": "somewhere"}\n', "no_registry_is_named"),
        ("a.py", "x = 1", "text_is_clean"),
        ("a.md", "word \n", "text_is_clean"),
        ("a.py", "if x:\n\ty()\n", "text_is_clean"),
        ("CHANGELOG.md", "# Changelog\n\n## 1.0.0\n", "the_changelog_is_open"),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\ntestpaths = ['tests/other']\n",
            "no_test_is_forgotten",
        ),
    ],
)
def test_a_habit_can_fail(path: str, text: str, habit: str) -> None:
    assert {found.split(":")[0] for found in findings(path, text)} == {habit}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "x = '" + "a" * 94 + "'\n"),
        ("a.md", "```sh\n" + "a" * 120 + "\n```\n| " + "a" * 120 + " |\n"),
        ("a_pb2.py", "x = '" + "a" * 100 + "'\n"),
        ("proto/google/rpc/code.proto", "// " + "a" * 100 + "\n"),
        ("a.py", "def f():\n" + "    f()\n" * 79),
        ("Cargo.lock", 'source = "registry+https://github.com/rust-lang/crates.io-index"\n'),
        ("CHANGELOG.md", "# Changelog\n\n## Unreleased\n"),
    ],
)
def test_a_habit_lets_pass(path: str, text: str) -> None:
    assert findings(path, text) == []
