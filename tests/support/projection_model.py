"""What projection documents mean, in plain Python and as simple as it can be.

A document of the model is one of `fold_model` with `resolve`, expressions over the event by name;
`key`, an expression over the event, or None for the stream; `where`, one over the state, or None;
`columns`, types and expressions over the state by name; and `parks`. In expressions over the state,
`key` is a `let`; so is a name of `resolve` in those over the event.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.support.fold_model import (
    REMOVE,
    ModelError,
    Scope,
    cel,
    lets_named,
    names_needed,
    number,
    ordered,
    parts_of,
    step,
    value_of,
)

INTEGER_MAX = 2**31


class Failed(Exception):
    """An expression of a projection has no value, or one that does not fit; named by its path."""


@dataclass(frozen=True)
class Event:
    stream: str
    kind: str
    data: dict[str, Any]
    version: int
    position: int
    deleted: bool = False

    @property
    def id(self) -> str:
        return str(uuid.UUID(int=(1 << 64) + self.position))


@dataclass(frozen=True)
class Row:
    state: Any
    shown: bool
    version: int
    position: int
    columns: tuple[Any, ...]


@dataclass
class Table:
    rows: dict[str, Row] = field(default_factory=dict)
    # The path of the first failure (empty: in the fold), and the positions on the list.
    parked: dict[str, tuple[str, list[int]]] = field(default_factory=dict)
    events: int = 0
    # The path of a failure that stops, and the position of its event.
    stopped: tuple[str, int] | None = None


def target_of(event: Event) -> dict[str, Any]:
    """What expressions see of an event that others refer to."""
    if event.deleted:
        return {"deleted": True}
    return {
        "id": event.id,
        "stream": event.stream,
        "type": event.kind,
        "version": event.version,
        "position": event.position,
        "recorded_at": "2000-01-01T00:00:00Z",
        "data": event.data,
        "deleted": False,
    }


def given(
    document: dict[str, Any], event: Event, needed: set[str], log: dict[str, Event]
) -> dict[str, Any]:
    """The values of the names of `resolve` that are needed; `log` has the events before."""
    values: dict[str, Any] = {}
    for name, expr in document["resolve"].items():
        if name not in needed:
            continue
        try:
            found = value_of(expr, Scope({}, event.data, event.version))
            named = None if found is None or found is REMOVE else str(uuid.UUID(found))
        except (ModelError, ValueError, AttributeError, TypeError):
            raise Failed(f"resolve.{name}") from None
        values[name] = target_of(log[named]) if named in log else None
    return values


def key_of(document: dict[str, Any], event: Event, log: dict[str, Event]) -> str:
    if document["key"] is None:
        return event.stream
    lets = given(document, event, lets_named(document["key"]), log)
    try:
        value = value_of(document["key"], Scope({}, event.data, event.version, lets))
    except ModelError:
        raise Failed("key") from None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    if not isinstance(value, str) or not value:
        raise Failed("key")
    return value


def fitted(kind: str, value: Any) -> Any:
    """The value as a column of the type holds it, to be compared with `shown`."""
    if value is None or value is REMOVE:
        return None
    match kind:
        case "text" if isinstance(value, str):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" if number(value) and value == int(value):
            if -INTEGER_MAX <= value < INTEGER_MAX:
                return Decimal(value)
        case "numeric" if number(value):
            return Decimal(value)
        case "numeric(3,1)" if number(value):
            if value * 10 == int(value * 10) and abs(value) < 100:
                return Decimal(value)
        case "text[]" if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        case "jsonb":
            return ordered(value)
    raise ModelError


def shown(kind: str, text: str | None) -> Any:
    """The value that the core wrote as this text."""
    if text is None:
        return None
    match kind:
        case "boolean":
            return {"true": True, "false": False}[text]
        case "integer" | "numeric" | "numeric(3,1)":
            return Decimal(text)
        case "text[]":
            # Every item stands in quotes, escaped as in JSON: no other escapes come up here.
            return json.loads(f"[{text[1:-1]}]")
        case "jsonb":
            return ordered(json.loads(text, parse_float=Decimal))
    return text


def row_of(document: dict[str, Any], key: str, state: Any, event: Event) -> Row:
    scope = Scope(state, {}, event.version, {"key": key})

    def value(path: str, kind: str, expr: Any) -> Any:
        try:
            return fitted(kind, value_of(expr, scope))
        except ModelError:
            raise Failed(path) from None

    shows = True
    if document["where"] is not None:
        shows = value("where", "boolean", document["where"])
        if not isinstance(shows, bool):
            raise Failed("where")
    columns = tuple(
        value(f"columns.{name}", kind, expr) if shows else None
        for name, (kind, expr) in document["columns"].items()
    )
    return Row(state, shows, event.version, event.position, columns)


def project(document: dict[str, Any], events: list[Event]) -> Table:
    table = Table()
    log: dict[str, Event] = {}
    for event in events:
        if event.kind not in document["handlers"]:
            log[event.id] = event
            continue
        key, path = None, ""
        try:
            key = key_of(document, event, log)
            if key in table.parked:
                table.parked[key][1].append(event.position)
                continue
            fold_event(document, table, key, event, log)
            table.events += 1
            continue
        except ModelError:
            pass
        except Failed as failure:
            path = str(failure)
        finally:
            log[event.id] = event
        if key is None or not document["parks"]:
            table.stopped = (path, event.position)
            return table
        table.parked[key] = (path, [event.position])
    return table


def fold_event(
    document: dict[str, Any], table: Table, key: str, event: Event, log: dict[str, Event]
) -> None:
    before = table.rows.get(key)
    state = document["initial"] if before is None else before.state
    needed = names_needed(document["let"], document["handlers"][event.kind])
    lets = given(document, event, needed, log)
    outcome, state = step(document, state, event.kind, event.data, event.version, lets)
    if outcome == "deletes":
        table.rows.pop(key, None)
    elif outcome == "changes":
        table.rows[key] = row_of(document, key, state, event)


def text_of(document: dict[str, Any]) -> str:
    written = {
        "projection": "p",
        **parts_of(document),
        "columns": {
            name: {"type": kind, "value": cel(expr)}
            for name, (kind, expr) in document["columns"].items()
        },
        "on_error": "park" if document["parks"] else "stop",
    }
    parts = [document["let"], document["handlers"], document["key"]]
    read = lets_named(parts) & document["resolve"].keys()
    if read:
        written["resolve"] = {
            name: cel(expr) for name, expr in document["resolve"].items() if name in read
        }
    if document["key"] is not None:
        written["key"] = cel(document["key"])
    if document["where"] is not None:
        written["where"] = cel(document["where"])
    return json.dumps(written)
