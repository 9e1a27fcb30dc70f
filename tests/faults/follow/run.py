"""One random history: writers, subscribers and faults side by side, until everything was sent."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.follow.inject import Servers, kill_servers
from tests.faults.follow.recording import Run
from tests.faults.follow.subscriber import Subscriber, resume
from tests.faults.follow.traffic import WANTED, Writer, read_log
from tests.support.history import History, run_threads

WRITERS = 3
RUN_SECONDS_MAX = 120.0
# Tokens that are tried out when all is over.
RESUMED = 6


@dataclass(frozen=True)
class Plan:
    """How a history is made."""

    seed: int
    events: int
    kills: int = 1


def make(plan: Plan, servers: Servers, *faults: Callable[[threading.Event], None]) -> Run:
    """Makes a history with the kills of servers that are planned, and further faults."""
    stop = threading.Event()
    noted = History()
    writers = [Writer(servers.address, plan.seed * 100 + n) for n in range(WRITERS)]
    subscribers = [
        Subscriber(servers.address, wanted, plan.seed * 100 + 50 + n)
        for n, wanted in enumerate(WANTED)
    ]
    each = -(-plan.events // WRITERS)
    writing = run_threads(noted, [lambda w=w: w.write(each, stop) for w in writers])
    following = run_threads(
        noted, [lambda s=s: _follow(s, writers, plan.seed, stop) for s in subscribers]
    )
    breaking = run_threads(
        noted,
        [
            lambda: kill_servers(servers, plan.seed, plan.kills, stop),
            *(lambda fault=fault: fault(stop) for fault in faults),
        ],
    )
    try:
        _join([*writing, *breaking], noted)
        end = len(read_log(servers.address())) + 1
        for subscriber in subscribers:
            subscriber.end = end
        # Without a new event a subscription may have nothing to say for 10 s. This one comes when
        # all know that it is the last.
        nudge = Writer(servers.address, plan.seed * 100 + 99)
        nudge.write(1, stop)
        _join(following, noted)
    finally:
        stop.set()
    run = Run(
        read_log(servers.address()),
        [append for writer in (*writers, nudge) for append in writer.appends],
        [subscriber.recording for subscriber in subscribers],
    )
    _resume_some(run, servers, plan.seed)
    return run


def _follow(
    subscriber: Subscriber, writers: list[Writer], seed: int, stop: threading.Event
) -> None:
    stop.wait(random.Random(f"{seed} {subscriber.recording.wanted.name}").uniform(0, 1))
    subscriber.begin_at(max(writer.newest for writer in writers))
    subscriber.follow(stop)


def _join(threads: list[threading.Thread], noted: History) -> None:
    for thread in threads:
        thread.join(RUN_SECONDS_MAX)
        assert noted.faults == []
        assert not thread.is_alive(), "the history does not end"


def _resume_some(run: Run, servers: Servers, seed: int) -> None:
    pick = random.Random(seed)
    frames = [
        (recording.wanted, frame)
        for recording in run.recordings
        for frame in recording.frames
        if frame.position < len(run.log)
    ]
    for wanted, frame in pick.sample(frames, min(RESUMED, len(frames))):
        events = resume(servers.address(), wanted, frame.token, len(run.log))
        run.resumed.append((wanted, frame, events))
