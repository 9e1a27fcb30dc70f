"""How far a subscription is: what a reader keeps to go on there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader of the log is, and the proof that it was this very log.

    Keep it in the same transaction as what the events led to (`eventfold.checkpoint` does), and
    begin the next subscription with `place=`: it goes on with the next event, none left out and
    none twice. If the log has lost its tail in between (a restore, a fail-over), the subscription
    raises `StoreIncarnationChanged` instead of going on beside it.

    Attributes:
        position: everything at or below this position was taken. 0: nothing.
        resume_token: the token of the newest frame that was taken whole; empty: there is none.
        token_position: the position that the token stands for, at most `position`; 0: not known.
        event_id: id of the event at `position`, where the token stands for an earlier position:
            a server gives a token for each frame, not for each event. Else None.
    """

    position: int = 0
    resume_token: bytes = b""
    token_position: int = 0
    event_id: str | None = None
