"""A subscriber over plain stubs: calls, records every frame, is cut, is slow, and resumes."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import grpc
from tests.faults.follow.recording import Frame, LogEvent, Recording, Session, Wanted
from tests.faults.follow.traffic import UNSURE, Address, log_event

from eventfold.v1 import subscriptions_pb2, subscriptions_pb2_grpc

# Server frames come at least every 10 s; who hears nothing for longer calls again.
SILENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.3


class Subscriber:
    """Follows one filter from one start until it has everything."""

    def __init__(self, address: Address, wanted: Wanted, seed: int) -> None:
        self._address = address
        self._random = random.Random(seed)
        self.recording = Recording(wanted)
        # Where the log ends, once that is known.
        self.end: int | None = None
        self.is_slow = self._random.random() < 0.3
        self._first: tuple[dict[str, Any], Session] | None = None

    def begin_at(self, newest: int) -> None:
        """Chooses where to begin: the beginning, a position, or now.

        Args:
            newest: newest position that is surely stored.
        """
        kind = self._random.choice(("beginning", "position", "now"))
        if kind == "position" and newest:
            after = self._random.randrange(newest)
            self._first = {"from_position": after + 1}, Session(after)
        elif kind == "now":
            self._first = {"now": {}}, Session(None, not_before=newest)
        else:
            self._first = {}, Session(0)

    def follow(self, stop: threading.Event) -> None:
        """Subscribes, and again from the last token, until all was looked at."""
        while not stop.is_set() and not self._is_done():
            start, session = self._start()
            self.recording.sessions.append(session)
            try:
                self._session(start, session, stop)
            except grpc.RpcError as error:
                if error.code() not in UNSURE:
                    raise
                session.ended = error.code().name
            stop.wait(0.05)

    def _start(self) -> tuple[dict[str, Any], Session]:
        frames = self.recording.frames
        if frames:
            return {"resume_token": frames[-1].token}, Session(frames[-1].position)
        assert self._first is not None, "begin_at was not called"
        start, session = self._first
        # Nothing came of the first call: it begins anew, and now may be later.
        return start, Session(session.after, session.not_before)

    def _session(self, start: dict[str, Any], session: Session, stop: threading.Event) -> None:
        request = subscriptions_pb2.SubscribeRequest(**self.recording.wanted.request, **start)
        cut_after = self._random.choice((None, self._random.randint(1, 40)))
        with grpc.insecure_channel(self._address()) as channel:
            call = subscriptions_pb2_grpc.SubscriptionsStub(channel).Subscribe(request)
            for frame in call:
                session.frames.append(
                    Frame(
                        frame.kind,
                        frame.position,
                        frame.head,
                        frame.resume_token,
                        tuple(map(log_event, frame.events)),
                    )
                )
                if self.is_slow and self._random.random() < 0.1:
                    time.sleep(self._random.uniform(0, PAUSE_SECONDS))
                if stop.is_set() or self._is_done() or len(session.frames) == cut_after:
                    session.ended = "cut"
                    call.cancel()
                    return

    def _is_done(self) -> bool:
        frames = self.recording.frames
        return self.end is not None and bool(frames) and frames[-1].position >= self.end


def resume(address: str, wanted: Wanted, token: bytes, end: int) -> list[LogEvent]:
    """All that a token gives, up to a position."""
    events: list[LogEvent] = []
    request = subscriptions_pb2.SubscribeRequest(**wanted.request, resume_token=token)
    with grpc.insecure_channel(address) as channel:
        call = subscriptions_pb2_grpc.SubscriptionsStub(channel).Subscribe(
            request, timeout=SILENCE_SECONDS
        )
        for frame in call:
            events += map(log_event, frame.events)
            if frame.position >= end:
                call.cancel()
                break
    return events
