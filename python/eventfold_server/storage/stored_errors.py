"""Errors as tables keep them: JSON of reason, message and facts."""

import json
from typing import Any

from eventfold_server.errors import Refusal


def stored(error: Refusal) -> str:
    """The error as JSON; NUL, which PostgreSQL does not keep, is replaced."""
    told = {"reason": error.reason, "message": error.message, "facts": error.facts}
    return json.dumps(told).replace("\\u0000", "\\ufffd")


def restored(text: str) -> Refusal:
    """The error that was stored; the driver gives JSON as text."""
    fields: dict[str, Any] = json.loads(text)
    refusal = Refusal(fields["reason"], fields["message"])
    refusal.facts = fields["facts"]
    return refusal
