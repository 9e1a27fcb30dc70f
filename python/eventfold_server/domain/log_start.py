"""Where in the log a subscription or a group begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from eventfold_server.domain.tokens import position_of_token
from eventfold_server.errors import Refusal
from eventfold_server.storage.log import LogStorage


@dataclass(frozen=True)
class LogStart:
    """At most one is set; none: with the first event."""

    resume_token: bytes | None = None
    position: int | None = None
    recorded_at: datetime | None = None
    now: bool = False

    async def before(self, log: LogStorage, head: int) -> int:
        """The position behind which this is, in a log of this head."""
        if self.resume_token is not None:
            return await position_of_token(log, self.resume_token)
        if self.position is not None:
            if self.position > head + 1:
                raise Refusal(
                    "POSITION_AHEAD",
                    f"position {self.position} lies beyond the head {head}",
                    requested=self.position,
                    head=head,
                )
            return self.position - 1
        if self.recorded_at is not None:
            found = await log.position_from(head, self.recorded_at)
            if found is None:
                raise changed()
            return found - 1
        return head if self.now else 0


def changed() -> Refusal:
    """The refusal for a log that lost its end between two looks."""
    return Refusal("STORAGE_UNAVAILABLE", "the log changed while it was read")
