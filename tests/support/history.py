"""What writers were told and readers saw, held against the log at the end."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import eventfold
from eventfold import Client, Event, EventfoldError


@dataclass(frozen=True)
class Acknowledged:
    """An append that the store answered."""

    stream: str
    ids: tuple[str, ...]
    first_version: int
    positions: tuple[int, ...]


@dataclass
class History:
    """Everything that the writers and readers of a run noted."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    # Appends of unknown outcome: their writer got an error that leaves it open.
    open: list[tuple[str, list[Event]]] = field(default_factory=list)
    # For each reader that followed the log: position and id of each event that it got.
    seen: list[list[tuple[int, str]]] = field(default_factory=list)
    # What writers and readers got instead of an answer, in runs with faults.
    errors: list[EventfoldError] = field(default_factory=list)
    conflicts: int = 0
    faults: list[BaseException] = field(default_factory=list)

    def note(self, stream: str, events: Sequence[Event], result: eventfold.AppendResult) -> None:
        """Adds an answered append."""
        self.acknowledged.append(
            Acknowledged(
                stream,
                tuple(str(event.id) for event in events),
                result.first_version,
                result.positions,
            )
        )


def run_threads(history: History, tasks: Sequence[Callable[[], None]]) -> list[threading.Thread]:
    """Starts a thread for each task; what one raises ends up in the history."""

    def guarded(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as fault:
            history.faults.append(fault)
            raise

    threads = [threading.Thread(target=guarded, args=(task,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    return threads


def write(
    address: str,
    history: History,
    streams: Sequence[str],
    appends: int,
    seed: int,
    stop: threading.Event | None = None,
) -> None:
    """Appends to random streams with random expectations; repeats some, and all conflicts."""
    choose = random.Random(seed)
    with Client(address) as store:
        for number in range(appends):
            if stop is not None and stop.is_set():
                return
            stream = choose.choice(streams)
            events = [
                Event("Counted", {"writer": seed, "number": number, "part": part})
                for part in range(choose.choice((1, 1, 1, 2, 5)))
            ]
            try:
                result = _append(store, history, stream, events, choose)
            except EventfoldError as error:
                if stop is None:
                    raise
                history.errors.append(error)
                history.open.append((stream, events))
                continue
            history.note(stream, events, result)
            if choose.random() < 0.1:
                try:
                    again = store.append(
                        stream, events, expected_version=choose.choice((0, 7, 1000))
                    )
                except EventfoldError as error:
                    if stop is None:
                        raise
                    history.errors.append(error)
                    continue
                assert again.duplicate
                assert again.positions == result.positions


def _append(
    store: Client, history: History, stream: str, events: list[Event], choose: random.Random
) -> eventfold.AppendResult:
    if choose.random() < 0.3:
        return store.append(stream, events, expected_version=eventfold.ANY)
    while True:
        version = store.get_stream(stream).version
        try:
            return store.append(stream, events, expected_version=version)
        except eventfold.VersionConflict as conflict:
            if conflict.expected != version or (conflict.actual or 0) <= version:
                raise AssertionError(f"a conflict with wrong facts: {conflict.facts}") from None
            history.conflicts += 1


def follow(
    address: str, history: History, done: threading.Event, *, with_faults: bool = False
) -> None:
    """Reads the log on from where it ended, again and again, until `done` and one time more."""
    seen: list[tuple[int, str]] = []
    history.seen.append(seen)
    with Client(address) as store:
        last_round = False
        while True:
            start = seen[-1][0] + 1 if seen else 1
            try:
                for event in store.read_all(from_position=start):
                    seen.append((event.position, event.id))
            except EventfoldError as error:
                if not with_faults:
                    raise
                history.errors.append(error)
                continue
            if last_round:
                return
            last_round = done.is_set()


def repeat_open_appends(address: str, history: History) -> None:
    """Finishes what was left open: each append is stored now, or was stored then."""
    with Client(address) as store:
        while history.open:
            stream, events = history.open.pop()
            result = store.append(stream, events, expected_version=eventfold.ANY)
            history.note(stream, events, result)


def check(address: str, history: History) -> list[eventfold.RecordedEvent]:
    """Holds the history against the log; returns the log."""
    assert not history.faults, history.faults
    with Client(address) as store:
        log = list(store.read_all())
    assert [event.position for event in log] == list(range(1, len(log) + 1))
    times = [event.recorded_at for event in log]
    assert times == sorted(times), "recorded_at decreases"

    by_stream = defaultdict(list)
    for event in log:
        by_stream[event.stream].append(event)
    for stream, events in by_stream.items():
        versions = [event.version for event in events]
        assert versions == list(range(1, len(events) + 1)), f"versions of {stream}"

    ids = [event.id for event in log]
    assert len(set(ids)) == len(ids), "an event is stored twice"
    by_id = {event.id: event for event in log}
    for append in history.acknowledged:
        for offset, (id_, position) in enumerate(zip(append.ids, append.positions, strict=True)):
            event = by_id.get(id_)
            assert event is not None, f"lost: {append}"
            assert event.stream == append.stream
            assert event.position == position
            assert event.version == append.first_version + offset
    for stream, events in history.open:
        found = [str(event.id) in by_id for event in events]
        assert all(found) or not any(found), f"half of an append is stored in {stream}"

    order = [(event.position, event.id) for event in log]
    for seen in history.seen:
        assert seen == order[: len(seen)], "a reader saw another order than the final one"
    return log
