"""The store under test of projections: its documents, and the calls that every part makes."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import data
from figures import Writer
from harness import Fault
from stores import Store

from eventfold.v1 import projections_pb2 as pb
from eventfold.v1.projections_pb2_grpc import ProjectionsStub

# Longer than any rebuild takes.
REBUILD_S_MAX = 1800.0
CALL_S = 60.0
POLL_S = 0.02

DOCUMENTS: dict[str, dict[str, Any]] = {
    # A row for each of many streams.
    "accounts": {
        "projection": "accounts",
        "source": {"category": data.CATEGORY},
        "initial": data.FOLD["initial"],
        "handlers": data.FOLD["handlers"],
        "columns": {"balance": "bigint", "deposits": "integer", "open": "boolean"},
        "indexes": [["balance"]],
    },
    # A few rows, each of which all streams touch.
    "amounts": {
        "projection": "amounts",
        "source": {"category": data.CATEGORY},
        "key": "event.amount",
        "initial": {"bookings": 0, "total": 0},
        "handlers": {
            kind: {"bookings": "state.bookings + 1", "total": "state.total + event.amount"}
            for kind in ("MoneyDeposited", "MoneyWithdrawn")
        },
        "columns": {"bookings": "bigint", "total": "bigint"},
    },
}


@dataclass
class Run:
    """The servers and what is measured on them."""

    options: argparse.Namespace
    writer: Writer
    own: Store
    another: Store
    stub: ProjectionsStub

    def put(self, name: str) -> None:
        """Registers a document, and waits until queries see it."""
        self.stub.PutProjection(
            pb.PutProjectionRequest(source=json.dumps(DOCUMENTS[name])), timeout=CALL_S
        )
        wait(lambda: self.get(name).active > 0)

    def get(self, name: str) -> pb.Projection:
        """The projection."""
        request = pb.GetProjectionRequest(name=name)
        return self.stub.GetProjection(request, timeout=CALL_S).projection

    def rebuild(self, name: str) -> pb.Generation:
        """A new generation beside the one that queries see, until it has caught up."""
        request = pb.RebuildProjectionRequest(name=name, switch=pb.PROJECTION_SWITCH_BY_HAND)
        number = self.stub.RebuildProjection(request, timeout=CALL_S).generation

        def ready() -> pb.Generation | None:
            [one] = [one for one in self.get(name).generations if one.generation == number]
            if one.HasField("stopped"):
                raise Fault(f"{name} stopped: {one.stopped.message}")
            return one if one.state == pb.GENERATION_STATE_READY else None

        return wait(ready)

    def drop(self, name: str, generation: int) -> None:
        """A generation that nobody sees."""
        request = pb.DropProjectionRequest(name=name, generation=generation)
        self.stub.DropProjection(request, timeout=CALL_S)

    def cpu(self) -> dict[str, float]:
        """CPU time so far of both servers and of PostgreSQL."""
        own, another = self.own.watched.cpu_seconds(), self.another.watched.cpu_seconds()
        return {"server": own["server"] + another["server"], "postgres": own["postgres"]}


def wait(probe: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + REBUILD_S_MAX
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(POLL_S)
    raise Fault(f"not done within {REBUILD_S_MAX:.0f} s")
