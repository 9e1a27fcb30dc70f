"""Goal: the core reads requests to append as protobuf's own decoder does, and answers what the
generated stubs can read.

Method: random messages, cut, changed and put behind one another, to both. What the rules say of an
append is tested in Rust; here is that both see the same append, and what the bindings add.
"""

from __future__ import annotations

import hashlib
import struct

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from eventfold import _core
from eventfold.v1 import appends_pb2 as pb

ID = "01890000-0000-7000-8000-00000000000a"

RULES = _core.Rules(1)


def checked(request: pb.AppendRequest | bytes) -> _core.Append:
    """The append of a request."""
    message = request if isinstance(request, bytes) else request.SerializeToString()
    return _core.Append.of_request(message, "me", None, RULES)


def new_request(*data: bytes, stream: str = "account-1") -> pb.AppendRequest:
    """An append of events with these data."""
    request = pb.AppendRequest(stream=stream)
    request.expected_version.exact = 3
    for one in data:
        request.events.add(id="", type="Moved", data=one)
    return request


def digest(event: pb.NewEvent) -> bytes:
    """SHA-256 of an event as sent, by the rule in `envelope/digest.rs`."""
    parts = [event.type.encode(), event.data, event.metadata or b"{}"]
    tags = [tag.encode() for tag in sorted(set(event.tags), key=str.encode)]
    fed = b"eventfold sent event 1\n"
    fed += b"".join(struct.pack(">Q", len(part)) + part for part in parts)
    fed += struct.pack(">Q", len(tags))
    fed += b"".join(struct.pack(">Q", len(tag)) + tag for tag in tags)
    return hashlib.sha256(fed).digest()


def attempt(message: bytes) -> _core.Append | _core.CoreError:
    """The append, or its refusal."""
    try:
        return checked(message)
    except _core.CoreError as error:
        return error


events = st.builds(
    pb.NewEvent,
    id=st.one_of(st.just(""), st.uuids().map(str)),
    type=st.sampled_from(["A", "Moved", "Grün"]),
    data=st.sampled_from([b"{}", b'{"a": 1}', b'{"\\u0061":[1.5,null]}']),
    metadata=st.sampled_from([b"", b"{}", b'{"m": "x"}']),
    tags=st.lists(st.sampled_from(["a", "b", "ä", "\U0001f600"]), max_size=4),
)
expectations = st.one_of(
    st.none(),
    st.builds(pb.ExpectedVersion, exact=st.integers(0, 2**63 - 1)),
    st.just(pb.ExpectedVersion(exists={})),
    st.just(pb.ExpectedVersion(any={})),
    st.just(pb.ExpectedVersion()),
)
requests = st.builds(
    pb.AppendRequest,
    stream=st.sampled_from(["a-1", "account-\xe9", "b-b-2"]),
    expected_version=expectations,
    events=st.lists(events, min_size=1, max_size=3),
)
# Fields of every wire type that nobody knows, groups within groups among them, and known ones of
# another type.
unknown = st.sampled_from(
    [b"", b"\x78\x01", b"\x7a\x01\xff", b"\x7d1234", b"\x7912345678", b"\x7b\x0b\x08\x07\x0c\x7c",
     b"\x08\x07", b"\x10\x07", b"\x1d1234"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(requests, unknown), min_size=1, max_size=3))
def test_both_see_the_same_append(parts: list[tuple[pb.AppendRequest, bytes]]) -> None:
    message = b"".join(part.SerializeToString() + more for part, more in parts)
    seen = pb.AppendRequest.FromString(message)
    kind = seen.expected_version.WhichOneof("kind")
    append = attempt(message)
    if isinstance(append, _core.CoreError):
        reason = "EXPECTED_VERSION_REQUIRED" if kind is None else "EVENT_ID_REUSED"
        assert append.reason == reason
        return
    assert append.stream == seen.stream
    assert append.demanded == {"exact": seen.expected_version.exact, "exists": -1, "any": -2}[kind]
    assert [sent or made for sent, made in zip((e.id for e in seen.events), append.ids, strict=True)
            ] == append.ids  # fmt: skip
    assert append.sent_digests == [digest(event) for event in seen.events]
    assert append.events == len(seen.events)
    assert append.plain
    assert append.message_bytes == len(message)


@settings(max_examples=1000, deadline=None)
@given(
    requests,
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=3),
    st.integers(0, 10**6),
)
def test_both_read_what_is_a_message(
    request: pb.AppendRequest, changes: list[tuple[int, int]], end: int
) -> None:
    message = bytearray(request.SerializeToString())
    for place, value in changes:
        message[place % len(message)] = value
    cut = bytes(message[: len(message) - end % 3])
    try:
        pb.AppendRequest.FromString(cut)
        readable = True
    except DecodeError:
        readable = False
    found = attempt(cut)
    refused = isinstance(found, _core.CoreError) and found.facts.get("problem") == "malformed"
    assert refused != readable, cut


def test_times_are_read() -> None:
    request = new_request(b"{}")
    request.events[0].occurred_at.seconds = 7
    # Two times are merged, field by field.
    again = pb.AppendRequest(stream="account-1")
    message = request.SerializeToString() + again.SerializeToString()
    assert checked(message).events == 1
    request.events[0].occurred_at.nanos = 1
    with pytest.raises(_core.CoreError) as caught:
        checked(request)
    assert caught.value.reason == "INVALID_TIME"
    assert caught.value.facts == {
        "field": "occurred_at",
        "problem": "finer_than_microseconds",
        "event_index": "0",
    }


def test_refusals_carry_their_facts() -> None:
    with pytest.raises(_core.CoreError) as caught:
        checked(new_request(b'{"a":1,"a":2}'))
    assert caught.value.reason == "INVALID_JSON"
    assert caught.value.facts == {
        "field": "data",
        "problem": "duplicate_key",
        "offset": "7",
        "event_index": "0",
    }
    with pytest.raises(TypeError):
        _core.Append.of_request("text", "me", None, RULES)  # type: ignore[arg-type]


def test_ids_are_made_in_order() -> None:
    request = new_request(*[b"{}"] * 50)
    request.events[7].id = ID.upper()
    ids = checked(request).ids
    assert ids[7] == ID
    made = ids[:7] + ids[8:]
    assert made == sorted(made)
    assert len(set(made)) == 49
    assert {id_[14] for id_ in made} == {"7"}
    assert checked(request).ids[0] > made[-1]


def test_a_session_gives_what_there_is_room_for() -> None:
    message = pb.AppendSessionRequest()
    for number in range(10):
        message.appends.add(number=number, append=new_request(b"{}", stream=f"a-{number}"))
    message.appends[4].append.stream = "nothing"
    message.appends[5].timeout.FromMilliseconds(1500)
    size = message.appends[0].ByteSize()
    one = _core.SessionMessage(message.SerializeToString(), "me", "trace")
    # Number 0 is not on the wire, and takes no room.
    assert one.take(0, 1000, False, RULES) == []
    assert one.take(5, size - 1, False, RULES) == []
    assert [append.number for append in one.take(0, 0, True, RULES)] == [0]
    room = 2 * message.appends[1].ByteSize()
    assert [append.number for append in one.take(9, room, False, RULES)] == [1, 2]
    taken = one.take(3, 10**6, False, RULES)
    assert [append.number for append in taken] == [3, 4, 5]
    assert not one.done
    refused = taken[1]
    assert isinstance(refused, _core.RefusedAppend)
    assert refused.error.reason == "INVALID_STREAM_NAME"
    assert refused.message_bytes == message.appends[4].ByteSize()
    patient, impatient = taken[0], taken[2]
    assert isinstance(patient, _core.Append)
    assert isinstance(impatient, _core.Append)
    assert (patient.timeout_s, impatient.timeout_s) == (None, 1.5)
    assert len(one.take(100, 10**6, False, RULES)) == 4
    assert one.done


def test_a_batch_holds_an_id_once() -> None:
    batch = _core.AppendBatch()
    first, second = new_request(b"{}"), new_request(b"{}", b"{}", stream="b-1")
    first.events[0].id = second.events[1].id = ID
    assert batch.add(checked(first))
    assert not batch.add(checked(second))
    assert batch.add(checked(new_request(b"{}", b"{}", stream="b-1")))
    # One to several streams is decided by itself.
    many = pb.AppendManyRequest()
    many.appends.add().MergeFromString(first.SerializeToString())
    many.checks.add(stream="c-1").expected_version.exact = 0
    several = _core.Append.of_many(many.SerializeToString(), "me", None, RULES)
    assert not several.plain
    assert batch.add(several)
    assert len(batch) == 3


def test_refused_answers_pass_as_they_are() -> None:
    answers = [pb.SessionAnswer(number=n).SerializeToString() for n in range(3)]
    ready = list(enumerate(answers))
    message, taken = _core.encode_session_answers(ready, 1_000)
    assert taken == 3
    response = pb.AppendSessionResponse.FromString(message)
    assert [answer.number for answer in response.answers] == [0, 1, 2]
    assert _core.encode_session_answers(ready, 1)[1] == 1
