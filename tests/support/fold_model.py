"""What fold documents mean, in plain Python and as simple as it can be.

Expressions are trees: `cel` writes them as CEL for the core, `value_of` evaluates them here. `fold`
takes events to the state behind them, `text_of` writes the document that it folds by.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

# Beyond this, ranges of numbers decide.
NUMBER_MAX = 10**15

Expr = tuple[Any, ...]


class ModelError(Exception):
    """The model has no value."""


class OutOfModel(Exception):
    """The model does not say: ranges of numbers have tests of their own."""


class Remove:
    """What an absent optional stands for."""


REMOVE = Remove()


@dataclass(frozen=True)
class Absent:
    """What stands in place of a value that was erased, or that the reader may not see."""

    word: str


ERASED = Absent("erased")
WITHHELD = Absent("withheld")


def absent(*values: Any) -> Absent | None:
    """What is made of these values, if one of them is absent."""
    found = [value for value in values if isinstance(value, Absent)]
    return (ERASED if ERASED in found else WITHHELD) if found else None


@dataclass(frozen=True)
class Scope:
    """What the expressions of one event see."""

    state: Any
    event: dict[str, Any]
    version: int
    lets: dict[str, Any] = field(default_factory=dict)


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
        case ("let", name):
            return str(name)
        case ("of", name, part):
            return f"{name}.data.{part}"
        case ("known", name):
            return f"({name} != null)"
        case ("gone", name):
            return f"({name} == null || {name}.deleted)"
        case ("none",):
            return "optional.none()"
        case ("some", inner):
            return f"optional.of({cel(inner)})"
        case ("optional", name):
            return f"event.?{name}"
        case (operator, left, right):
            return f"({cel(left)} {operator} {cel(right)})"
    raise AssertionError(expr)


def number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    if absent(left, right):
        return False
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
    if gone := absent(left, right):
        return False if operator == "<" else gone
    if number(left) and number(right):
        if operator == "<":
            return left < right
        result = {"+": left + right, "-": left - right, "*": left * right}[operator]
        if abs(result) >= NUMBER_MAX:
            raise OutOfModel
        return result
    if type(left) is type(right):
        if operator == "+" and isinstance(left, str | list):
            return left + right
        if operator == "<" and isinstance(left, str | bool):
            return left < right
    raise ModelError(operator)


def value_of(expr: Expr, scope: Scope) -> Any:
    def value(part: Expr) -> Any:
        return value_of(part, scope)

    event = scope.event
    match expr:
        case ("literal", literal):
            return literal
        case ("decimal", text):
            return Decimal(text)
        case ("event" | "state" as variable, name):
            source = event if variable == "event" else scope.state
            if not isinstance(source, dict) or name not in source:
                raise ModelError(name)
            return source[name]
        case ("maybe", name, other):
            return event[name] if name in event else value(other)
        case ("has", name):
            return name in event
        case ("if", test, yes, no):
            condition = value(test)
            if isinstance(condition, Absent):
                condition = False
            if not isinstance(condition, bool):
                raise ModelError
            return value(yes) if condition else value(no)
        case ("list", *items):
            return [value(item) for item in items]
        case ("map", item):
            return {"k": value(item)}
        case ("size", name):
            sized = value(("state", name))
            if isinstance(sized, Absent):
                return 0
            if not isinstance(sized, str | list | dict):
                raise ModelError
            return len(sized)
        case ("version",):
            return scope.version
        case ("let", name):
            return scope.lets[name]
        case ("of", name, part):
            target = scope.lets[name]
            if target is None or part not in target.get("data", {}):
                raise ModelError(part)
            return target["data"][part]
        case ("known", name):
            return scope.lets[name] is not None
        case ("gone", name):
            return scope.lets[name] is None or scope.lets[name]["deleted"]
        case ("none",):
            return REMOVE
        case ("some", inner):
            return value(inner)
        case ("optional", name):
            return event.get(name, REMOVE)
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
    if isinstance(target, Absent):
        return target
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


def step_of(part: str | Expr, scope: Scope) -> Any:
    if isinstance(part, str):
        return part
    step = value_of(part, scope)
    if isinstance(step, Absent):
        return step
    if isinstance(step, bool):
        return str(step).lower()
    if isinstance(step, Decimal) and step == int(step):
        return int(step)
    if not isinstance(step, int | str):
        raise ModelError
    return step


def lets_named(part: Any) -> set[str]:
    """The names of `let` that expressions somewhere inside of `part` read, and those of events that
    the event refers to.
    """
    match part:
        case ("let" | "known" | "gone", str(name)) | ("of", str(name), _):
            return {name}
        case dict():
            return set().union(*map(lets_named, part.values()))
        case list() | tuple():
            return set().union(*map(lets_named, part))
    return set()


def names_needed(lets: dict[str, Expr], cases: Any) -> set[str]:
    """The names that the cases need, directly or through `let`s."""
    needed = lets_named(cases)
    for name in reversed(lets):
        if name in needed:
            needed |= lets_named(lets[name])
    return needed


def lets_of(lets: dict[str, Expr], cases: Any, scope: Scope) -> Scope:
    """The scope with the `let`s that the cases need, directly or through others."""
    needed = names_needed(lets, cases)
    for name, expr in lets.items():
        if name in needed:
            scope.lets[name] = value_of(expr, scope)
    return scope


def step(
    document: dict[str, Any],
    state: Any,
    kind: str,
    event: dict[str, Any],
    version: int,
    given: dict[str, Any] | None = None,
) -> tuple[str, Any]:
    """What one event does, `nothing`, `changes` or `deletes`, and the state behind it; `given` are
    values of further names.
    """
    cases = document["handlers"].get(kind, [])
    scope = lets_of(document["let"], cases, Scope(state, event, version, given or {}))
    changes, applies, deletes = [], False, False
    for case in cases:
        if case["when"] is not None:
            condition = value_of(case["when"], scope)
            if isinstance(condition, Absent):
                continue
            if not isinstance(condition, bool):
                raise ModelError
            if not condition:
                continue
        applies = True
        if case["assign"] is None:
            deletes = True
            continue
        for path, right in case["assign"]:
            steps = [step_of(part, scope) for part in path]
            if not absent(*steps):
                changes.append((steps, value_of(right, scope)))
    if deletes:
        return "deletes", document["initial"]
    for steps, value in changes:
        state = assign(state, steps, value)
    return ("changes" if applies else "nothing"), state


def fold(document: dict[str, Any], events: list[tuple[str, Any]]) -> tuple[bool, Any]:
    """Whether the aggregate exists after the events, and its state."""
    state, exists, deleted = document["initial"], False, False
    for version, (kind, event) in enumerate(events, 1):
        outcome, state = step(document, state, kind, event, version)
        if outcome == "nothing":
            exists = exists or not deleted
        else:
            deleted = outcome == "deletes"
            exists = not deleted
    return (exists, None if deleted else state)


# Documents as texts.


def path_text(path: list[str | Expr]) -> str:
    text = ""
    for part in path:
        if isinstance(part, str):
            text += f".{part}" if text else part
        else:
            text += f"[{cel(part)}]"
    return text


def text_of(document: dict[str, Any]) -> str:
    return json.dumps({"fold": "f", **parts_of(document)})


def parts_of(document: dict[str, Any]) -> dict[str, Any]:
    """What the text of a document says of the fold."""

    def case(entry: dict[str, Any]) -> Any:
        written = {} if entry["when"] is None else {"when": cel(entry["when"])}
        if entry["assign"] is None:
            return written | {"delete": True} if written else "delete"
        return written | {path_text(path): cel(right) for path, right in entry["assign"]}

    handlers = document["handlers"].items()
    return {
        "initial": document["initial"],
        "let": {name: cel(expr) for name, expr in document["let"].items()},
        "handlers": {kind: [case(entry) for entry in cases] for kind, cases in handlers},
    }


# Absent values as messages have them.


def without_absent(value: Any, pointer: str = "") -> tuple[Any, dict[Absent, list[str]]]:
    """The value with None in place of what is absent, and pointers to that."""
    found: dict[Absent, list[str]] = {ERASED: [], WITHHELD: []}

    def walk(value: Any, pointer: str) -> Any:
        match value:
            case Absent():
                found[value].append(pointer)
                return None
            case dict():
                return {key: walk(item, f"{pointer}/{key}") for key, item in value.items()}
            case list():
                return [walk(item, f"{pointer}/{index}") for index, item in enumerate(value)]
        return value

    return walk(value, pointer), found


# Values as texts, and to be compared.


def encode(value: Any) -> str:
    """JSON with decimals as their digits."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{encode(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    if isinstance(value, Absent):
        return value.word
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def ordered(value: Any) -> Any:
    """A form in which the order of keys counts, bools are no numbers, and 2 equals 2.0."""
    if isinstance(value, dict):
        return ("map", [(key, ordered(item)) for key, item in value.items()])
    if isinstance(value, list):
        return ("list", [ordered(item) for item in value])
    return ("number", Decimal(value)) if number(value) else (type(value), value)
