"""Requests of subscriptions and consumer groups: which events, and from where on. No I/O."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from eventfold._place import Place
from eventfold._requests import copies_of, texts, whole
from eventfold._results import Copies
from eventfold._time import to_timestamp
from eventfold.v1 import consumer_groups_pb2 as groups_pb
from eventfold.v1 import subscriptions_pb2 as pb


@dataclass(frozen=True)
class Source:
    """Which events are meant; all that is set must hold."""

    stream: str | None
    categories: Iterable[str]
    types: Iterable[str]
    tags: Iterable[str]
    where: str
    include_system_events: bool
    copies: Copies | None

    def subscription(self) -> pb.SubscribeRequest:
        """As a subscription names it."""
        return pb.SubscribeRequest(
            stream=self.stream or "",
            categories=texts(self.categories, "categories"),
            types=texts(self.types, "types"),
            tags=texts(self.tags, "tags"),
            where=self.where,
            include_system_events=self.include_system_events,
            copies=copies_of(self.copies),
        )

    def group(self) -> groups_pb.GroupSource:
        """As a group names it."""
        return groups_pb.GroupSource(
            stream=self.stream or "",
            categories=texts(self.categories, "categories"),
            types=texts(self.types, "types"),
            tags=texts(self.tags, "tags"),
            where=self.where,
            include_system_events=self.include_system_events,
            copies=copies_of(self.copies),
        )


@dataclass(frozen=True)
class Start:
    """Where to begin; at one of these at the most."""

    place: Place | None = None
    resume_token: bytes | None = None
    from_position: int | None = None
    from_version: int | None = None
    from_recorded_at: dt.datetime | None = None
    from_now: bool = False

    def check(self) -> None:
        """Two starts would contradict each other.

        Raises:
            TypeError: there are several.
        """
        named = [name for name, value in vars(self).items() if value is not None and value != b""]
        named = [name for name in named if name != "from_now" or self.from_now]
        if len(named) > 1:
            raise TypeError(f"there is one start, not {' and '.join(named)}")

    def of_subscription(self, request: pb.SubscribeRequest) -> Place:
        """Puts it into a request; returns what counts as taken."""
        self.check()
        if self.place is not None:
            return self.place
        if self.resume_token:
            return Place(resume_token=self.resume_token)
        if self.from_position is not None:
            request.from_position = whole(self.from_position, "from_position")
        elif self.from_version is not None:
            request.from_version = whole(self.from_version, "from_version")
        elif self.from_recorded_at is not None:
            time = to_timestamp(self.from_recorded_at, "from_recorded_at")
            request.from_recorded_at.CopyFrom(time)
        elif self.from_now:
            request.now.SetInParent()
        return Place()

    def of_group(self) -> groups_pb.GroupStart | None:
        """As a group names it; None: at the beginning."""
        self.check()
        start = groups_pb.GroupStart()
        if self.resume_token:
            start.resume_token = self.resume_token
        elif self.from_position is not None:
            start.from_position = whole(self.from_position, "from_position")
        elif self.from_recorded_at is not None:
            time = to_timestamp(self.from_recorded_at, "from_recorded_at")
            start.from_recorded_at.CopyFrom(time)
        elif self.from_now:
            start.now.SetInParent()
        else:
            return None
        return start
