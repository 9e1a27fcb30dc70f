"""Comparing schemas, trying them and their fields through the bindings.

The semantics are tested in Rust; here is what the bindings add, and that the page on schemas tells
what is so.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_core_history import page

from eventfold import _core
from eventfold.v1 import schemas_pb2 as pb

PAGE = Path(__file__).resolve().parents[2] / "docs/schemas.md"
NAMES: dict[int, str] = {
    pb.SCHEMA_CHANGE_WIDER: "wider",
    pb.SCHEMA_CHANGE_NARROWER: "narrower",
    pb.SCHEMA_CHANGE_UNDECIDED: "undecided",
    pb.SCHEMA_CHANGE_ANNOTATION: "annotation",
}
ROW = re.compile(r"^\| ([^`|]+) \| `(.*?)` \| `(.*?)` \| (\w+) \|$", re.MULTILINE)


def schema(document: Any, *, formats: bool = False) -> _core.Schema:
    return _core.Schema(json.dumps(document), [], formats)


def changes(old: Any, new: Any, **options: bool) -> list[str]:
    return [NAMES[one.change] for one in schema(new).compare(schema(old), **options)]


def rows() -> list[tuple[str, str, str, str]]:
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0].strip())
def test_the_table_of_the_page_is_so(row: tuple[str, str, str, str]) -> None:
    _, old, new, means = row
    documents = [json.loads(text.replace("\\|", "|")) for text in (old, new)]
    found = changes(*documents)
    assert found == ([] if means == "nothing" else [means])


def test_the_table_of_the_page_is_found() -> None:
    assert len(rows()) > 20


def test_a_difference_is_told() -> None:
    old = schema({"properties": {"a": {"properties": {"b/c": {"minimum": 1}}}}})
    new = schema({"properties": {"a": {"properties": {"b/c": {"minimum": 0}}}}})
    [one] = new.compare(old)
    assert (one.pointer, one.keyword, one.change) == ("/a/b~1c", "minimum", pb.SCHEMA_CHANGE_WIDER)
    assert one.message == "`minimum` is `0`, it was `1`"


def test_events_are_objects() -> None:
    # No event is refused because its data must be an object.
    assert changes({}, {"type": "object"}) == []
    assert changes({}, {"type": "object"}, events=False) == ["narrower"]
    assert changes({"type": "string"}, {"type": "string", "maxLength": 3}) == []


def test_formats_that_are_checked_now_are_told() -> None:
    document = {"properties": {"id": {"type": "string", "format": "uuid"}}}
    [one] = schema(document, formats=True).compare(schema(document))
    assert (one.pointer, one.keyword, NAMES[one.change]) == ("/id", "format", "narrower")


def test_at_most_so_many_differences_are_told() -> None:
    def count(properties: int) -> int:
        named: dict[str, Any] = {str(name): {} for name in range(properties)}
        old = {"properties": named}
        return len(changes(old, old | {"required": list(named)}))

    assert (count(1_000), count(1_001)) == (1_000, 1_000)


def test_a_schema_is_tried_on_a_page() -> None:
    events = [("T", b'{"n":1}'), ("T", b'{"n":"x"}'), ("T", b"{}"), ("T", b'{"m":2}')]
    batch = page(events, first=5, streams=["a-1"] * 4)
    tried = schema({"properties": {"n": {"type": "integer"}}, "required": ["n"]})
    trial = tried.try_batch(batch, None, 2)
    assert (trial.events, trial.misfits) == (4, 3)
    [(stream, version, position, event_id, [violation], error), second] = trial.first
    assert (stream, version, position, error) == ("a-1", 6, 6, None)
    assert event_id == batch.event_id(1)
    assert (violation.pointer, violation.rule) == ("/n", "type")
    assert second[1] == 7

    mapping = _core.Mapping("mapping: T\nrenames: {m: n}\n")
    mapped = tried.try_batch(batch, mapping, 5)
    assert [misfit[1] for misfit in mapped.first] == [6, 7]
    failing = _core.Mapping("mapping: T\ncomputed: {n: 'event.m + 1'}\n")
    misfits = tried.try_batch(batch, failing, 5).first
    [first, *_] = misfits
    assert isinstance(first[5], _core.CoreError)
    assert (first[4], first[5].reason) == ([], "MAPPING_FAILED")


def test_fields_that_a_fold_reads_and_no_schema_describes() -> None:
    fold = _core.Fold(
        "fold: f\ninitial: {}\nhandlers:\n"
        "  Described: {a: event.a, b: event.b, c: event.c}\n  Other: {x: event.x}\n"
    )
    schemas = [("Described", 1, schema({"properties": {"a": {}}}))]
    rules = _core.Rules(1, schemas=schemas)
    assert rules.undeclared_fields(fold) == [("Described", "b"), ("Described", "c")]
    mapping = _core.Mapping("mapping: Described\ndefaults: {b: 1}\n")
    mapped = _core.Rules(1, schemas=schemas, mappings=[mapping])
    assert mapped.undeclared_fields(fold) == [("Described", "c")]
