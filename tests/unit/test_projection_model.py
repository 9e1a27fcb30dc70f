"""Goal: the core folds by keys as the documented semantics say, however the events are cut.

Method: Hypothesis makes documents, events of several streams, and cuts; a model in plain Python
(`tests/support`) folds the same one event at a time. Rows, states, columns, lists of parked keys,
and where a projection stops must be equal.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given, reject, settings
from hypothesis import strategies as st
from tests.support.fold_model import OutOfModel, encode, lets_named, ordered
from tests.support.fold_strategies import (
    CASES,
    DATA,
    EXPRESSIONS,
    FIRST_LET,
    SECOND_LET,
    SMALL,
)
from tests.support.pages import OIDS, array
from tests.support.projection_model import Event, Table, project, shown, text_of

from eventfold import _core


def mostly(calm: st.SearchStrategy[Any], wild: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One in twelve is wild: documents of wild parts alone fail at their first event."""
    return st.integers(0, 11).flatmap(lambda drawn: wild if drawn == 7 else calm)


STATE = st.sampled_from(["a", "b", "m", "l"])
ROW_LEAVES = st.one_of(
    st.tuples(st.just("literal"), st.sampled_from([0, 1, "s", True, None])),
    st.tuples(st.just("state"), STATE),
    st.tuples(st.just("size"), STATE),
    st.just(("let", "key")),
)
ROW_EXPRESSIONS = st.recursive(
    ROW_LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "*", "==", "<"]), inner, inner),
        st.tuples(st.just("if"), inner, inner, inner),
        st.tuples(st.just("list"), inner),
    ),
    max_leaves=3,
)
CALM_ASSIGNMENTS = [
    (["a"], ("+", ("state", "a"), ("maybe", "x", ("literal", 1)))),
    (["a"], ("maybe", "x", ("literal", 0))),
    (["b"], ("maybe", "key", ("literal", "s"))),
    (["l"], ("+", ("state", "l"), ("list", ("maybe", "key", ("literal", "s"))))),
    (["m", ("maybe", "key", ("literal", "s"))], ("version",)),
    (["m", "k"], ("optional", "y")),
    (["b"], ("none",)),
]
CALM_CONDITIONS = [None, None, ("<", ("size", "l"), ("literal", 3)), ("has", "x"), ("has", "y")]
CALM_CASES = st.fixed_dictionaries(
    {
        "when": st.sampled_from(CALM_CONDITIONS),
        "assign": st.one_of(
            st.lists(
                st.sampled_from(CALM_ASSIGNMENTS),
                max_size=3,
                unique_by=lambda pair: str(pair[0][0]),
            ),
            st.sampled_from(CALM_ASSIGNMENTS).map(lambda pair: [pair]),
            st.none(),
        ),
    }
)
ANY_CASES = mostly(CALM_CASES, CASES)
CALM_WHERE = st.sampled_from(
    [
        None,
        ("<", ("size", "l"), ("literal", 2)),
        ("==", ("let", "key"), ("literal", "k")),
        ("<", ("literal", 0), ("state", "a")),
    ]
)
WHERE = mostly(
    CALM_WHERE, st.tuples(st.sampled_from(["==", "<"]), ROW_EXPRESSIONS, ROW_EXPRESSIONS)
)
KEY_OF_EVENT = ("maybe", "key", ("literal", "s"))
KEYS = mostly(
    st.sampled_from([None, KEY_OF_EVENT, ("event", "x")]),
    EXPRESSIONS.filter(lambda expr: not lets_named(expr) and "state" not in str(expr)),
)
TYPES = st.sampled_from(["text", "boolean", "integer", "numeric", "numeric(3,1)", "text[]"])
CALM_COLUMNS = st.sampled_from(
    [
        ("numeric", ("state", "a")),
        ("integer", ("size", "m")),
        ("jsonb", ("state", "m")),
        ("jsonb", ("state", "l")),
        ("text", ("let", "key")),
        ("numeric(3,1)", ("state", "a")),
        ("text[]", ("list", ("let", "key"))),
        ("boolean", ("==", ("state", "a"), ("literal", 1))),
    ]
)
WILD_COLUMNS = st.tuples(TYPES, st.one_of(st.tuples(st.just("state"), STATE), ROW_EXPRESSIONS))
COLUMNS = st.dictionaries(
    st.sampled_from(["one", "two", "a"]),
    mostly(CALM_COLUMNS, WILD_COLUMNS),
    min_size=1,
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "initial": st.just({"a": 0, "l": [], "m": {"k": [1, {"k": 2}]}}),
        "let": mostly(
            st.just({}), st.fixed_dictionaries({"first": FIRST_LET, "second": SECOND_LET})
        ),
        "handlers": st.fixed_dictionaries(
            {
                "A": st.lists(ANY_CASES, min_size=1, max_size=2),
                "B": st.lists(ANY_CASES, max_size=2),
            }
        ),
        "resolve": st.just({}),
        "key": KEYS,
        "where": WHERE,
        "columns": COLUMNS,
        "parks": st.booleans(),
    }
)
# Documents whose events refer to others, some of them before they are there.
OF_OTHER = ("if", ("gone", "of"), ("literal", "s"), ("of", "of", "key"))
RESOLVING_ASSIGNMENTS = [
    (["a"], ("+", ("state", "a"), ("of", "of", "x"))),
    (["a"], ("if", ("gone", "by"), ("literal", 2), ("of", "by", "x"))),
    (["b"], OF_OTHER),
    (["l"], ("+", ("state", "l"), ("list", ("let", "by")))),
    (["m", OF_OTHER], ("let", "of")),
    (["m", "k"], ("let", "first")),
]
RESOLVING_CASES = st.fixed_dictionaries(
    {
        "when": st.sampled_from([*CALM_CONDITIONS, ("known", "of"), ("gone", "by")]),
        "assign": st.lists(
            st.sampled_from([*RESOLVING_ASSIGNMENTS, *CALM_ASSIGNMENTS]),
            min_size=1,
            max_size=3,
            unique_by=lambda pair: str(pair[0][0]),
        ),
    }
)
RESOLVING = st.fixed_dictionaries(
    {
        "initial": st.just({"a": 0, "l": [], "m": {"k": [1, {"k": 2}]}}),
        "let": st.sampled_from([{}, {"first": ("gone", "of"), "second": ("let", "by")}]),
        "handlers": st.fixed_dictionaries(
            {
                "A": st.lists(RESOLVING_CASES, min_size=1, max_size=2),
                "B": st.lists(ANY_CASES, max_size=2),
            }
        ),
        "resolve": st.fixed_dictionaries(
            {
                "of": mostly(st.just(("event", "of")), st.just(("optional", "x"))),
                "by": st.sampled_from(
                    [("optional", "by"), ("maybe", "by", ("literal", None)), ("event", "of")]
                ),
            }
        ),
        "key": st.sampled_from([None, KEY_OF_EVENT, OF_OTHER, OF_OTHER]),
        "where": CALM_WHERE,
        "columns": COLUMNS,
        "parks": st.booleans(),
    }
)
IDS = st.one_of(
    st.integers(1, 16).map(lambda position: Event("", "", {}, 0, position).id),
    st.integers(1, 8).map(lambda position: Event("", "", {}, 0, position).id.upper()),
    st.integers(1, 5).map(lambda position: Event("", "", {}, 0, position).id),
    st.none(),
)
ANY_IDS = mostly(IDS, st.sampled_from(["", "x", 7, True]))
REFERRING = st.lists(
    st.tuples(
        st.sampled_from(["a-1", "a-1", "b-1"]),
        st.sampled_from(["A", "A", "A", "B", "C", "C"]),
        st.fixed_dictionaries(
            {"x": SMALL, "key": st.sampled_from(["k", "l"]), "of": ANY_IDS}, optional={"by": IDS}
        ),
    ),
    min_size=5,
    max_size=16,
)
CALM_DATA = st.fixed_dictionaries({"x": SMALL, "y": SMALL, "key": st.sampled_from(["k", "l", 1])})
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a-1", "a-1", "b-1"]),
        st.sampled_from(["A", "A", "A", "B", "B", "C"]),
        mostly(CALM_DATA, DATA),
    ),
    min_size=5,
    max_size=16,
)


def page(events: list[Event]) -> _core.Batch:
    columns: dict[int, list[Any]] = {
        0: [event.stream.encode() for event in events],
        1: [struct.pack(">q", event.version) for event in events],
        2: [struct.pack(">q", event.position) for event in events],
        3: [struct.pack(">qq", 1, event.position) for event in events],
        4: [event.kind.encode() for event in events],
        5: [None if event.deleted else encode(event.data).encode() for event in events],
        8: [struct.pack(">q", 0)] * len(events),
        10: [b"me"] * len(events),
        11: [struct.pack(">i", 1)] * len(events),
        15: [bytes([event.deleted]) for event in events],
    }
    cells = [columns.get(column) for column in range(len(OIDS))]
    return _core.Batch(
        [array(oid, cell) if cell else None for oid, cell in zip(OIDS, cells, strict=True)]
    )


def log_of(drawn: list[tuple[str, str, Any]], deleted: Collection[int] = ()) -> list[Event]:
    """A log; of the events at these positions only those are deleted that nobody folds."""
    versions: dict[str, int] = {}
    events = []
    for position, (stream, kind, data) in enumerate(drawn, 1):
        versions[stream] = versions.get(stream, 0) + 1
        gone = kind == "C" and position in deleted
        events.append(Event(stream, kind, data, versions[stream], position, gone))
    return events


def path_of(error: _core.CoreError) -> str:
    return error.facts["path"] if error.reason == "PROJECTION_FAILED" else ""


def compare(document: dict[str, Any], table: _core.ProjectedTable, expected: Table) -> None:
    kinds = [kind for kind, _ in document["columns"].values()]
    stopped = table.stopped and (path_of(table.stopped), table.position + 1)
    assert stopped == expected.stopped
    assert table.events == expected.events
    parked = {key: (path_of(error), positions) for key, error, positions in table.parked}
    assert parked == expected.parked
    assert [row[0] for row in table.rows] == sorted(expected.rows, key=str.encode)
    for key, state, visible, version, position, columns in table.rows:
        row = expected.rows[key]
        assert ordered(json.loads(state, parse_float=Decimal)) == ordered(row.state)
        assert (visible, version, position) == (row.shown, row.version, row.position)
        found = tuple(shown(kind, text) for kind, text in zip(kinds, columns, strict=True))
        assert found == row.columns


@settings(max_examples=400, deadline=None)
@given(document=DOCUMENTS, drawn=EVENTS, cuts=st.sets(st.integers(1, 15)))
def test_the_core_projects_as_the_model(
    document: dict[str, Any], drawn: list[tuple[str, str, Any]], cuts: set[int]
) -> None:
    try:
        compiled = _core.Projection(text_of(document))
    except _core.CoreError:
        # What surely fails, such as adding a text to a number, need not compile.
        return
    events = log_of(drawn)
    try:
        expected = project(document, events)
    except OutOfModel:
        reject()
    compare(document, fed(compiled, events, cuts), expected)


@settings(max_examples=400, deadline=None)
@given(
    document=RESOLVING,
    drawn=REFERRING,
    cuts=st.sets(st.integers(1, 15)),
    deleted=st.sets(st.integers(1, 6)),
)
def test_events_that_refer_to_others(
    document: dict[str, Any],
    drawn: list[tuple[str, str, Any]],
    cuts: set[int],
    deleted: set[int],
) -> None:
    try:
        compiled = _core.Projection(text_of(document))
    except _core.CoreError:
        return
    events = log_of(drawn, deleted)
    try:
        expected = project(document, events)
    except OutOfModel:
        reject()
    compare(document, fed(compiled, events, cuts), expected)


def fed(compiled: _core.Projection, events: list[Event], cuts: set[int]) -> _core.ProjectedTable:
    table = _core.ProjectedTable(compiled)
    edges = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    for first, end in pairwise(edges):
        table.feed(page(events[first:end]))
    return table
