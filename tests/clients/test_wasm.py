"""Goal: folds in Node and in a browser come to what they come to in Python, byte for byte.

Method: build `clients/typescript/wasm` if it is stale. Run the golden cases in Node and in
Chromium; draw documents and events at random, and compare Node with Python's local folding; run
what the package promises beyond states (`wasm/calls.mjs`), and the snippet of its page.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import build_wasm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.clients.wasm.browser import browser, outcomes_in_browser
from tests.golden import cases
from tests.support.fold_model import ERASED, WITHHELD, encode, text_of, without_absent
from tests.support.fold_strategies import DOCUMENTS, EVENTS, GONE_EVENTS

from eventfold.v1 import event_store_pb2 as pb

HERE = Path(__file__).resolve().parent / "wasm"
# A first build compiles the core and wasm-bindgen.
BUILD_SECONDS_MAX = 1800
PROGRAM_SECONDS = 120
SNIPPET = re.compile(r"```js\n(.*?)```", re.DOTALL)
PRINTED = re.compile(r"^ *console\.log\(.*\); // (.*)$", re.MULTILINE)
pytestmark = pytest.mark.timeout(BUILD_SECONDS_MAX)


def skip_or_fail(what: str) -> None:
    """Skips with a message; in CI that is an error."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def package() -> Path:
    """The built package."""
    if lacking := build_wasm.missing():
        skip_or_fail(lacking)
    build_wasm.build()
    return build_wasm.DIST


class Node:
    """A process of Node that folds cases, one after the other."""

    def __init__(self, package: Path) -> None:
        command = ["node", str(HERE / "node.mjs"), str(package / "node.js")]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def outcome(self, case: dict[str, Any]) -> dict[str, Any]:
        """What a case comes to."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(case)}\n")
        self.process.stdin.flush()
        outcome: dict[str, Any] = json.loads(self.process.stdout.readline())
        return outcome


@pytest.fixture(scope="module")
def node(package: Path) -> Iterator[Node]:
    node = Node(package)
    yield node
    # Nothing more comes, and nothing more is told.
    rest, _ = node.process.communicate(timeout=PROGRAM_SECONDS)
    assert (rest, node.process.returncode) == ("", 0)


def told(outcome: dict[str, Any]) -> dict[str, Any]:
    """An outcome with 64 bits as text, as JavaScript tells them."""
    wide = ("version", "position")
    return {name: str(value) if name in wide else value for name, value in outcome.items()}


@pytest.mark.parametrize("case", cases.load(), ids=lambda case: case["name"])
def test_golden_cases_in_node(node: Node, case: dict[str, Any]) -> None:
    assert node.outcome(case) == told(case["expect"])


def test_golden_cases_in_a_browser(package: Path, shared_tmp_path: Path) -> None:
    program = browser()
    if program is None:
        skip_or_fail("the browser's golden cases: chromium was not found")
    answer = outcomes_in_browser(program, package, cases.load(), shared_tmp_path)
    assert "error" not in answer, answer
    for case, outcome in zip(cases.load(), answer["outcomes"], strict=True):
        assert outcome == told(case["expect"]), case["name"]
    # The package goes on after a panic.
    assert (answer["reasons"], answer["after"]) == (["BUG"], '{"a":1.50}')


@settings(max_examples=400, deadline=None)
@given(
    document=DOCUMENTS,
    events=st.one_of(EVENTS, GONE_EVENTS),
    micros=st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
)
def test_random_folds(node: Node, document: dict[str, Any], events: Any, micros: int) -> None:
    case = {
        "name": "random",
        "fold": text_of(document),
        "stream": "a-1",
        "events": [
            event_of(version, kind, data, micros) for version, (kind, data) in enumerate(events, 1)
        ],
    }
    assert node.outcome(case) == told(cases.outcome(case))


def event_of(version: int, kind: str, data: Any, micros: int) -> dict[str, Any]:
    """An event of a case, with what is absent in it."""
    seen, absent = without_absent(data)
    return {
        "id": str(uuid.UUID(int=version)),
        "type": kind,
        "version": version,
        "position": version,
        "recorded_us": micros,
        "occurred_us": micros,
        "writer": "w",
        "data": encode(seen),
        "erased_paths": absent[ERASED],
        "withheld_paths": absent[WITHHELD],
    }


def test_an_event_of_cases_is_that_of_the_contract() -> None:
    event = event_of(3, "A", {"x": ERASED}, -1)
    message = pb.RecordedEvent.FromString(cases.message_of(event, "a-1"))
    assert (message.recorded_at.seconds, message.recorded_at.nanos) == (-1, 999_999_000)
    assert list(message.erased_paths) == ["/x"]


def test_what_the_package_promises(package: Path) -> None:
    assert ran("node", str(HERE / "calls.mjs"), str(package)) == "done\n"


def test_the_snippet_of_the_page(package: Path, tmp_path: Path) -> None:
    page = (package.parent / "README.md").read_text(encoding="utf-8")
    # The first: what comes after it is for browsers.
    code = SNIPPET.findall(page)[0]
    modules = tmp_path / "node_modules/@eventfold/fold"
    modules.mkdir(parents=True)
    # As it is published, and as others import it.
    shutil.copy(package.parent / "package.json", modules)
    shutil.copytree(package, modules / "dist")
    (tmp_path / "snippet.mjs").write_text(code, encoding="utf-8")
    printed = PRINTED.findall(code)
    assert len(printed) == code.count("console.log(") > 0
    assert ran("node", str(tmp_path / "snippet.mjs")).splitlines() == printed


def test_the_benchmark(package: Path) -> None:
    figures = json.loads(ran("node", str(build_wasm.PACKAGE / "bench/fold.mjs"), "20"))
    assert [figure["events"] for figure in figures] == [20]
    assert all(figure["wasm_us"] > 0 and figure["javascript_us"] > 0 for figure in figures)


def test_types_of_the_package(package: Path, tmp_path: Path) -> None:
    # A client whose events are those of protobuf-es.
    (tmp_path / "user.ts").write_text(
        'import { compileFold, init, type FoldState, type RecordedEvent } from "./dist/web.js";\n'
        "export async function user(events: RecordedEvent[]): Promise<FoldState> {\n"
        '  await init("/eventfold_wasm_bg.wasm");\n'
        '  using fold = compileFold("fold: f");\n'
        "  return fold.apply(fold.start(), events, { root: undefined });\n"
        "}\n",
        encoding="utf-8",
    )
    shutil.copytree(package, tmp_path / "dist")
    tsc = build_wasm.PACKAGE / "node_modules/.bin/tsc"
    options = ["--strict", "--noEmit", "--target", "ES2022", "--module", "NodeNext"]
    options += ["--lib", "ES2022,DOM,ESNext.Disposable", "--types", ""]
    assert ran(str(tsc), *options, str(tmp_path / "user.ts")) == ""


def ran(*command: str) -> str:
    """The output of a command that goes well."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
