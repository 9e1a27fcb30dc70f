"""Goal: whatever of a subscription was taken, going on leaves nothing out and doubles nothing.

Method: frames of any cut are taken in part, and the request that follows is answered from a model
of the log by another cut; breaks are timed by a clock and a random number of the test's own.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventfold import (
    ConnectionFailed,
    EventfoldError,
    FrameKind,
    InvalidRequest,
    Overloaded,
    Place,
    Reconnect,
    StoreIncarnationChanged,
    UnexpectedAnswer,
)
from eventfold._events import event_page
from eventfold._following import Following
from eventfold._reconnects import Reconnects
from eventfold.v1 import event_store_pb2 as store_pb
from eventfold.v1 import subscriptions_pb2 as pb

EVENTS = pb.FRAME_KIND_EVENTS


def event(position: int, log: int = 1) -> store_pb.RecordedEvent:
    return store_pb.RecordedEvent(id=f"{log:08}-0000-7000-8000-{position:012}", position=position)


def frame(
    *positions: int,
    kind: pb.FrameKind.ValueType = EVENTS,
    upto: int = 0,
    head: int = 0,
    log: int = 1,
) -> bytes:
    """A frame; its token is its position as text."""
    position = upto or max(positions)
    return pb.SubscribeResponse(
        events=[event(one, log) for one in positions],
        kind=kind,
        position=position,
        resume_token=b"%d" % position,
        head=head or position,
    ).SerializeToString()


def following(place: Place | None = None, **request: object) -> Following:
    made = Following(pb.SubscribeRequest(**request), place or Place())  # type: ignore[arg-type]
    made.request()
    return made


def take(flow: Following, message: bytes, count: int | None = None) -> list[int]:
    """Takes a frame, or only some of its events."""
    found = flow.accept(event_page(message, "decimal"))
    if found is None:
        return []
    events = flow.take(found)
    most = len(found) if count is None else count
    return [next(events).position for _ in range(most)]


def test_the_place_is_that_of_the_frame_when_all_of_it_was_taken() -> None:
    flow = following()
    assert flow.place == Place()
    assert take(flow, frame(3, 5, upto=8), 1) == [3]
    assert flow.place == Place(3, b"", 0, event(3).id)
    flow = following()
    assert take(flow, frame(3, 5, upto=8)) == [3, 5]
    assert flow.place == Place(8, b"8", 8)
    assert flow.request() == pb.SubscribeRequest(resume_token=b"8")


def test_inside_of_a_frame_the_token_is_that_of_the_frame_before() -> None:
    flow = following()
    take(flow, frame(1, 2))
    take(flow, frame(4, 6, 9), 2)
    assert flow.place == Place(6, b"2", 2, event(6).id)
    assert flow.request().resume_token == b"2"
    # What was taken is passed by, and the rest comes.
    assert take(flow, frame(4, 6)) == []
    assert take(flow, frame(9, 10)) == [9, 10]
    assert flow.doubtful is None


def test_nothing_taken_of_a_frame_is_the_place_before_it() -> None:
    flow = following()
    take(flow, frame(1, 2))
    take(flow, frame(4, 6), 0)
    assert flow.place == Place(2, b"2", 2)


@pytest.mark.parametrize(
    ("place", "start"),
    [
        (Place(), {"from_version": 4}),
        (Place(7, b"", 0, "x"), {"from_position": 7}),
        (Place(7), {"from_position": 8}),
        (Place(7, b"5", 5, "x"), {"resume_token": b"5"}),
        (Place(resume_token=b"5"), {"resume_token": b"5"}),
    ],
)
def test_where_the_call_begins(place: Place, start: dict[str, object]) -> None:
    flow = Following(pb.SubscribeRequest(stream="a-1", from_version=4), place)
    assert flow.request() == pb.SubscribeRequest(stream="a-1", **start)  # type: ignore[arg-type]


def test_another_event_at_the_place_is_another_log() -> None:
    flow = following(Place(6, b"2", 2, event(6).id))
    with pytest.raises(StoreIncarnationChanged) as raised:
        take(flow, frame(4, 6, 9, log=2))
    assert (raised.value.common_position, raised.value.token_position) == (2, 6)


def test_an_event_that_did_not_come_by_has_to_be_looked_up() -> None:
    flow = following(place := Place(6, b"2", 2, event(6).id))
    assert take(flow, frame(4, upto=5)) == []
    assert take(flow, frame(4, 9)) == [9]
    assert flow.doubtful == place
    flow = following(place)
    flow.accept(event_page(frame(kind=pb.FRAME_KIND_CAUGHT_UP, upto=7), "decimal"))
    assert flow.doubtful == place
    with pytest.raises(StoreIncarnationChanged):
        flow.prove(None)
    # A log that ends before it never sends it.
    flow = following(place)
    caught_up = frame(kind=pb.FRAME_KIND_CAUGHT_UP, upto=5)
    assert flow.accept(event_page(caught_up, "decimal")) is None
    assert flow.doubtful == place


def test_kinds_and_the_head() -> None:
    flow = following()
    kinds = []
    for number, kind in enumerate((*pb.FrameKind.values(), 99)):
        upto = 10 + number
        message = frame(kind=kind, upto=upto, head=20)
        if kind == EVENTS:
            message = frame(upto, head=19)
        found = flow.accept(event_page(message, "decimal"))
        assert found is not None
        kinds.append((found.kind, flow.is_caught_up))
        flow.take_whole(found)
        assert flow.place.position == upto
    assert kinds == [
        (FrameKind.CHECKPOINT, False),
        (FrameKind.EVENTS, False),
        (FrameKind.CHECKPOINT, False),
        (FrameKind.CAUGHT_UP, True),
        (FrameKind.FELL_BEHIND, False),
        (FrameKind.HEARTBEAT, False),
        (FrameKind.CHECKPOINT, False),
    ]
    assert flow.head == 20


@given(st.data())
def test_any_cut_of_any_log_comes_once(data: st.DataObject) -> None:
    """Each round is a call that is answered from the model, and stopped anywhere; what is kept in
    between is the place alone, as by a process that was killed.
    """
    log = data.draw(st.lists(st.integers(1, 60), unique=True, max_size=30).map(sorted))
    head = 60
    taken: list[int] = []
    place = Place()
    while place.position < head:
        flow = Following(pb.SubscribeRequest(), place)
        request = flow.request()
        after = int(request.resume_token or max(0, request.from_position - 1))
        for _ in range(data.draw(st.integers(1, 3))):
            upto = min(head, after + data.draw(st.integers(1, 40)))
            inside = [position for position in log if after < position <= upto]
            found = flow.accept(event_page(frame(*inside, upto=upto), "decimal"))
            after = upto
            if found is None:
                continue
            if flow.doubtful is not None and place.event_id is not None:
                pytest.fail("the event of the place was passed by unseen")
            events = flow.take(found)
            count = data.draw(st.integers(0, len(found)))
            taken += [next(events).position for _ in range(count)]
            if count < len(found):
                break
        place = flow.place
    assert taken == log


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lost(clock: Clock, **options: object) -> tuple[Reconnects, list[Reconnect]]:
    told: list[Reconnect] = []
    made = Reconnects(
        "it", 10, on_reconnect=told.append, clock=clock, uniform=lambda low, high: high, **options
    )  # type: ignore[arg-type]
    made.begin()
    return made, told


def test_pauses_grow_to_a_limit_and_begin_anew_with_something_new() -> None:
    clock = Clock()
    reconnects, told = lost(clock)
    reconnects.heard(is_new=True)
    pauses = []
    for _ in range(2_000):
        pauses.append(reconnects.pause_s(ConnectionFailed("gone"), 7))
        clock.now += pauses[-1]
        reconnects.begin()
    assert pauses[0] < pauses[1] < pauses[2] < pauses[-1] == max(pauses) == 2.0
    assert [(one.failures, one.position) for one in told[:2]] == [(1, 7), (2, 7)]
    # A call that breaks at once again is not tried faster for having been answered.
    reconnects.heard(is_new=False)
    assert reconnects.pause_s(ConnectionFailed("gone")) == 2.0
    reconnects.begin()
    reconnects.heard(is_new=True)
    assert reconnects.pause_s(ConnectionFailed("gone")) == pauses[0]
    clock.now += 20
    reconnects.heard(is_new=False)
    assert reconnects.pause_s(ConnectionFailed("gone")) == pauses[0]


@pytest.mark.parametrize(("is_heard", "most"), [(False, 10), (True, 30)])
def test_giving_up(is_heard: bool, most: float) -> None:
    clock = Clock()
    reconnects, _ = lost(clock, give_up_after=30)
    if is_heard:
        reconnects.heard(is_new=True)
    began = clock.now

    def fail_again() -> None:
        while True:
            clock.now += reconnects.pause_s(ConnectionFailed("gone"))

    with pytest.raises(ConnectionFailed):
        fail_again()
    assert most - 3 < clock.now - began <= most


@pytest.mark.parametrize(
    ("error", "mendable"),
    [
        (ConnectionFailed("x"), True),
        (Overloaded("x"), True),
        (UnexpectedAnswer("x", code="INTERNAL"), True),
        (UnexpectedAnswer("x", code="UNIMPLEMENTED"), False),
        (StoreIncarnationChanged("x"), False),
        (InvalidRequest("x"), False),
    ],
)
def test_what_another_attempt_can_mend(error: EventfoldError, mendable: bool) -> None:
    reconnects, told = lost(Clock())
    reconnects.heard(is_new=True)
    if mendable:
        assert reconnects.pause_s(error) > 0
    else:
        with pytest.raises(type(error)):
            reconnects.pause_s(error)
    assert bool(told) is mendable
