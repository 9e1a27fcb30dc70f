"""What a run of subscriptions left behind: the log, who asked for what, and what each was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LogEvent:
    """An event of the log, as `ReadAll` tells it when all is over: the truth."""

    position: int
    id: str
    stream: str
    version: int
    type: str
    tags: tuple[str, ...]
    data: bytes
    recorded_us: int

    @property
    def category(self) -> str:
        """What stands before the first `-`."""
        return self.stream.partition("-")[0]

    @property
    def fields(self) -> dict[str, Any]:
        """The data, decoded."""
        fields: dict[str, Any] = json.loads(self.data)
        return fields


@dataclass(frozen=True)
class Wanted:
    """A filter, as the request says it and as a plain function."""

    name: str
    # Fields of `SubscribeRequest`.
    request: dict[str, Any]
    lets_pass: Callable[[LogEvent], bool]


@dataclass(frozen=True)
class Frame:
    """A message of a subscription."""

    kind: int
    position: int
    head: int
    token: bytes
    events: tuple[LogEvent, ...]


@dataclass
class Session:
    """One call of `Subscribe`."""

    # The position after which it was asked to begin; None: `now`, which its first frame tells.
    after: int | None
    # Of a session that begins now: the newest position that was surely stored at the call.
    not_before: int = 0
    frames: list[Frame] = field(default_factory=list)
    # Why it ended: `cut` by the client, or the reason that the server gave.
    ended: str = ""


@dataclass
class Recording:
    """Everything that one subscriber was sent, call after call."""

    wanted: Wanted
    sessions: list[Session] = field(default_factory=list)

    @property
    def frames(self) -> list[Frame]:
        """All frames in the order in which they came."""
        return [frame for session in self.sessions for frame in session.frames]


@dataclass
class Run:
    """A run, when it is over."""

    log: list[LogEvent]
    # First and last position of each append that was acknowledged.
    appends: list[tuple[int, int]]
    recordings: list[Recording]
    # Resumed from the token of a frame when all was over: that frame, and what came after.
    resumed: list[tuple[Wanted, Frame, list[LogEvent]]] = field(default_factory=list)
