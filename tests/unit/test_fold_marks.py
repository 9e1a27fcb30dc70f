"""Goal: what a fold can keep of personal values is known before any event.

Method: Hypothesis makes folds of expressions of every kind, declarations, and events whose personal
values hold a text that nothing else has. Wherever that text comes to stand in a state, as a value
or in a key, and whatever of the state is absent once these values are erased: a marked path leads
there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import strategies as st

from eventfold import _core
from eventfold.v1 import event_store_pb2 as pb

CANARY = "canary"

LEAVES = st.sampled_from(
    [
        *("event.x", "event.y", "event.z", "event", "event.y.k", "event['x']", "event.y[0]"),
        *("event.?y.?k.orValue('n')", "state.?a.orValue('n')", "state", "state.a", "state.b"),
        *("state.m", "state.l", "state.m.k", "'s'", "1", "['s']", "{'k': 's'}", "meta.id", "named"),
    ]
)
# What is done to one value, with `{}` for it, and to two.
UNARY = [
    "[{}]", "{{'k': {}}}", "{{'k': [{}], 'j': 1}}", "{}.map(i, i)", "{}.filter(i, true)", "{}[0]",
    "{}.map(i, [i])", "{}.transformList(k, v, v)", "{}.transformMap(k, v, v)", "{}.k",
    "{}.transformMapEntry(k, v, {{'k': v}})", "{}.transformList(k, v, k)", "string({})", "size({})",
    "'%s'.format([{}])", "{}.upperAscii()", "{}.split('a')", "{}.join('-')", "{}.reverse()",
    "cel.bind(c, {}, [c, 's'])", "optional.of({}).optMap(o, o + 's').orValue('n')", "({} == 's')",
    "{}.first().orValue('n')", "[[{}]].flatten()", "[{}].slice(0, 1)", "[{}].sortBy(i, 1)",
    "[?optional.of({})]", "dyn({})", "{}.?k.orValue({}.?j.orValue('n'))", "type({}) == string",
    "[{}].last().value()", "optional.unwrap([optional.of({})])", "{}.exists(i, i == 's')",
    "{{'k': 's', 'j': 't'}}[?{}].orValue('n')", "{}.substring(1)", "math.greatest([size({}), 1])",
]  # fmt: skip
BINARY = [
    "({} + {})", "(true ? {} : {})", "[{}, {}]", "{{'k': {}, 'j': {}}}",
    "(size({}) > 3 ? 's' : {})", "[{}].map(i, {})", "cel.bind(c, {}, {})",
    "[{}].map(i, size(i) > 0, {})",
]  # fmt: skip
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda form, one: form.format(one, one), st.sampled_from(UNARY), inner),
        st.builds(
            lambda form, one, two: form.format(one, two), st.sampled_from(BINARY), inner, inner
        ),
    ),
    max_leaves=4,
)
PATHS = st.sampled_from(["a", "b", "m.k", "l", "m.j.k", "m[meta.id]", "m[event.x]", "l[0]", "m"])
CASES = st.dictionaries(PATHS, EXPRESSIONS, min_size=1, max_size=2)
POINTERS = st.lists(
    st.sampled_from(["/x", "/y", "/y/k", "/y/*", "/y/0", "/*/k", "/z/k/*"]), max_size=2
)
VALUES = st.recursive(
    st.sampled_from(["s", "text", 1, True]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2),
        st.dictionaries(st.sampled_from(["k", "j"]), inner, min_size=1),
    ),
    max_leaves=4,
)
DATA = st.fixed_dictionaries({"x": VALUES, "y": VALUES, "z": VALUES})
EVENTS = st.lists(st.tuples(st.sampled_from("AB"), DATA), min_size=1, max_size=5)


def document_of(handlers: dict[str, Any]) -> str:
    initial = {"a": "s", "b": "s", "m": {"k": "s"}, "l": ["s"]}
    document = {"fold": "f", "initial": initial, "let": {"named": "event.?x"}, "handlers": handlers}
    return json.dumps(document)


def covers(pattern: str, pointer: str) -> bool:
    """Whether a pattern leads to a place, or to one around it."""
    steps, place = pattern.split("/"), pointer.split("/")
    pairs = zip(steps, place, strict=False)
    return len(steps) <= len(place) and all(one in ("*", other) for one, other in pairs)


def planted(value: Any, patterns: list[str], found: list[str], pointer: str = "") -> Any:
    """The value with a text of its own wherever a pattern leads; `found` takes the outermost."""
    if any(covers(pattern, pointer) and pattern for pattern in patterns):
        if not any(covers(known, pointer) for known in found):
            found.append(pointer)
        if isinstance(value, str | int):
            return CANARY
    if isinstance(value, dict):
        return {
            key: planted(item, patterns, found, f"{pointer}/{key}") for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            planted(item, patterns, found, f"{pointer}/{index}") for index, item in enumerate(value)
        ]
    return value


def places(value: Any, pointer: str = "") -> Iterator[str]:
    """Pointers to all that holds the text; where it is part of a key, to the map."""
    if isinstance(value, str) and CANARY in value.lower():
        yield pointer
    elif isinstance(value, dict):
        for key, item in value.items():
            if CANARY in key.lower():
                yield pointer
            yield from places(item, f"{pointer}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, f"{pointer}/{index}")


def erased(value: Any, gone: list[str], pointer: str = "") -> Any:
    if pointer in gone:
        return None
    if isinstance(value, dict):
        return {key: erased(item, gone, f"{pointer}/{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [erased(item, gone, f"{pointer}/{index}") for index, item in enumerate(value)]
    return value


def message(kind: str, data: Any, version: int, gone: list[str]) -> _core.RecordedEvent:
    event = pb.RecordedEvent(
        id=f"00000000-0000-0000-0000-{version:012d}",
        stream="a-1",
        type=kind,
        version=version,
        position=version,
        data=json.dumps(data).encode(),
        erased_paths=gone,
    )
    return _core.RecordedEvent(event.SerializeToString())


@settings(max_examples=400, deadline=None)
@given(first=CASES, second=CASES, of_a=POINTERS, of_b=POINTERS, events=EVENTS)
def test_marked_paths_lead_to_all_that_is_personal(
    first: Any, second: Any, of_a: list[str], of_b: list[str], events: Any
) -> None:
    try:
        fold = _core.Fold(document_of({"A": first, "B": second}))
        marked = fold.personal_paths({"A": of_a, "B": of_b})
    except _core.CoreError as refusal:
        seen(refusal.reason)
        refused = refusal.reason
    else:
        refused = ""
    if refused:
        assert refused in ("INVALID_FOLD", "PERSONAL_KEY")
        return
    plain, gone = fold.run("a-1", "a-1"), fold.run("a-1", "a-1")
    for version, (kind, data) in enumerate(events, 1):
        personal: list[str] = []
        data = planted(data, of_a if kind == "A" else of_b, personal)
        try:
            plain.feed_recorded(message(kind, data, version, []))
            held = list(places(json.loads(plain.finish().state)))
            seen(f"holds: {bool(held)}")
            for place in held:
                assert any(covers(pattern, place) for pattern in marked), (place, marked)
        except _core.CoreError:
            pass
        try:
            gone.feed_recorded(message(kind, erased(data, personal), version, personal))
            for place in gone.finish().erased_paths:
                assert any(covers(pattern, place) for pattern in marked), (place, marked)
        except _core.CoreError:
            pass
