"""Three projection documents, and the same in plain Python: a table from scratch for any position.

`shops` folds events of many streams into one row by an expression, parks what fails, deletes and
hides rows; `carts` has a row for each stream; `types` has few rows that every event of the log
touches. Nothing here has anything to do with the Rust core.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

State = dict[str, Any]


@dataclass(frozen=True)
class LogEvent:
    """An event as the log has it."""

    position: int
    stream: str
    version: int
    type: str
    id: str
    data: State

    @property
    def category(self) -> str:
        """Of its stream."""
        return self.stream.partition("-")[0]


class Broken(Exception):
    """The fold fails at the event."""


# What a handler does when it does nothing, and when it deletes.
UNTOUCHED: State = {}
DELETED: State = {}

Step = Callable[[State, LogEvent], State]


@dataclass(frozen=True)
class Row:
    """A row as the table has it; columns as PostgreSQL writes them."""

    state: bytes
    shown: bool
    version: int
    position: int
    columns: tuple[str | None, ...]


@dataclass
class Table:
    """A table with what belongs to it, at a position."""

    rows: dict[str, Row] = field(default_factory=dict)
    # Positions of the events that are set aside, by key.
    parked: dict[str, list[int]] = field(default_factory=dict)
    # Events that were folded; those on the lists were not.
    events: int = 0
    # Of a fold from scratch: positions of events that fail, and are not on a list.
    failed: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    """A projection document and its meaning."""

    text: str
    columns: tuple[str, ...]
    initial: State
    wants: Callable[[LogEvent], bool]
    key: Callable[[LogEvent], str]
    step: Step
    shown: Callable[[State], bool]
    values: Callable[[str, State], tuple[str | None, ...]]
    parks: bool = False

    def fold(self, log: Iterable[LogEvent], parked_from: Mapping[str, int]) -> Table:
        """The table after these events; keys are parked from the position on that is given."""
        folding = Folding(self, parked_from)
        for event in log:
            folding.add(event)
        return folding.table()

    def fails(self, event: LogEvent) -> bool:
        """Whether its fold fails at the event, whatever the state."""
        try:
            self.step(self.initial, event)
        except Broken:
            return True
        return False


class Folding:
    """A fold that goes on event by event."""

    def __init__(self, document: Document, parked_from: Mapping[str, int]) -> None:
        self._document = document
        self._parked_from = parked_from
        self._parked: dict[str, list[int]] = {}
        self._events = 0
        self._failed: list[int] = []
        # State and last event that touched it, by key.
        self._states: dict[str, tuple[State, LogEvent]] = {}

    def add(self, event: LogEvent) -> None:
        """The next event of the log."""
        document = self._document
        if not document.wants(event):
            return
        key = document.key(event)
        if event.position >= self._parked_from.get(key, event.position + 1):
            self._parked.setdefault(key, []).append(event.position)
            return
        self._events += 1
        before = self._states.get(key)
        try:
            after = document.step(document.initial if before is None else before[0], event)
        except Broken:
            self._failed.append(event.position)
            return
        if after is DELETED:
            self._states.pop(key, None)
        elif after is not UNTOUCHED:
            self._states[key] = (after, event)

    def row(self, key: str) -> Row | None:
        """The row of a key."""
        if key not in self._states:
            return None
        state, last = self._states[key]
        shown = self._document.shown(state)
        values = self._document.values(key, state)
        if not shown:
            # They are evaluated all the same, and not kept.
            values = (None,) * len(values)
        return Row(state_text(state), shown, last.version, last.position, values)

    def count(self, passes: Callable[[Row], bool]) -> int:
        """Rows that pass."""
        rows = (self.row(key) for key in self._states)
        return sum(row is not None and passes(row) for row in rows)

    def table(self) -> Table:
        """All of it."""
        rows = {key: self.row(key) for key in self._states}
        return Table(
            {key: row for key, row in rows.items() if row is not None},
            self._parked,
            self._events,
            self._failed,
        )


def number_text(value: int | Decimal) -> str:
    """A computed number as states have it: no exponent, no zeros at the end."""
    if isinstance(value, int):
        return str(value)
    return format(value.normalize(), "f") if value else "0"


def state_text(value: Any) -> bytes:
    """A state as it is stored: compact JSON, keys in the order of their first insertion."""
    return _json(value).encode()


def _json(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Decimal):
        return number_text(value)
    return json.dumps(value)


_SHOPS = """
projection: {name}
source: {{categories: [{categories}]}}
key: "event.shop"
initial: {{sales: 0, total: 0, last: null, open: true}}
handlers:
  Sold:
    - sales: "state.sales + 1"
      total: "{total}"
      last: "meta.id"
    - when: "event.?closing.orValue(false)"
      open: "state.open == false"
  Returned:
    total: "state.total - event.amount"
    last: "meta.id"
  Noticed:
    when: "event.loud"
    note: "event.text"
  Closed: delete
where: "state.total > 0"
columns:
  sales: integer
  total: {{type: "numeric(14, 2)", value: "state.total"}}
  last: uuid
  note: text
  big: {{type: boolean, value: "state.total > {big}"}}
indexes: [[total], [big, sales]]
on_error: {on_error}
"""


_TOTAL = "state.total + event.amount"
_TOTAL_MENDED = "has(event.amount) ? state.total + event.amount : state.total"


def mended(text: str) -> str:
    """The same document, but that nothing fails."""
    return text.replace(f'"{_TOTAL}"', f'"{_TOTAL_MENDED}"')


def shops(
    name: str = "shops",
    big: int = 1000,
    *,
    mended: bool = False,
    parks: bool = True,
    categories: Sequence[str] = ("sale", "shop"),
) -> Document:
    """`big` makes another table of it; `mended`: events without an amount count as zero."""
    total = _TOTAL_MENDED if mended else _TOTAL

    def step(state: State, event: LogEvent) -> State:
        match event.type:
            case "Sold":
                if "amount" not in event.data and not mended:
                    raise Broken
                amount = event.data.get("amount", 0)
                changed = {"sales": state["sales"] + 1, "total": state["total"] + amount}
                changed["last"] = event.id
                if event.data.get("closing", False):
                    changed["open"] = not state["open"]
                return state | changed
            case "Returned":
                return state | {"total": state["total"] - event.data["amount"], "last": event.id}
            case "Noticed":
                return state | {"note": event.data["text"]} if event.data["loud"] else UNTOUCHED
        assert event.type == "Closed"
        return DELETED

    return Document(
        text=_SHOPS.format(
            name=name,
            categories=", ".join(categories),
            big=big,
            total=total,
            on_error="park" if parks else "stop",
        ),
        columns=("sales", "total", "last", "note", "big"),
        initial={"sales": 0, "total": 0, "last": None, "open": True},
        wants=lambda event: (
            event.category in categories and event.type in {"Sold", "Returned", "Noticed", "Closed"}
        ),
        key=lambda event: str(event.data["shop"]),
        step=step,
        shown=lambda state: bool(state["total"] > 0),
        values=lambda _, state: (
            str(state["sales"]),
            f"{Decimal(state['total']):.2f}",
            state["last"],
            state.get("note"),
            "true" if state["total"] > big else "false",
        ),
        parks=parks,
    )


_CARTS = """
projection: {name}
source: {{category: cart}}
initial: {{items: {{}}, count: 0}}
handlers:
  Added:
    "items[event.article]": "event.quantity"
    count: "state.count + 1"
  Discarded: delete
columns:
  items: jsonb
  count: integer
  kinds: {{type: bigint, value: "size(state.items) + {more}"}}
indexes: [[count]]
"""


def _jsonb(value: State) -> str:
    """As PostgreSQL writes it: shorter keys first."""
    ordered = sorted(value.items(), key=lambda item: (len(item[0]), item[0]))
    return "{" + ", ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in ordered) + "}"


def carts(name: str = "carts", more: int = 0) -> Document:
    """`more` makes another table of it."""

    def step(state: State, event: LogEvent) -> State:
        if event.type == "Discarded":
            return DELETED
        items = state["items"] | {event.data["article"]: event.data["quantity"]}
        return {"items": items, "count": state["count"] + 1}

    return Document(
        text=_CARTS.format(name=name, more=more),
        columns=("items", "count", "kinds"),
        initial={"items": {}, "count": 0},
        wants=lambda event: event.category == "cart" and event.type in {"Added", "Discarded"},
        key=lambda event: event.stream,
        step=step,
        shown=lambda _: True,
        values=lambda _, state: (
            _jsonb(state["items"]),
            str(state["count"]),
            str(len(state["items"]) + more),
        ),
    )


_TYPES = """
projection: {name}
key: "meta.type"
initial: {{n: 0}}
handlers:
  Sold: {{n: "state.n + {step}"}}
  Added: {{n: "state.n + {step}"}}
  Noticed: {{n: "state.n + {step}"}}
columns:
  type: {{type: text, value: "key"}}
  n: bigint
"""


def types(name: str = "types", each: int = 1) -> Document:
    """`each` makes another table of it."""
    return Document(
        text=_TYPES.format(name=name, step=each),
        columns=("type", "n"),
        initial={"n": 0},
        wants=lambda event: event.type in {"Sold", "Added", "Noticed"},
        key=lambda event: event.type,
        step=lambda state, _: {"n": state["n"] + each},
        shown=lambda _: True,
        values=lambda key, state: (key, str(state["n"])),
    )


def of_text(text: str) -> Document:
    """The document that a generation was made from."""
    [name] = re.findall(r"^projection: (\w+)$", text, re.MULTILINE)
    if found := re.search(r"state\.total > (\d+)\"\}", text):
        [categories] = re.findall(r"categories: \[(.*)\]", text)
        return shops(
            name,
            int(found[1]),
            mended="has(event.amount)" in text,
            parks="on_error: park" in text,
            categories=categories.split(", "),
        )
    if found := re.search(r"size\(state\.items\) \+ (\d+)", text):
        return carts(name, int(found[1]))
    found = re.search(r"state\.n \+ (\d+)", text)
    assert found is not None
    return types(name, int(found[1]))
