"""Goal: a state becomes an object of a user's class, exactly, or an error says where it does not.

Method: the same states into a dataclass, a pydantic model and a msgspec Struct.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar

import msgspec
import pydantic
import pytest

from eventfold import Hydrated, StateMismatch
from eventfold._models import converter

ItemT = TypeVar("ItemT")
Iban = NewType("Iban", str)


class Kind(enum.Enum):
    DAILY = "daily"


@dataclasses.dataclass
class Transfer:
    to: Iban
    amount: Decimal
    at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Account:
    owner: str
    balance: Decimal
    transfers: list[Transfer] = dataclasses.field(default_factory=list)
    open: bool = False


class PydanticTransfer(pydantic.BaseModel):
    to: str
    amount: Decimal
    at: dt.datetime | None = None


class PydanticAccount(pydantic.BaseModel):
    owner: str
    balance: Decimal
    transfers: list[PydanticTransfer] = []
    open: bool = False


@pydantic.dataclasses.dataclass
class PydanticData:
    owner: Annotated[str, pydantic.Field(max_length=5)]
    balance: Decimal
    transfers: list[PydanticTransfer] = dataclasses.field(default_factory=list)
    open: bool = False


class StructTransfer(msgspec.Struct):
    to: str
    amount: Decimal
    at: dt.datetime | None = None


class StructAccount(msgspec.Struct):
    owner: str
    balance: Decimal
    transfers: list[StructTransfer] = []
    open: bool = False


MODELS: list[Any] = [Account, PydanticAccount, PydanticData, StructAccount]
STATE = (
    b'{"owner":"u-1","balance":12345678901234567890.12345678,"unknown":1,"transfers":['
    b'{"to":"x","amount":0.10,"at":"2026-01-02T03:04:05.000006Z"},{"to":"y","amount":7}]}'
)


def state_of(text: bytes, model: type[Any]) -> Any:
    return Hydrated(True, text, 1, 1, 1, 1, "d", _convert=converter(model)).state


@pytest.mark.parametrize("model", MODELS)
def test_a_state_becomes_an_object_exactly(model: Any) -> None:
    account = state_of(STATE, model)
    assert type(account) is model
    assert str(account.balance) == "12345678901234567890.12345678"
    assert (account.owner, account.open) == ("u-1", False)
    first, second = account.transfers
    assert str(first.amount) == "0.10"
    assert first.at == dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)
    assert (second.amount, second.at) == (Decimal(7), None)
    assert type(second.amount) is Decimal


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("state", "path"),
    [
        (b'{"owner":"u"}', "balance"),
        (b'{"owner":7,"balance":1}', "owner"),
        (b'{"owner":"u","balance":true}', "balance"),
        (b'{"owner":"u","balance":1,"transfers":[{"to":"x","amount":[]}]}', "transfers"),
        (b"[]", ""),
        (b"null", ""),
    ],
)
def test_a_state_that_does_not_fit(model: Any, state: bytes, path: str) -> None:
    with pytest.raises(StateMismatch) as caught:
        state_of(state, model)
    error = caught.value
    assert error.model == model.__name__
    assert error.problem
    assert path in f"{error.path} {error.problem}"
    assert (error.reason, error.code) == ("STATE_MISMATCH", "FAILED_PRECONDITION")


def test_the_conversion_waits_until_it_is_asked_for() -> None:
    deleted = Hydrated(False, b"null", 3, 3, 3, 3, "d", _convert=converter(Account))
    assert not deleted.exists
    with pytest.raises(StateMismatch, match="deleted"):
        _ = deleted.state


@pytest.mark.parametrize("model", [dict, int, "Account", Account("u", Decimal(1)), list[Account]])
def test_what_is_no_model(model: Any) -> None:
    with pytest.raises(TypeError, match="dataclass"):
        converter(model)


def test_neither_library_is_needed() -> None:
    program = (
        "import sys, dataclasses\n"
        "sys.modules['pydantic'] = sys.modules['msgspec'] = None\n"
        "from eventfold._models import converter\n"
        "A = dataclasses.make_dataclass('A', [('x', int)])\n"
        "assert converter(A)(b'{\"x\": 1}').x == 1\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@dataclasses.dataclass
class Everything(Generic[ItemT]):
    a: int
    b: float
    c: bytes
    d: dt.date
    e: dt.timedelta
    f: uuid.UUID
    g: Kind
    h: Literal["x", 1]
    i: tuple[int, str]
    j: tuple[int, ...]
    k: set[str]
    l: Mapping[str, Sequence[int]]  # noqa: E741
    m: int | str | None
    n: Any
    o: ItemT
    p: None
    q: dict[str, Transfer]
    r: list  # type: ignore[type-arg]
    s: Annotated[int, "unit"]
    t: int = dataclasses.field(init=False, default=3)


EVERYTHING: dict[str, tuple[str, Any]] = {
    "a": ("1e2", 100),
    "b": ("0.5", 0.5),
    "c": ('"AP8="', b"\x00\xff"),
    "d": ('"2026-01-02"', dt.date(2026, 1, 2)),
    "e": ('"-3.5s"', dt.timedelta(seconds=-3.5)),
    "f": (f'"{uuid.UUID(int=1)}"', uuid.UUID(int=1)),
    "g": ('"daily"', Kind.DAILY),
    "h": ("1", 1),
    "i": ('[1,"x"]', (1, "x")),
    "j": ("[1,2,3]", (1, 2, 3)),
    "k": ('["a","a"]', {"a"}),
    "l": ('{"a":[1]}', {"a": [1]}),
    "m": ('"text"', "text"),
    "n": ("[1.5]", [Decimal("1.5")]),
    "o": ("7", 7),
    "p": ("null", None),
    "q": ('{"x":{"to":"y","amount":1}}', {"x": Transfer(Iban("y"), Decimal(1))}),
    "r": ("[null]", [None]),
    "s": ("5", 5),
}


def everything(**changed: str) -> bytes:
    texts = {name: text for name, (text, _) in EVERYTHING.items()} | changed
    return ("{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}").encode()


def test_annotations_of_a_dataclass() -> None:
    found = state_of(everything(), Everything)
    for name, (_, wanted) in EVERYTHING.items():
        value = getattr(found, name)
        assert (type(value), value) == (type(wanted), wanted), name
    assert found.t == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "1.5"),
        ("a", "true"),
        ("a", "1e999999"),
        ("b", '"1"'),
        ("b", "1e999"),
        ("c", '"?"'),
        ("d", '"2026-13-01"'),
        ("e", '"1h"'),
        ("e", '"99999999999999999s"'),
        ("f", '"x"'),
        ("g", '"weekly"'),
        ("h", "true"),
        ("i", "[1]"),
        ("j", '[1,"x"]'),
        ("k", '{"a":1}'),
        ("l", '{"a":[1,null]}'),
        ("m", "[]"),
        ("p", "0"),
        ("q", '{"x":{"to":"y"}}'),
        ("r", "{}"),
    ],
)
def test_values_that_an_annotation_refuses(name: str, text: str) -> None:
    with pytest.raises(StateMismatch) as caught:
        state_of(everything(**{name: text}), Everything)
    assert (caught.value.path or "").startswith(name)
    assert text not in str(caught.value)


def test_an_annotation_that_no_state_can_have() -> None:
    @dataclasses.dataclass
    class Wrong:
        x: object
        y: type

    with pytest.raises(TypeError, match="annotation"):
        state_of(b'{"x":1,"y":1}', Wrong)
