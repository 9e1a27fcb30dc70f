"""Goal: the core folds as the documented semantics say, whatever the document and the events.

Method: Hypothesis makes documents and events; a model in plain Python, as simple as it can be,
folds the same, and both must come to equal states (order of keys included) or both to an error.
Expressions are trees that are written as CEL for the core, and evaluated here for the model.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventfold import _core

NAMES = ["a", "b", "m", "l"]
FIELDS = ["x", "y", "key"]
# Beyond this, ranges of numbers decide; they have tests of their own.
NUMBER_MAX = 10**15

Expr = tuple[Any, ...]


class ModelError(Exception):
    """The model has no value."""


class Remove:
    """What `optional.none()` stands for."""


REMOVE = Remove()


# Expressions: as CEL and as values.


def cel(expr: Expr) -> str:
    match expr:
        case ("literal", value):
            return f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str)
        case ("decimal", text):
            return f"decimal('{text}')"
        case ("event" | "state" as variable, name):
            return f"{variable}.{name}"
        case ("maybe", name, other):
            return f"event.?{name}.orValue({cel(other)})"
        case ("has", name):
            return f"has(event.{name})"
        case ("if", test, yes, no):
            return f"({cel(test)} ? {cel(yes)} : {cel(no)})"
        case ("list", *items):
            return "[" + ", ".join(map(cel, items)) + "]"
        case ("map", item):
            return "{'k': " + cel(item) + "}"
        case ("size", name):
            return f"size(state.{name})"
        case ("version",):
            return "meta.version"
        case ("none",):
            return "optional.none()"
        case (operator, left, right):
            return f"({cel(left)} {operator} {cel(right)})"
    raise AssertionError(expr)


def number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    if number(left) and number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return type(left) is type(right) and bool(left == right)


def operate(operator: str, left: Any, right: Any) -> Any:
    if operator == "==":
        return equal(left, right)
    if number(left) and number(right):
        if operator == "<":
            return left < right
        result = {"+": left + right, "-": left - right, "*": left * right}[operator]
        assume(abs(result) < NUMBER_MAX)
        return result
    if type(left) is type(right):
        if operator == "+" and isinstance(left, str | list):
            return left + right
        if operator == "<" and isinstance(left, str | bool):
            return left < right
    raise ModelError(operator)


def value_of(expr: Expr, state: Any, event: dict[str, Any], version: int) -> Any:
    def value(part: Expr) -> Any:
        return value_of(part, state, event, version)

    match expr:
        case ("literal", literal):
            return literal
        case ("decimal", text):
            return Decimal(text)
        case ("event" | "state" as variable, name):
            source = event if variable == "event" else state
            if not isinstance(source, dict) or name not in source:
                raise ModelError(name)
            return source[name]
        case ("maybe", name, other):
            return event[name] if name in event else value(other)
        case ("has", name):
            return name in event
        case ("if", test, yes, no):
            condition = value(test)
            if not isinstance(condition, bool):
                raise ModelError
            return value(yes) if condition else value(no)
        case ("list", *items):
            return [value(item) for item in items]
        case ("map", item):
            return {"k": value(item)}
        case ("size", name):
            sized = value(("state", name))
            if not isinstance(sized, str | list | dict):
                raise ModelError
            return len(sized)
        case ("version",):
            return version
        case ("none",):
            return REMOVE
        case (operator, left, right):
            return operate(operator, value(left), value(right))
    raise AssertionError(expr)


# Assignments.


def assign(target: Any, path: list[Any], value: Any) -> Any:
    """The target with the value at the path; nothing is changed in place."""
    if not path:
        if value is REMOVE:
            raise ModelError
        return value
    step, rest = path[0], path[1:]
    if isinstance(target, list):
        if isinstance(step, str) or not 0 <= step < len(target):
            raise ModelError
        if value is REMOVE and not rest:
            return target[:step] + target[step + 1 :]
        return [*target[:step], assign(target[step], rest, value), *target[step + 1 :]]
    if not isinstance(target, dict):
        raise ModelError
    key = str(step)
    if value is REMOVE and (not rest or key not in target):
        return {name: item for name, item in target.items() if name != key}
    return {**target, key: assign(target.get(key, {}), rest, value) if rest else value}


def step_of(part: str | Expr, state: Any, event: dict[str, Any], version: int) -> Any:
    if isinstance(part, str):
        return part
    step = value_of(part, state, event, version)
    if isinstance(step, bool):
        return str(step).lower()
    if isinstance(step, Decimal) and step == int(step):
        return int(step)
    if not isinstance(step, int | str):
        raise ModelError
    return step


def model(handlers: dict[str, Any], initial: Any, events: list[tuple[str, Any]]) -> Any:
    state, exists, deleted = initial, False, False
    for version, (kind, event) in enumerate(events, 1):
        changes, applies, deletes = [], False, False
        for case in handlers.get(kind, []):
            if case["when"] is not None:
                condition = value_of(case["when"], state, event, version)
                if not isinstance(condition, bool):
                    raise ModelError
                if not condition:
                    continue
            applies = True
            if case["assign"] is None:
                deletes = True
                continue
            for path, right in case["assign"]:
                steps = [step_of(part, state, event, version) for part in path]
                changes.append((steps, value_of(right, state, event, version)))
        if deletes:
            state, exists, deleted = initial, False, True
        elif applies:
            for steps, value in changes:
                state = assign(state, steps, value)
            exists, deleted = True, False
        else:
            exists = exists or not deleted
    return (exists, None if deleted else state)


# Documents and events.


def path_text(path: list[str | Expr]) -> str:
    text = ""
    for part in path:
        if isinstance(part, str):
            text += f".{part}" if text else part
        else:
            text += f"[{cel(part)}]"
    return text


def document(handlers: dict[str, Any], initial: Any) -> str:
    def case(entry: dict[str, Any]) -> Any:
        written = {} if entry["when"] is None else {"when": cel(entry["when"])}
        if entry["assign"] is None:
            return written | {"delete": True} if written else "delete"
        return written | {path_text(path): cel(right) for path, right in entry["assign"]}

    cases = {kind: [case(entry) for entry in entries] for kind, entries in handlers.items()}
    return json.dumps({"fold": "f", "initial": initial, "handlers": cases})


LEAVES = st.one_of(
    st.tuples(st.just("literal"), st.sampled_from([0, 1, 2, "s", "", True, False, None])),
    st.tuples(st.just("decimal"), st.sampled_from(["0.1", "1.50", "-2.25"])),
    st.tuples(st.just("event"), st.sampled_from(FIELDS)),
    st.tuples(st.just("state"), st.sampled_from(NAMES)),
    st.tuples(st.just("has"), st.sampled_from(FIELDS)),
    st.tuples(st.just("size"), st.sampled_from(NAMES)),
    st.just(("version",)),
)
EXPRESSIONS: st.SearchStrategy[Expr] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "==", "<"]), inner, inner),
        st.tuples(st.just("+"), st.just(("state", "l")), st.tuples(st.just("list"), inner)),
        st.tuples(st.just("if"), inner, inner, inner),
        st.tuples(st.just("maybe"), st.sampled_from(FIELDS), inner),
        st.tuples(st.just("list"), inner),
        st.tuples(st.just("map"), inner),
    ),
    max_leaves=6,
)
PATHS = st.lists(
    st.one_of(st.sampled_from(NAMES), st.tuples(st.just("event"), st.sampled_from(FIELDS))),
    min_size=1,
    max_size=3,
).filter(lambda path: isinstance(path[0], str) or len(path) == 1)
ASSIGNMENTS = st.lists(
    st.tuples(PATHS, st.one_of(EXPRESSIONS, st.just(("none",)))),
    max_size=3,
    unique_by=lambda pair: path_text(pair[0]),
)
CONDITIONS = st.one_of(
    st.tuples(st.just("has"), st.sampled_from(FIELDS)),
    st.tuples(st.sampled_from(["==", "<"]), EXPRESSIONS, EXPRESSIONS),
    st.tuples(st.just("event"), st.sampled_from(FIELDS)),
)
CASES = st.fixed_dictionaries(
    {
        "when": st.one_of(st.none(), st.none(), CONDITIONS),
        "assign": st.one_of(ASSIGNMENTS, ASSIGNMENTS, ASSIGNMENTS, st.none()),
    }
)
HANDLERS = st.fixed_dictionaries(
    {"A": st.lists(CASES, min_size=1, max_size=2), "B": st.lists(CASES, max_size=2)}
)
VALUES = st.recursive(
    st.sampled_from([0, 1, 7, -3, Decimal("0.10"), Decimal("2.5"), "a", "l", "", True, None]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["k", "7"]), inner)
    ),
    max_leaves=4,
)
SMALL = st.sampled_from([0, 1, Decimal("0.10"), 7, -3])
DATA = st.one_of(
    st.fixed_dictionaries({"x": SMALL, "y": VALUES, "key": st.sampled_from(["k", "l", 1, "7"])}),
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
)
EVENTS = st.lists(st.tuples(st.sampled_from(["A", "A", "B", "C"]), DATA), min_size=1, max_size=8)
INITIAL = {"a": 0, "l": [], "m": {"k": [1, {"k": 2}]}}


def encode(value: Any) -> str:
    """JSON with decimals as their digits."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{encode(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def ordered(value: Any) -> Any:
    """A form in which the order of keys counts, bools are no numbers, and 2 equals 2.0."""
    if isinstance(value, dict):
        return ("map", [(key, ordered(item)) for key, item in value.items()])
    if isinstance(value, list):
        return ("list", [ordered(item) for item in value])
    return ("number", Decimal(value)) if number(value) else (type(value), value)


@settings(max_examples=300, deadline=None)
@given(handlers=HANDLERS, events=EVENTS)
def test_the_core_folds_as_the_model(handlers: dict[str, Any], events: Any) -> None:
    try:
        fold = _core.Fold(document(handlers, INITIAL))
    except _core.CoreError:
        # What surely fails, such as adding a text to a number, need not compile.
        return
    try:
        expected = model(handlers, INITIAL, events)
    except ModelError:
        expected = None
    run = fold.run("a-1", "a-1")
    try:
        for version, (kind, event) in enumerate(events, 1):
            event_id = f"00000000-0000-0000-0000-{version:012d}"
            data = encode(event).encode()
            run.feed_event(kind, data, b"", [], event_id, version, version, 0, 0, "w")
        result = run.finish()
        state = json.loads(result.state, parse_float=Decimal)
        found = (result.exists, state)
    except _core.CoreError:
        found = None
    if expected is None or found is None:
        assert expected == found
    else:
        assert (found[0], ordered(found[1])) == (expected[0], ordered(expected[1]))
