"""The receipt of an erasure: what went, where, when, and what is left, as told to people."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from eventfold_server.storage.erasures import ErasureRow, StreamDeletionRow

FORMAT = 1


def receipt(
    erasure: ErasureRow,
    deletions: Sequence[StreamDeletionRow],
    ended_at: datetime,
    backup_horizon_days: int | None,
) -> str:
    """The receipt, as JSON. It holds no name and no value of the subject."""
    plan = json.loads(erasure.plan) if erasure.plan else None
    assert erasure.ledger_digest is not None
    content = {
        "receipt": FORMAT,
        "erasure_id": str(erasure.erasure_id),
        "subject_hash": erasure.subject_hash.hex(),
        "subject_id": str(erasure.subject_id),
        "reason": erasure.reason,
        "requested_by": erasure.requested_by,
        "plan": plan,
        "removed": {
            "data_keys": erasure.keys_destroyed,
            "events_with_sealed_values": erasure.events,
            "kept_states": erasure.kept_states + sum(one.kept_states for one in deletions),
            "projection_rows": erasure.rows + sum(one.rows for one in deletions),
            "projections": list(erasure.projections),
            # Of these, those that could not be built anew.
            "projections_dropped": list(erasure.projections_dropped),
            "streams": sum(one.streams for one in deletions),
            "events_of_streams": sum(one.events for one in deletions),
            "deletions": [str(one.deletion_id) for one in deletions],
        },
        "servers": {
            "acknowledged": erasure.acknowledged,
            "lease_expired": erasure.expired,
        },
        "times": {
            "requested": _time(erasure.requested_at),
            "fenced": _time(erasure.fenced_at),
            "keys_destroyed": _time(erasure.keys_destroyed_at),
            "evicted": _time(erasure.evicted_at),
            "scrubbed": _time(erasure.scrubbed_at),
            "announced": _time(erasure.announced_at),
            "done": _time(ended_at),
        },
        "ledger": {"entry": erasure.ledger_no, "digest": erasure.ledger_digest.hex()},
        "remains": _remains(erasure, plan, backup_horizon_days),
    }
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def _remains(
    erasure: ErasureRow, plan: dict[str, Any] | None, horizon_days: int | None
) -> dict[str, Any]:
    destroyed = erasure.keys_destroyed_at
    until = None
    if destroyed is not None and horizon_days is not None:
        until = _time(destroyed + timedelta(days=horizon_days))
    return {
        # Events from before their fields were declared; null: nobody has counted them.
        "plaintext": None if plan is None else plan["plaintext"],
        "never_sealed": ["tags", "metadata", "stream names"],
        # Ciphertext, here and in backups of the log, which no key opens any more.
        "ciphertext": True,
        # Wrapped keys, in backups and the write-ahead log of the key store: as the operator says.
        "backups": {"horizon_days": horizon_days, "until": until},
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat(timespec="microseconds")
