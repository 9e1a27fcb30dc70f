"""Goal: the core maps events as the documented semantics say, byte for byte.

Method: Hypothesis makes mapping documents and texts of events: nested paths, keys of any characters
however they are spelled, spaces everywhere, numbers in every form. A model in plain Python
(`tests/support`) makes the same changes one after the other; both must come to the same bytes, or
both to a failure. Documents whose places overlap must not compile.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from tests.support.mapping_model import Document, Failed, parse
from tests.support.mapping_strategies import DOCUMENTS, TEXTS

from eventfold import _core


@settings(max_examples=1500, deadline=None)
@given(document=DOCUMENTS, text=TEXTS)
@example(Document(renames={("a",): ("b", "c")}, defaults={("b", "c", "a"): 1}), '{"a": {}}')
@example(Document(renames={("a",): ("b",)}, defaults={("a", "b"): 1}), '{"a" :{"b":2}}')
@example(Document({("a",): ("b", "a")}, {("c",): 0, ("b", "b"): 0}), '{"c":1 }')
@example(Document({("b",): ("c", "a"), ("a",): ("c", "b")}), '{ "a" : 1 , "b" : 2 }')
def test_the_core_maps_as_the_model(document: Document, text: str) -> None:
    assert str(parse(text)) == text.strip()
    if not document.is_valid():
        with pytest.raises(_core.CoreError, match="INVALID_MAPPING"):
            _core.Mapping(document.source())
        return
    mapping = _core.Mapping(document.source())
    try:
        expected = document.apply(text)
    except Failed:
        with pytest.raises(_core.CoreError, match="MAPPING_FAILED"):
            mapping.apply(text.encode())
        return
    found = mapping.apply(text.encode())
    # What comes out as it went in is not mapped.
    assert (text if found is None else found.decode()) == expected
    assert found != text.encode()


@settings(max_examples=300, deadline=None)
@given(document=DOCUMENTS.filter(Document.is_valid), text=TEXTS)
def test_the_order_of_entries_has_no_meaning(document: Document, text: str) -> None:
    def turned(entries: dict) -> dict:  # type: ignore[type-arg]
        return dict(reversed(entries.items()))

    other = Document(*map(turned, (document.renames, document.defaults, document.computed)))
    mapping, again = _core.Mapping(document.source()), _core.Mapping(other.source())
    assert mapping.digest == again.digest
    results = []
    for one in (mapping, again):
        try:
            results.append(one.apply(text.encode()))
        except _core.CoreError as error:
            results.append(error.facts.get("path", "").encode())
    assert results[0] == results[1]
