"""Goal: what the documentation shows works as it stands there, and what it counts is counted.

Method: every page with snippets is run against an empty store, as a reader would type it. Numbers
of limits are compared with the code; links within the documentation must lead somewhere.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support import snippets

from eventfold import _core
from eventfold_server import limits

ROOT = Path(__file__).resolve().parents[2]
GUIDE = sorted((ROOT / "docs/guide").glob("*.md"))
INDEX = ROOT / "docs/guide/README.md"
# Pages whose snippets a reader is meant to run.
RUNNABLE = [ROOT / "README.md", ROOT / "docs/folds.md", *(page for page in GUIDE if page != INDEX)]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SERVE = """
import pathlib, sys
from eventfold_server.config import ServerConfig
from eventfold_server.serve import run
data_dir, url, schema = sys.argv[1:]
where = {"data_dir": pathlib.Path(data_dir)} if data_dir else {"database_url": url}
config = ServerConfig(listen="127.0.0.1:0", schema=schema, **where)
run(config, lambda address: print(address, flush=True))
"""


@contextmanager
def server(*, data_dir: str = "", url: str = "", schema: str = "eventfold") -> Iterator[str]:
    """A server process of its own; yields its address."""
    command = [sys.executable, "-c", SERVE, data_dir, url, schema]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, f"the server ended with status {process.wait(START_SECONDS)}"
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL for all pages; each gets a schema of its own."""
    folder = tmp_path_factory.mktemp("docs") / "data"
    with server(data_dir=str(folder)):
        yield (folder / "postgres.url").read_text().strip()


def blocks_of(page: Path) -> list[snippets.Block]:
    name = page.relative_to(ROOT).as_posix()
    return list(snippets.blocks(name, page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, database_url: str, tmp_path: Path) -> None:
    schema = "docs_" + re.sub(r"\W", "_", page.stem.lower())
    with server(url=database_url, schema=schema) as address:
        run = snippets.Page(address, tmp_path)
        run.run(blocks_of(page))
    assert run.executed, f"{page}: no snippet was executed"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_are_well_formed(page: Path) -> None:
    assert [fault for block in blocks_of(page) for fault in snippets.faults(block)] == []


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (
            anchor and anchor not in anchors(file.read_text(encoding="utf-8"))
        ):
            dead.append(target)
    assert dead == []


def test_the_index_of_the_guide_names_every_page() -> None:
    text = INDEX.read_text(encoding="utf-8")
    assert [page.name for page in GUIDE if page != INDEX and f"({page.name})" not in text] == []


def limits_in_code() -> dict[str, int]:
    """Every limit by its name in lower case, from the core and from the server."""
    mine = {
        name.lower(): value
        for name, value in vars(limits).items()
        if name.isupper() and isinstance(value, int | float)
    }
    return {name: int(value) for name, value in (mine | _core.limits()).items()}


def test_the_table_of_limits_is_that_of_the_code() -> None:
    text = (ROOT / "docs/limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, re.MULTILINE)
    assert {name: int(value.replace(",", "")) for name, value in rows} == limits_in_code()


SAMPLE = snippets.Block("sample.md", 10, ("python",), "", "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```\nx\n```\n", "needs a tag"),
        ("```python skip\nx\n```\n", "not a known tag"),
        ("```python no-run\nx\n```\n", "must say why"),
        ("<!-- why -->\n```python no-run\nx\n```\n", "must say why"),
    ],
)
def test_a_malformed_block_is_found(text: str, problem: str) -> None:
    (block,) = snippets.blocks("page.md", text)
    (fault,) = snippets.faults(block)
    assert problem in fault


@pytest.mark.parametrize(
    "code",
    ["if False:\n    print(1)  # 1\n", "print(1)  # 2\n", "for i in 1, 2:\n    print(i)  # 1\n"],
)
def test_a_wrong_print_is_found(code: str) -> None:
    with pytest.raises(snippets.SnippetError):
        snippets.run_python(SAMPLE, code, {})


def test_blocks_are_told_apart(tmp_path: Path) -> None:
    text = (
        "```yaml\n# file: a.yaml\nx: 1\n```\n\n<!-- Needs a server of\nanother kind. -->\n\n"
        "```python no-run\nraise ValueError\n```\n```python\nname = open('a.yaml').read()\n"
        "address = '127.0.0.1:4141'\n```\n```console\n$ eventfold version\n```\n"
    )
    blocks = list(snippets.blocks("page.md", text))
    assert [(block.language, block.is_executed) for block in blocks] == [
        ("yaml", False), ("python", False), ("python", True), ("console", False)
    ]  # fmt: skip
    assert [block.line for block in blocks] == [2, 10, 13, 17]
    assert not [fault for block in blocks for fault in snippets.faults(block)]
    page = snippets.Page("elsewhere:1", tmp_path)
    page.run(blocks)
    assert page.executed == 1
    assert (tmp_path / "a.yaml").read_text().endswith("x: 1\n")
