"""Projections on raw stubs, and what their tables and views hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from tests.support.database import connected

from eventfold.v1 import projections_pb2 as pb
from eventfold.v1 import projections_pb2_grpc

CALL_SECONDS = 60.0
SOON_SECONDS = 90.0
CAUGHT_UP = pb.PROJECTION_SWITCH_WHEN_CAUGHT_UP
VERIFIED = pb.PROJECTION_SWITCH_WHEN_VERIFIED
BY_HAND = pb.PROJECTION_SWITCH_BY_HAND
ACTIVE = pb.GENERATION_STATE_ACTIVE
READY = pb.GENERATION_STATE_READY
STANDBY = pb.GENERATION_STATE_STANDBY
BUILDING = pb.GENERATION_STATE_BUILDING

# Users by their stream, as most tests have them.
USERS = """
projection: {name}
source: {{category: {category}}}
handlers:
  UserRegistered: {{name: event.name, age: event.age}}
  UserRenamed: {{name: event.name}}
  UserLeft: delete
columns: {{name: text, age: integer}}
"""


class Projections:
    """The projections of a server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = projections_pb2_grpc.ProjectionsStub(channel)

    def put(self, source: str, switch: int = CAUGHT_UP, **more: Any) -> pb.PutProjectionResponse:
        fields: dict[str, Any] = {"source": source, "switch": switch, **more}
        request = pb.PutProjectionRequest(**fields)
        return self.stub.PutProjection(request, timeout=CALL_SECONDS)

    def get(self, name: str) -> pb.Projection:
        request = pb.GetProjectionRequest(name=name)
        return self.stub.GetProjection(request, timeout=CALL_SECONDS).projection

    def generation(self, name: str, number: int) -> pb.Generation:
        [found] = [one for one in self.get(name).generations if one.generation == number]
        return found

    def rebuild(self, name: str, switch: int = CAUGHT_UP) -> int:
        request = pb.RebuildProjectionRequest(name=name, switch=switch)  # type: ignore[arg-type]
        return self.stub.RebuildProjection(request, timeout=CALL_SECONDS).generation

    def switch(self, name: str, generation: int = 0) -> pb.Projection:
        request = pb.SwitchProjectionRequest(name=name, generation=generation)
        return self.stub.SwitchProjection(request, timeout=CALL_SECONDS).projection

    def drop(self, name: str, generation: int = 0) -> None:
        request = pb.DropProjectionRequest(name=name, generation=generation)
        self.stub.DropProjection(request, timeout=CALL_SECONDS)

    def until(
        self,
        name: str,
        condition: Callable[[pb.Projection], object],
        seconds: float = SOON_SECONDS,
    ) -> pb.Projection:
        """The projection as soon as it is as wanted."""
        ends = time.monotonic() + seconds
        while True:
            found = self.get(name)
            if condition(found):
                return found
            assert time.monotonic() < ends, f"never, but {found}"
            time.sleep(0.02)

    def until_active(self, name: str, generation: int) -> pb.Projection:
        """The projection as soon as queries see a generation."""
        return self.until(name, lambda found: found.active == generation)

    def until_at(self, name: str, position: int, seconds: float = SOON_SECONDS) -> pb.Projection:
        """The projection as soon as all of its generations are at a position."""
        return self.until(
            name, lambda found: all(one.position >= position for one in found.generations), seconds
        )


@contextmanager
def projections_of(address: str) -> Iterator[Projections]:
    """The projections of the server at an address."""
    with grpc.insecure_channel(address) as channel:
        yield Projections(channel)


def rows_of(database_url: str, schema: object, name: str) -> list[tuple[Any, ...]]:
    """Rows of a view in the order of their keys."""
    with connected(database_url) as connection:
        return connection.execute(f"SELECT * FROM {schema}_query.{name} ORDER BY key").fetchall()


def end_leases(database_url: str, schema: object) -> None:
    """Lets all leases be over, as their rows say; nobody sleeps for them."""
    with connected(database_url) as connection:
        connection.execute(
            f"UPDATE {schema}.projection_progress"
            " SET lease_until = clock_timestamp() - interval '1 second'"
            " WHERE lease_until IS NOT NULL"
        )
