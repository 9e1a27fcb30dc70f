"""Somebody who changes, rebuilds, switches, drops and retries projections at random."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import grpc
from tests.faults.project import documents
from tests.faults.project.calls import Calls, calling
from tests.faults.project.stage import OUTAGE

from eventfold.v1 import projections_pb2 as pb

PAUSE_S = (0.05, 0.4)
# What may be said of a generation that another operation, or the server itself, was faster with.
BUSY = {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED}
SWITCHES = (
    pb.PROJECTION_SWITCH_WHEN_VERIFIED,
    pb.PROJECTION_SWITCH_WHEN_CAUGHT_UP,
    pb.PROJECTION_SWITCH_BY_HAND,
)


class Operator:
    """Random operations; it notes every document that a generation had."""

    def __init__(self, addresses: Callable[[], str], seed: int) -> None:
        self._addresses = addresses
        self._pick = random.Random(seed)
        self.done: dict[str, int] = {}
        self._changes = 0

    def run(self, stop: threading.Event) -> None:
        """Until it is stopped; an outage ends a call, and nothing else may."""
        while not stop.wait(self._pick.uniform(*PAUSE_S)):
            kind = self._pick.choice((self._put, self._rebuild, self._switch, self._drop))
            if self._pick.random() < 0.25:
                kind = self._retry
            try:
                with calling(self._addresses()) as calls:
                    kind(calls)
            except grpc.RpcError as error:
                if error.code() not in OUTAGE | BUSY:
                    raise
                time.sleep(PAUSE_S[0])
            else:
                self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1

    def _put(self, calls: Calls) -> None:
        self._changes += 1
        number = 1000 + self._changes
        document = self._pick.choice(
            (
                documents.shops(big=number, mended=self._pick.random() < 0.5),
                documents.carts(more=number),
                documents.types(each=number),
            )
        )
        calls.put(document.text, self._pick.choice(SWITCHES))

    def _rebuild(self, calls: Calls) -> None:
        calls.rebuild(self._pick.choice(("shops", "carts", "types")), self._pick.choice(SWITCHES))

    def _switch(self, calls: Calls) -> None:
        found = calls.get(self._pick.choice(("shops", "carts", "types")))
        calls.switch(found.name, self._pick.choice(found.generations).generation)

    def _drop(self, calls: Calls) -> None:
        found = calls.get(self._pick.choice(("shops", "carts", "types")))
        unseen = [one.generation for one in found.generations if one.generation != found.active]
        if unseen:
            calls.drop(found.name, self._pick.choice(unseen))

    def _retry(self, calls: Calls) -> None:
        """Mends the document of what queries see, and then what is parked."""
        found = calls.get("shops")
        [active] = [one for one in found.generations if one.generation == found.active]
        calls.put(documents.mended(active.source), in_place=True)
        calls.retry("shops")
