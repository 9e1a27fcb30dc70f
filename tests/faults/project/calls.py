"""The calls of projections, straight on the stubs, and waits for what the server does by itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc

from eventfold.v1 import projections_pb2 as pb
from eventfold.v1.projections_pb2_grpc import ProjectionsStub

T = TypeVar("T")

CALL_S = 10.0
WAIT_S = 40.0
POLL_S = 0.05
READY = pb.GENERATION_STATE_READY
ACTIVE = pb.GENERATION_STATE_ACTIVE
STANDBY = pb.GENERATION_STATE_STANDBY


@contextlib.contextmanager
def calling(address: str) -> Iterator[Calls]:
    """Calls to one server."""
    with grpc.insecure_channel(address) as channel:
        yield Calls(ProjectionsStub(channel))


class Calls:
    """What the tests ask for."""

    def __init__(self, stub: ProjectionsStub) -> None:
        self.stub = stub

    def put(self, text: str, switch: int = 0, *, in_place: bool = False) -> int:
        """Registers a document; the number of the generation that has it."""
        request = pb.PutProjectionRequest(source=text, in_place=in_place)
        request.switch = switch  # type: ignore[assignment]
        return self.stub.PutProjection(request, timeout=CALL_S).generation

    def get(self, name: str) -> pb.Projection:
        """The projection."""
        request = pb.GetProjectionRequest(name=name)
        return self.stub.GetProjection(request, timeout=CALL_S).projection

    def all(self) -> list[pb.Projection]:
        """All of them."""
        request = pb.ListProjectionsRequest(page_size=1000)
        return list(self.stub.ListProjections(request, timeout=CALL_S).projections)

    def rebuild(self, name: str, switch: int = pb.PROJECTION_SWITCH_WHEN_CAUGHT_UP) -> int:
        """Begins a new generation; its number."""
        request = pb.RebuildProjectionRequest(name=name)
        request.switch = switch  # type: ignore[assignment]
        return self.stub.RebuildProjection(request, timeout=CALL_S).generation

    def switch(self, name: str, generation: int = 0) -> pb.Projection:
        """Switches to a generation."""
        request = pb.SwitchProjectionRequest(name=name, generation=generation)
        return self.stub.SwitchProjection(request, timeout=CALL_S).projection

    def drop(self, name: str, generation: int = 0) -> None:
        """Drops a generation, or all."""
        request = pb.DropProjectionRequest(name=name, generation=generation)
        self.stub.DropProjection(request, timeout=CALL_S)

    def retry(self, name: str) -> pb.RetryProjectionResponse:
        """Folds what is parked."""
        return self.stub.RetryProjection(pb.RetryProjectionRequest(name=name), timeout=CALL_S)

    def stopped(self, name: str) -> pb.Generation | None:
        """The newest generation, if it stopped."""
        newest = self.get(name).generations[-1]
        return newest if newest.HasField("stopped") else None

    def query(self, name: str, at_least_position: int = 0) -> list[pb.ProjectionRow]:
        """The first rows."""
        request = pb.QueryProjectionRequest(name=name, at_least_position=at_least_position)
        return list(self.stub.QueryProjection(request, timeout=CALL_S).rows)

    def verify(self, name: str, generation: int = 0, keys: int = 0) -> pb.Verification:
        """Lets the server compare."""
        request = pb.VerifyProjectionRequest(name=name, generation=generation, keys=keys)
        [last] = [one for one in self.stub.VerifyProjection(request, timeout=WAIT_S) if one.done]
        return last.verification

    def caught_up(self, name: str) -> pb.Projection:
        """Waits until queries see the newest generation, and all are at the head."""
        return wait_for(lambda: self._caught_up(name), f"{name} to catch up")

    def _caught_up(self, name: str) -> pb.Projection | None:
        found = self.get(name)
        newest = found.generations[-1]
        by_hand = newest.switch == pb.PROJECTION_SWITCH_BY_HAND and newest.state == READY
        positions = [one.position for one in found.generations]
        seen = by_hand or newest.state in {ACTIVE, STANDBY}
        return found if seen and min(positions) >= found.head else None


def wait_for(probe: Callable[[], T | None], what: str, seconds: float = WAIT_S) -> T:
    """Asks until there is an answer that is true."""
    deadline = time.monotonic() + seconds
    while True:
        if found := probe():
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(POLL_S)
