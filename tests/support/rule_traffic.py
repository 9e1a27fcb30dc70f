"""Appends that rules may refuse, from many threads, and when each was begun and answered."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from tests.support.event_types import CALL_SECONDS, append_request, tried
from tests.support.raw import Answer

from eventfold.v1 import event_store_pb2_grpc

THREADS = 4


@dataclass(frozen=True)
class Made:
    """An append of one event, and what became of it."""

    number: int
    event_id: str
    begun: float
    answered: float
    # Of the event; None: it was refused.
    position: int | None


class Traffic:
    """Appends events `{"n": number}` of a type to streams of a category, until it is stopped."""

    def __init__(self, addresses: Sequence[str], event_type: str, reason: str) -> None:
        """`reason` is the one refusal that may come."""
        self.event_type = event_type
        self.made: list[Made] = []
        self._reason = reason
        self._numbers: Callable[[int], int] = lambda n: n
        self._counter = itertools.count()
        self._faults: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(addresses[n % len(addresses)], n))
            for n in range(THREADS)
        ]

    def numbered(self, numbers: Callable[[int], int]) -> None:
        """From now on the events that count on have these numbers."""
        self._numbers = numbers

    def until(self, count: int, seconds: float = 120.0) -> None:
        """Waits until so many more appends were answered."""
        wanted, ends = len(self.made) + count, time.monotonic() + seconds
        while len(self.made) < wanted:
            assert not self._faults, self._faults
            assert time.monotonic() < ends, f"{len(self.made)} of {wanted}"
            time.sleep(0.005)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs meanwhile."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        assert self._faults == []

    def _guarded(self, address: str, thread: int) -> None:
        try:
            with grpc.insecure_channel(address) as channel:
                self._run(event_store_pb2_grpc.EventStoreStub(channel), thread)
        except BaseException as fault:  # noqa: BLE001 - whoever waits is told
            self._faults.append(fault)

    def _run(self, log: event_store_pb2_grpc.EventStoreStub, thread: int) -> None:
        while not self._stop.is_set():
            number = self._numbers(next(self._counter))
            request = append_request(f"traffic-{thread}", (self.event_type, {"n": number}))
            begun = time.monotonic()
            answer = tried(log.Append, request, timeout=CALL_SECONDS)
            position: int | None = None
            if isinstance(answer, Answer):
                assert answer.reason == self._reason, answer
            else:
                position = answer.positions[0]
            self.made.append(Made(number, request.events[0].id, begun, time.monotonic(), position))
