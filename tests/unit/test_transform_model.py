"""Goal: the core copies events as the documented semantics of transforms say, byte for byte.

Method: Hypothesis makes transform documents and pages of events. A model in plain Python
(`tests/support`) copies one event after the other; both must come to the same copies, or both to a
failure of the same event, with the copies of those before it and of those behind it. Documents
whose paths overlap, or whose expressions cannot be what they must be, must not compile.
"""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.support.mapping_model import Failed
from tests.support.mapping_strategies import EXPRESSIONS, KEYS, PATHS, TEXTS
from tests.support.transform_model import Copy, Document, Rule
from tests.support.transforms import JOB, Source, page

from eventfold import _core

RULES = _core.Rules(0)
TYPES = st.sampled_from(["A", "B", "$Closed"])
FIELDS = st.tuples(st.just("field"), st.lists(KEYS, min_size=1, max_size=1).map(tuple))
LITERALS = st.sampled_from([True, False, "b-9", "c-1", ["t"], {"a": 1}, {}, 5])
VALUES = st.one_of(FIELDS, FIELDS, st.tuples(st.just("literal"), LITERALS), EXPRESSIONS)
SHAPES = st.one_of(st.none(), VALUES, st.dictionaries(PATHS, EXPRESSIONS, max_size=2))
NEW_TYPES = st.sampled_from(["A", "New", "é"])
RULE = st.builds(
    Rule,
    type=st.none() | NEW_TYPES,
    when=st.none() | VALUES,
    stream=st.none() | VALUES,
    data=SHAPES,
    metadata=SHAPES,
    tags=st.none() | VALUES,
)
LIKELY = st.one_of(st.builds(Rule, type=NEW_TYPES, data=SHAPES), RULE)
DOCUMENTS = st.builds(
    Document,
    types=st.dictionaries(TYPES, st.lists(LIKELY, max_size=2), max_size=2),
    keeps_others=st.booleans(),
    lists=st.booleans(),
).filter(lambda one: all(rule.type for rule in one.types.get("$Closed", [])))
TELLING = st.sampled_from(
    [
        '{"a":"b-7","b":true,"c":["t","u"]}',
        '{ "b" : "b-\\u00e9" , "a":{"b":{}} , "c":false }',
        '{"a":true,"b":["u"],"c":{"a":1.50}}',
        '{"a":["",1],"b":"a-1","c":"b-"}',
    ]
)
EVENTS = st.builds(
    Source,
    type=TYPES,
    data=st.one_of(TEXTS, TELLING).map(str.encode),
    stream=st.sampled_from(["a-1", "a-b-c"]),
    metadata=st.sampled_from([b"{}", b'{ "a" : {"b":1.50} , "m":[] }']),
    tags=st.sampled_from([[], ["t"], ["a", "ß"]]),
    flags=st.sampled_from([0, 3]),
    deleted=st.sampled_from([False] * 7 + [True]),
)


def copies_of(copies: _core.Transformed) -> list[Copy]:
    """Copies by the argument of their appends."""
    found = []
    for append in copies.appends:
        columns = append.columns(-2, "me")
        ends = [0, *columns[8]]
        for n in range(append.events):
            tags = columns[7][ends[n] : ends[n + 1]]
            data, metadata = columns[5][n].decode(), columns[6][n].decode()
            where = columns[3][n], append.stream, columns[4][n]
            found.append(Copy(*where, data, metadata, tags, columns[17][n]))
    return found


@settings(max_examples=1500, deadline=None)
@given(
    document=st.one_of(DOCUMENTS, *[DOCUMENTS.filter(Document.is_valid)] * 4),
    events=st.lists(EVENTS, min_size=1, max_size=4),
)
def test_the_core_copies_as_the_model(document: Document, events: list[Source]) -> None:
    if not document.is_valid():
        event("does not compile")
        with pytest.raises(_core.CoreError, match="INVALID_TRANSFORM"):
            _core.Transform(document.source())
        return
    transform = _core.Transform(document.source())
    first = 0
    while first < len(events):
        copies = transform.apply(page(events), JOB, RULES, first=first)
        expected: list[Copy] = []
        failed = None
        for number in range(first, len(events)):
            try:
                expected += document.apply(number, events[number])
            except Failed:
                failed = number
                break
        event("fails" if failed is not None else f"{min(len(expected), 3)} copies")
        assert (copies.failed is None) == (failed is None)
        # Of one stream in their order; which stream is first does not matter.
        in_order = sorted(expected, key=lambda copy: copy.stream)
        assert sorted(copies_of(copies), key=lambda copy: copy.stream) == in_order
        assert copies.events == sum(count.written for count in copies.counts) == len(expected)
        assert copies.next == (len(events) if failed is None else failed)
        if copies.failed is not None:
            assert copies.failed.reason == "TRANSFORM_FAILED"
            assert copies.failed.facts["position"] == str(copies.next + 101)
        first = copies.next + 1
