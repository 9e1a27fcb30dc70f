"""Golden cases as files hold them, and as Python's own folding runs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import eventfold
from eventfold import Fold, Hydrated, RecordedEvent
from eventfold.v1 import event_store_pb2 as pb

FOLDER = Path(__file__).resolve().parent / "folds"
# A longer state is told by its digest.
STATE_BYTES_MAX = 4096
MICROS = 1_000_000

# A case as its file has it.
Case = dict[str, Any]


def files() -> list[Path]:
    """The files, in the order of their names."""
    return sorted(FOLDER.glob("*.json"))


def load() -> list[Case]:
    """All cases of all files."""
    cases: list[Case] = []
    for file in files():
        cases.extend(json.loads(file.read_text(encoding="utf-8"))["cases"])
    return cases


def fold_of(case: Case) -> str:
    """The text of its document."""
    if "fold" in case:
        return str(case["fold"])
    return "".join(text * times for text, times in case["fold_parts"])


def message_of(event: dict[str, Any], stream: str) -> bytes:
    """The event of a case as the contract has it."""
    message = pb.RecordedEvent(
        id=event["id"],
        stream=stream,
        type=event["type"],
        version=event["version"],
        position=event["position"],
        writer=event["writer"],
        data=event["data"].encode(),
        metadata=event.get("metadata", "").encode(),
        tags=event.get("tags", []),
        flags=event.get("flags", 0),
        copied_from=event.get("copied_from", ""),
        cancels=event.get("cancels", ""),
        deleted=event.get("deleted", False),
        erased_paths=event.get("erased_paths", []),
        withheld_paths=event.get("withheld_paths", []),
    )
    for field, micros in (
        (message.recorded_at, event["recorded_us"]),
        (message.occurred_at, event["occurred_us"]),
    ):
        field.seconds, rest = divmod(micros, MICROS)
        field.nanos = 1000 * rest
    return message.SerializeToString()


def events_of(case: Case) -> list[RecordedEvent]:
    """The events of a case."""
    return [RecordedEvent(message_of(event, case["stream"])) for event in case["events"]]


def folded(case: Case) -> Hydrated:
    """What the fold of a case makes of its events in this process."""
    fold = Fold(fold_of(case))
    return fold.apply(None, events_of(case), stream=case["stream"], root=case.get("root"))


def outcome(case: Case, fold: Callable[[Case], Hydrated] = folded) -> dict[str, Any]:
    """What a case comes to, as files tell it."""
    try:
        found = fold(case)
    except eventfold.EventfoldError as error:
        return {"reason": error.reason, "facts": dict(error.facts)}
    told: dict[str, Any] = {
        "digest": found.fold_digest,
        "exists": found.exists,
        "version": found.version,
        "position": found.position,
        "events_read": found.events_read,
        "events_folded": found.events_folded,
        **state_told(found.state_json),
    }
    if found.erased_paths or found.withheld_paths:
        told["erased_paths"] = list(found.erased_paths)
        told["withheld_paths"] = list(found.withheld_paths)
    return told


def state_told(state: bytes) -> dict[str, Any]:
    """A state as files tell it."""
    if len(state) <= STATE_BYTES_MAX:
        return {"state": state.decode()}
    return {"state_sha256": hashlib.sha256(state).hexdigest(), "state_bytes": len(state)}
