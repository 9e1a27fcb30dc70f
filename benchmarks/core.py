"""The fold of the core beside the same fold in Python: raw JSON to state, without a server."""

from __future__ import annotations

import struct
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import orjson
from harness import Figure, compare
from store import ACCOUNT_FOLD

from eventfold import _core

EVENTS = 10_000
# Passes over the events in a round, so that a round takes some tenths of a second.
PASSES = 20
SIZES = (200, 1_000)
# PostgreSQL's object ids of the element types, as its binary arrays name them.
_INT8, _UUID, _TEXT, _BYTEA, _TIMESTAMPTZ, _INT4, _BOOL = 20, 2950, 25, 17, 1184, 23, 16

_TYPES = ("MoneyDeposited", "MoneyWithdrawn", "MoneyDeposited", "LimitSet", "MoneyDeposited")


def _data(number: int, size: int, wanted_first: bool) -> bytes:
    """An event of about that many bytes, the field that the fold reads first or last."""
    wanted = {"amount": 10 + number % 7, "limit": number}
    filling: dict[str, Any] = {"currency": "EUR", "booking": number, "channel": "web"}
    filling["note"] = "x" * (size - len(orjson.dumps({**wanted, **filling})) - 10)
    return orjson.dumps({**wanted, **filling} if wanted_first else {**filling, **wanted})


def _array(oid: int, elements: Sequence[bytes]) -> bytes:
    """A PostgreSQL array in binary, as array_send writes it."""
    head = struct.pack(">iiIii", 1, 0, oid, len(elements), 1)
    return head + b"".join(struct.pack(">i", len(e)) + e for e in elements)


def _batch(data: Sequence[bytes]) -> _core.Batch:
    count = range(1, len(data) + 1)
    numbers = _array(_INT8, [struct.pack(">q", n) for n in count])
    times = _array(_TIMESTAMPTZ, [struct.pack(">q", n) for n in count])
    return _core.Batch(
        [
            None,
            numbers,
            numbers,
            _array(_UUID, [uuid.UUID(int=n).bytes for n in count]),
            _array(_TEXT, [_TYPES[n % len(_TYPES)].encode() for n in range(len(data))]),
            _array(_BYTEA, data),
            _array(_BYTEA, [b"{}"] * len(data)),
            None,
            times,
            times,
            _array(_TEXT, [b"bench"] * len(data)),
            # Validated when it was appended, as all that the server stores.
            _array(_INT4, [struct.pack(">i", 1)] * len(data)),
            None,
            None,
            None,
            _array(_BOOL, [b"\0"] * len(data)),
        ]
    )


class _Amount(msgspec.Struct):
    amount: int = 0
    limit: int = 0
    holder: str = ""


def _deposited(state: dict[str, Any], event: Any) -> None:
    state["balance"] += event["amount"]
    state["deposits"] += 1


def _withdrawn(state: dict[str, Any], event: Any) -> None:
    state["balance"] -= event["amount"]


def _limit_set(state: dict[str, Any], event: Any) -> None:
    state["limit"] = event["limit"]


_HANDLERS = {
    "MoneyDeposited": _deposited,
    "MoneyWithdrawn": _withdrawn,
    "LimitSet": _limit_set,
}


def _initial() -> dict[str, Any]:
    return {"balance": 0, "deposits": 0, "open": False, "limit": 0}


def _with_orjson(data: Sequence[bytes]) -> bytes:
    state = _initial()
    for number, text in enumerate(data):
        _HANDLERS[_TYPES[number % len(_TYPES)]](state, orjson.loads(text))
    return orjson.dumps(state)


def _with_msgspec(data: Sequence[bytes]) -> bytes:
    state = _initial()
    decoder = msgspec.json.Decoder(_Amount)
    for number, text in enumerate(data):
        event = decoder.decode(text)
        match _TYPES[number % len(_TYPES)]:
            case "MoneyDeposited":
                state["balance"] += event.amount
                state["deposits"] += 1
            case "MoneyWithdrawn":
                state["balance"] -= event.amount
            case "LimitSet":
                state["limit"] = event.limit
    return orjson.dumps(state)


def _passes(work: Callable[[], Any]) -> Callable[[], int]:
    def run() -> int:
        for _ in range(PASSES):
            work()
        return PASSES

    return run


def _on_two_threads(work: Callable[[], Any]) -> Callable[[], int]:
    def run() -> int:
        threads = [threading.Thread(target=_passes(work)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return 2 * PASSES

    return run


def core() -> list[Figure]:
    """Folds of an account with five handlers."""
    fold = _core.Fold(orjson.dumps(ACCOUNT_FOLD).decode())
    figures = []
    for size in SIZES:
        for wanted_first in (True, False):
            data = [_data(number, size, wanted_first) for number in range(EVENTS)]
            batch = _batch(data)

            def with_core(batch: _core.Batch = batch) -> bytes:
                run = fold.run("account-1", "account-1")
                run.feed(batch)
                return run.finish().state

            def orjson_(data: Sequence[bytes] = data) -> bytes:
                return _with_orjson(data)

            def msgspec_(data: Sequence[bytes] = data) -> bytes:
                return _with_msgspec(data)

            assert with_core() == orjson_() == msgspec_()
            place = "first" if wanted_first else "last"
            figures += compare(
                f"fold {EVENTS:,} events of {size:,} bytes, wanted fields {place}",
                {
                    "orjson + dict handlers": _passes(orjson_),
                    "msgspec Struct": _passes(msgspec_),
                    "core": _passes(with_core),
                    "core, two threads": _on_two_threads(with_core),
                },
                units=EVENTS,
            )
    return figures
