"""Goal: data of events are objects of classes: what goes in comes out, and misfits are told.

Method: classes of all kinds that are known.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import pydantic
import pytest
from tests.unit.sdk.conftest import recorded

import eventfold
from eventfold import Event, RecordedEvent, TypedEvents


@dataclass(frozen=True)
class Item:
    price: Decimal
    note: str | None = None


@dataclass(frozen=True)
class Bought:
    items: list[Item]
    at: dt.datetime
    needed: str | None
    more: dict[str, Item] = field(default_factory=dict)


class Sold(pydantic.BaseModel):
    price: Decimal
    full_name: str | None = pydantic.Field(None, alias="full-name")
    item: Item | None = None


class Prices(pydantic.RootModel[dict[str, Decimal]]):
    root: dict[str, Decimal]


class Counted(msgspec.Struct, omit_defaults=True):
    price: Decimal
    note: str | None = None


TIME = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
EVENTS = TypedEvents({"Bought": Bought, "Sold": Sold, "Prices": Prices, "Counted": Counted})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            Bought([Item(Decimal("1.10")), Item(Decimal(2), "x")], TIME, None),
            (
                b'{"items":[{"price":1.10},{"price":2,"note":"x"}],"at":"2026-01-02T03:04:05Z",'
                b'"needed":null,"more":{}}'
            ),
        ),
        (
            Sold.model_validate({"price": Decimal("1.10"), "item": Item(Decimal(1))}),
            b'{"price":1.10,"item":{"price":1}}',
        ),
        (
            Sold.model_validate({"price": Decimal(1), "full-name": "x"}),
            b'{"price":1,"full-name":"x"}',
        ),
        (Prices({"a": Decimal("0.10")}), b'{"a":0.10}'),
        (Counted(Decimal("1.10")), b'{"price":1.10}'),
    ],
)
def test_there_and_back(data: Any, text: bytes) -> None:
    event = EVENTS.event(data)
    assert (event.type, event.data_json) == (type(data).__name__, text)
    if not isinstance(data, Counted):
        assert EVENTS.data(event) == data
    stored = RecordedEvent(recorded(1, type=event.type, data=text).SerializeToString())
    assert EVENTS.data(stored) == EVENTS.data(event)


def test_all_else_of_an_event() -> None:
    id_ = uuid.uuid4()
    data = Counted(Decimal(1))
    event = EVENTS.event(data, metadata={"m": 1}, tags=["t"], id=id_, occurred_at=TIME)
    assert event == Event("Counted", {"price": 1}, {"m": 1}, ["t"], id_, TIME)


def test_what_has_no_class() -> None:
    with pytest.raises(TypeError, match="no event type has the class Item"):
        EVENTS.event(Item(Decimal(1)))
    assert EVENTS.data(Event("Unknown", {"a": 1})) is None
    deleted = recorded(1, type="Bought", data=b"", deleted=True)
    assert EVENTS.data(RecordedEvent(deleted.SerializeToString())) is None


def test_a_class_of_several_event_types_is_not_guessed() -> None:
    """Two schemas that are references to the same one become one class."""
    events = TypedEvents({"In": Item, "Out": Item | Bought})
    item = Item(Decimal(1))
    with pytest.raises(TypeError, match="In, Out have the class Item"):
        events.event(item)
    assert [events.event(item, type=name).type for name in ("In", "Out")] == ["In", "Out"]
    with pytest.raises(TypeError, match="In has not the class Bought"):
        events.event(Bought([], TIME, None), type="In")
    assert events.data(Event("In", {"price": 1})) == item


def test_data_that_do_not_fit() -> None:
    event = Event("Bought", {"items": [{"price": "1"}], "at": TIME, "needed": None})
    with pytest.raises(eventfold.StateMismatch) as caught:
        EVENTS.data(event)
    assert caught.value.path == "items[0].price"
    assert caught.value.message.startswith("the data of a Bought do not fit: a number is expected")


def test_a_union_of_dataclasses() -> None:
    events = TypedEvents({"Either": Item | Bought})
    assert events.event(Item(Decimal(1))).type == "Either"
    assert events.data(Event("Either", {"price": 1})) == Item(Decimal(1))
    with pytest.raises(eventfold.StateMismatch, match="do not fit"):
        events.data(Event("Either", {}))
