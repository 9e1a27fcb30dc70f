"""What must be true of every subscription. Each oracle yields a sentence for each violation.

The names are those by which the tests of etcd know the promises of a watch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from tests.faults.follow.recording import LogEvent, Recording, Run, Session, Wanted


def genuine(run: Run) -> Iterator[str]:
    """What is sent is what is stored, byte for byte."""
    for recording in run.recordings:
        for frame in recording.frames:
            for event in frame.events:
                stored = _at(run, event.position)
                if stored != event:
                    yield f"{_who(recording)}: sent {event}, stored {stored}"


def filtered(run: Run) -> Iterator[str]:
    """Only what was asked for is sent."""
    for recording in run.recordings:
        for frame in recording.frames:
            for event in frame.events:
                if not recording.wanted.lets_pass(event):
                    yield f"{_who(recording)}: {event.position} was not asked for"


def ordered(run: Run) -> Iterator[str]:
    """Positions grow within a call, and start behind where it was asked to begin."""
    for recording, session in _sessions(run):
        last = session.after or 0
        for frame in session.frames:
            for event in frame.events:
                if event.position <= last:
                    yield f"{_who(recording)}: {event.position} came after {last}"
                last = event.position


def unique(run: Run) -> Iterator[str]:
    """Whoever resumes from the last token gets no event twice."""
    for recording in run.recordings:
        seen: set[int] = set()
        for frame in recording.frames:
            for event in frame.events:
                if event.position in seen:
                    yield f"{_who(recording)}: {event.position} came twice"
                seen.add(event.position)


def atomic(run: Run) -> Iterator[str]:
    """An append becomes visible as a whole: no head lies inside of one."""
    inside = {
        position for first, last in run.appends for position in range(first, last)
    }  # fmt: skip
    for recording in run.recordings:
        for frame in recording.frames:
            if frame.head in inside:
                yield f"{_who(recording)}: the head {frame.head} lies inside an append"


def reliable(run: Run) -> Iterator[str]:
    """No event is left out below the position of any frame."""
    for recording, session in _sessions(run):
        after = _begin(session)
        if after is None:
            continue
        sent = {event.position for frame in session.frames for event in frame.events}
        upper = max((frame.position for frame in session.frames), default=after)
        for event in _between(run, recording.wanted, after, upper):
            if event.position not in sent:
                yield f"{_who(recording)}: {event.position} is missing between {after} and {upper}"


def resumable(run: Run) -> Iterator[str]:
    """A token gives exactly what was asked for behind its position."""
    for wanted, frame, events in run.resumed:
        expected = _between(run, wanted, frame.position, len(run.log))
        if events != expected:
            yield (
                f"{wanted.name}: the token of {frame.position} gave "
                f"{[event.position for event in events][:5]}, not "
                f"{[event.position for event in expected][:5]}"
            )


def bookmarkable(run: Run) -> Iterator[str]:
    """Positions of frames never go back, never pass the head or an event that was not sent."""
    for recording, session in _sessions(run):
        begin = _begin(session)
        if begin is None:
            continue
        last = begin
        sent: list[int] = []
        for frame in session.frames:
            if frame.position < last:
                yield f"{_who(recording)}: the position went back from {last} to {frame.position}"
            if frame.position > frame.head:
                yield f"{_who(recording)}: position {frame.position} beyond the head {frame.head}"
            sent += [event.position for event in frame.events]
            if sent and sent[-1] > frame.position:
                yield f"{_who(recording)}: {sent[-1]} was sent with the position {frame.position}"
            passed = _between(run, recording.wanted, last, frame.position)
            late = {event.position for event in passed}.difference(sent)
            if late:
                yield f"{_who(recording)}: {frame.position} passed {min(late)}, not sent yet"
            last = max(last, frame.position)


def complete(run: Run) -> Iterator[str]:
    """All that was asked for was sent by the end, over all calls; `now` begins no earlier."""
    for recording in run.recordings:
        # The first call of which anything came: a start that is `now` is later in the next one.
        first = next((session for session in recording.sessions if session.frames), None)
        begin = _begin(first) if first else None
        if first is None or begin is None:
            yield f"{_who(recording)}: it was sent nothing at all"
            continue
        if first.after is None and begin < first.not_before:
            yield f"{_who(recording)}: now was {begin}, and {first.not_before} was stored before"
        sent = {event.position for frame in recording.frames for event in frame.events}
        wanted = _between(run, recording.wanted, begin, len(run.log))
        missing = [event.position for event in wanted if event.position not in sent]
        if missing:
            yield f"{_who(recording)}: {len(missing)} never came, the first is {missing[0]}"


ORACLES: dict[str, Callable[[Run], Iterator[str]]] = {
    oracle.__name__: oracle
    for oracle in (
        genuine, filtered, ordered, unique, atomic, reliable, resumable, bookmarkable, complete,
    )
}  # fmt: skip


def violations(run: Run) -> list[str]:
    """All that is not as it must be."""
    found = [
        f"{name}: {violation}" for name, oracle in ORACLES.items() for violation in oracle(run)
    ]
    positions = [event.position for event in run.log]
    if positions != list(range(1, len(positions) + 1)):
        found.append("log: positions are not dense from 1")
    return found


def _sessions(run: Run) -> Iterator[tuple[Recording, Session]]:
    for recording in run.recordings:
        for session in recording.sessions:
            yield recording, session


def _begin(session: Session) -> int | None:
    """The position after which a session began; None: nobody knows, since nothing came."""
    if session.after is not None:
        return session.after
    return session.frames[0].position if session.frames else None


def _at(run: Run, position: int) -> LogEvent | None:
    return run.log[position - 1] if 1 <= position <= len(run.log) else None


def _between(run: Run, wanted: Wanted, after: int, upper: int) -> list[LogEvent]:
    """What is wanted of the log above `after`, up to `upper`."""
    first = bisect_left(run.log, after + 1, key=lambda event: event.position)
    return [event for event in run.log[first:upper] if wanted.lets_pass(event)]


def _who(recording: Recording) -> str:
    return f"subscriber of {recording.wanted.name}"
