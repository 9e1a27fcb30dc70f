"""Writes the golden cases, or checks that they are fresh; see the package.

    python -m tests.golden.write [--check]

What a case comes to is told by the core that is built. Where a conformance case says it too, both
must agree.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.golden import conformance, times
from tests.golden.cases import FOLDER, Case, outcome

RECORDED_US = 1_700_000_000_000_000
# What a server decides; or all of `meta` at once.
_PLACES = re.compile(r"recorded_at|meta\.position|\bmeta\b(?!\.)")
# Marks that only a server sets, or what no server takes.
_MARKS = {"flags", "erased_paths", "withheld_paths", "copied_from", "cancels", "deleted"}
_MARKS |= {"version", "writer", "recorded_us", "position"}
_FOLD_BYTES_MAX = 8192
_RUN_MIN = 64
# Longer ones are about bytes on the wire.
_CASE_CHARS_MAX = 20_000


def written(name: str, fold: str, stream: str, given: list[Any]) -> Case:
    """A case as its file has it. Streams and ids are of no other case, but for one that goes on."""
    case: Case = {"name": name}
    case |= {"fold": fold} if len(fold) <= _FOLD_BYTES_MAX else {"fold_parts": parts_of(fold)}
    case |= {"stream": stream, "events": list(recorded(stream, given))}
    marked = any(_MARKS & set(others) for *_, others in map(_whole, given))
    if (
        marked
        or _PLACES.search(fold)
        or any(not _is_json(data) for _, data, _ in map(_whole, given))
    ):
        case["local"] = True
    case["expect"] = outcome(case)
    return case


def recorded(stream: str, given: list[Any]) -> Iterator[dict[str, Any]]:
    """Events with all that a store adds to them."""
    version = 0
    for kind, data, others in map(_whole, given):
        version = others.get("version", version + 1)
        event = {
            "id": conformance.id_of(stream, version),
            "type": kind,
            "version": version,
            "position": conformance.POSITION + version,
            "recorded_us": RECORDED_US + version,
            "occurred_us": RECORDED_US - 1_000_000 + version,
            "writer": "anonymous",
            "data": data,
        }
        yield event | others


def parts_of(text: str) -> list[tuple[str, int]]:
    """A long text as texts and how often each is repeated."""
    # Letters that stand many times in a row, which is how long documents come about in cases.
    parts: list[tuple[str, int]] = []
    for letter, run in itertools.groupby(text):
        times = sum(1 for _ in run)
        if times >= _RUN_MIN:
            parts.append((letter, times))
        elif parts and parts[-1][1] == 1:
            parts[-1] = (parts[-1][0] + letter * times, 1)
        else:
            parts.append((letter * times, 1))
    return parts


def cases_of(subject: str) -> list[Case]:
    """The cases of a conformance file, each compared with what that file says."""
    cases = []
    for one in conformance.found_cases(subject):
        case = written(one.name, one.fold, one.stream, one.events)
        expect = case["expect"]
        told = expect.get("reason", "") == one.reason
        told &= {name: expect.get("facts", {}).get(name) for name in one.facts} == one.facts
        told &= one.state is None or one.state == expect.get("state", one.state)
        if not told:
            raise SystemExit(f"{one.name}: {one.reason} {one.facts} {one.state}, not {expect}")
        if len(str(case)) <= _CASE_CHARS_MAX:
            cases.append(case)
    return cases


def rendered() -> dict[str, str]:
    """The texts of all files, by name."""
    files = {subject: cases_of(subject) for subject in conformance.SUBJECTS}
    for subject, given in (("events", own_cases()), ("times", times.CASES)):
        files[subject] = [
            written(f"{subject}/{name}", fold, conformance.stream_of(name), told)
            for name, fold, told in given
        ]
    return {f"{subject}.json": _file(cases) for subject, cases in files.items()}


def own_cases() -> Iterator[tuple[str, str, list[Any]]]:
    """The cases of `events.yaml`."""
    text = Path(__file__).with_name("events.yaml").read_text(encoding="utf-8")
    for case in yaml.safe_load(text):
        given: list[Any] = []
        for event in case["events"]:
            others = {key: event[key] for key in event if key not in {"type", "data", "repeat"}}
            given += [(event["type"], event["data"], others)] * event.get("repeat", 1)
        yield case["name"], case["fold"], given


def _file(cases: list[Case]) -> str:
    names = [case["name"] for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"cases of one name: {twice}"
    # One line a case: diffs show which.
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    return f'{{"cases": [\n{lines}\n]}}\n'


def _whole(event: Any) -> tuple[str, str, dict[str, Any]]:
    kind, data, *others = event
    return kind, data, others[0] if others else {}


def _is_json(data: str) -> bool:
    depth = data.count("[") if data.startswith('{"n":[[') else 0
    try:
        json.loads(data)
    except ValueError:
        return False
    return depth <= 62 and "\\u0000" not in data


def main() -> int:
    """Writes, or names what is stale."""
    check = sys.argv[1:] == ["--check"]
    wanted = rendered()
    found = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    stale = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    for name in stale:
        if check:
            print(f"tests/golden/folds/{name} is stale: python -m tests.golden.write")
        elif name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
