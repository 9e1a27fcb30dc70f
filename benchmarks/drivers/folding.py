"""Folds events from raw JSON to state, without a server: `core`, `orjson` or `msgspec`."""

from __future__ import annotations

import struct
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import orjson
import protocol
from protocol import data

from eventfold import _core

# PostgreSQL's object ids of the element types, as its binary arrays name them.
_INT8, _UUID, _TEXT, _BYTEA, _TIMESTAMPTZ, _INT4, _BOOL = 20, 2950, 25, 17, 1184, 23, 16


def _text(number: int, size: int, wanted_first: bool) -> bytes:
    """An event of about that many bytes, the field that the fold reads first or last."""
    wanted = {"amount": 10 + number % 7, "limit": number}
    filling: dict[str, Any] = {"currency": "EUR", "booking": number, "channel": "web"}
    filling["note"] = "x" * (size - len(orjson.dumps({**wanted, **filling})) - 10)
    return orjson.dumps({**wanted, **filling} if wanted_first else {**filling, **wanted})


def _array(oid: int, elements: Sequence[bytes]) -> bytes:
    """A PostgreSQL array in binary, as array_send writes it."""
    head = struct.pack(">iiIii", 1, 0, oid, len(elements), 1)
    return head + b"".join(struct.pack(">i", len(e)) + e for e in elements)


def _batch(texts: Sequence[bytes]) -> _core.Batch:
    count = range(1, len(texts) + 1)
    numbers = _array(_INT8, [struct.pack(">q", n) for n in count])
    times = _array(_TIMESTAMPTZ, [struct.pack(">q", n) for n in count])
    return _core.Batch(
        [
            None,
            numbers,
            numbers,
            _array(_UUID, [uuid.UUID(int=n).bytes for n in count]),
            _array(_TEXT, [data.fold_type(n).encode() for n in range(len(texts))]),
            _array(_BYTEA, texts),
            _array(_BYTEA, [b"{}"] * len(texts)),
            None,
            times,
            times,
            _array(_TEXT, [b"bench"] * len(texts)),
            # Validated when it was appended, as all that the server stores.
            _array(_INT4, [struct.pack(">i", 1)] * len(texts)),
            None,
            None,
            None,
            _array(_BOOL, [b"\0"] * len(texts)),
            None,
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
    return data.initial_state()


def _with_orjson(texts: Sequence[bytes]) -> bytes:
    state = _initial()
    for number, text in enumerate(texts):
        _HANDLERS[data.fold_type(number)](state, orjson.loads(text))
    return orjson.dumps(state)


def _with_msgspec(texts: Sequence[bytes]) -> bytes:
    state = _initial()
    decoder = msgspec.json.Decoder(_Amount)
    for number, text in enumerate(texts):
        event = decoder.decode(text)
        match data.fold_type(number):
            case "MoneyDeposited":
                state["balance"] += event.amount
                state["deposits"] += 1
            case "MoneyWithdrawn":
                state["balance"] -= event.amount
            case "LimitSet":
                state["limit"] = event.limit
    return orjson.dumps(state)


def _with_core(texts: Sequence[bytes]) -> Callable[[], bytes]:
    fold, batch = _core.Fold(orjson.dumps(data.COLD_FOLD).decode()), _batch(texts)

    def once() -> bytes:
        run = fold.run("account-1", "account-1")
        run.feed(batch)
        return run.finish().state

    return once


_WAYS: dict[str, Callable[[Sequence[bytes]], Callable[[], bytes]]] = {
    "core": _with_core,
    "orjson": lambda texts: lambda: _with_orjson(texts),
    "msgspec": lambda texts: lambda: _with_msgspec(texts),
}


class Caller:
    """One thread that folds; the events are made before the first pass."""

    def __init__(self, way: str) -> None:
        self._way = _WAYS[way]
        self._folds: dict[tuple[int, bool], Callable[[], bytes]] = {}

    def begin(self, stream: str) -> None:
        pass

    def fold(self, size: int, wanted_first: bool) -> Any:
        key = (size, wanted_first)
        if key not in self._folds:
            texts = [_text(number, size, wanted_first) for number in range(data.FOLD_EVENTS)]
            self._folds[key] = self._way(texts)
        return orjson.loads(self._folds[key]())["balance"]


def main() -> None:
    """The way to fold as the only argument."""
    protocol.serve(protocol.Callers(lambda: Caller(sys.argv[1])).run, None)


if __name__ == "__main__":
    main()
