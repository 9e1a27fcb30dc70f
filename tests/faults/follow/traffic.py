"""Writers that append random events, and readers of the log as it stands at the end."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Callable

import grpc
from tests.faults.follow.recording import LogEvent, Wanted

from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import event_store_pb2_grpc

CATEGORIES = ("account", "order", "user", "note")
TYPES = ("Opened", "Changed", "Moved", "Closed")
TAGS = ("red", "green", "blue")
STREAMS_A_CATEGORY = 6
EVENTS_AN_APPEND_MAX = 60
CALL_SECONDS = 20.0
# What a server that was killed or restarted leaves open; the same append is sent again.
UNSURE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)

# Tells which server to call next; servers come and go.
Address = Callable[[], str]

WANTED = (
    Wanted("the log", {}, lambda event: True),
    Wanted(
        "a category", {"categories": ["account"]}, lambda event: event.category == "account"
    ),
    Wanted(
        "two categories",
        {"categories": ["order", "note"]},
        lambda event: event.category in ("order", "note"),
    ),
    Wanted("a stream", {"stream": "user-3"}, lambda event: event.stream == "user-3"),
    Wanted(
        "types", {"types": ["Moved", "Closed"]}, lambda event: event.type in ("Moved", "Closed")
    ),
    Wanted("a tag", {"tags": ["red"]}, lambda event: "red" in event.tags),
    Wanted(
        "an expression",
        {"where": "int(event.n) % 7 == 3 && meta.category != 'note'"},
        lambda event: event.fields["n"] % 7 == 3 and event.category != "note",
    ),
    Wanted("nothing", {"types": ["Never"]}, lambda event: False),
)  # fmt: skip


class Writer:
    """Appends random events to random streams until a number of them is stored."""

    def __init__(self, address: Address, seed: int) -> None:
        self._address = address
        self._random = random.Random(seed)
        self.appends: list[tuple[int, int]] = []
        # Newest position that was acknowledged.
        self.newest = 0

    def write(self, events: int, stop: threading.Event) -> None:
        """Appends so many events; each append again, with its ids, until its outcome is known."""
        while events > 0 and not stop.is_set():
            request = self._append(min(events, self._random.randint(1, EVENTS_AN_APPEND_MAX)))
            positions = self._stored(request, stop)
            if positions:
                self.appends.append((positions[0], positions[-1]))
                self.newest = positions[-1]
                events -= len(positions)

    def _append(self, count: int) -> appends_pb.AppendRequest:
        pick = self._random
        stream = f"{pick.choice(CATEGORIES)}-{pick.randrange(STREAMS_A_CATEGORY)}"
        request = appends_pb.AppendRequest(stream=stream)
        request.expected_version.any.SetInParent()
        for _ in range(count):
            data = {"n": pick.randrange(1000), "text": "x" * pick.randrange(300)}
            request.events.add(
                id=str(uuid.UUID(int=pick.getrandbits(128), version=4)),
                type=pick.choice(TYPES),
                data=json.dumps(data).encode(),
                tags=sorted(pick.sample(TAGS, pick.randrange(3))),
            )
        return request

    def _stored(self, request: appends_pb.AppendRequest, stop: threading.Event) -> list[int]:
        while not stop.is_set():
            with grpc.insecure_channel(self._address()) as channel:
                stub = event_store_pb2_grpc.EventStoreStub(channel)
                try:
                    return list(stub.Append(request, timeout=CALL_SECONDS).positions)
                except grpc.RpcError as error:
                    if error.code() not in UNSURE:
                        raise
            stop.wait(0.05)
        return []


def log_event(event: pb.RecordedEvent) -> LogEvent:
    """An event as oracles see it."""
    return LogEvent(
        event.position,
        event.id,
        event.stream,
        event.version,
        event.type,
        tuple(event.tags),
        event.data,
        event.recorded_at.ToMicroseconds(),
    )


def read_log(address: str) -> list[LogEvent]:
    """The whole log."""
    with grpc.insecure_channel(address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        messages = stub.ReadAll(pb.ReadAllRequest(), timeout=60)
        return [log_event(event) for message in messages for event in message.events]
