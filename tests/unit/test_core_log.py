"""The data path of the core, through its bindings: names in, pages out.

The rules themselves are tested in Rust; here is what the bindings add: conversions, exceptions,
and messages that the generated stubs can read.
"""

import struct
import threading

import pytest
from tests.support.pages import EPOCH_US, OIDS, array

from eventfold import _core

ID = "01890000-0000-7000-8000-00000000000a"


def page(
    count: int, data: bytes = b'{"a":1}', stream: bytes | None = b"account-1"
) -> list[bytes | None]:
    """A page of `count` events from version 1 on."""
    time = struct.pack(">q", 1_700_000_000_000_000 - EPOCH_US)
    columns: list[list[bytes | None]] = [[] for _ in OIDS]
    for version in range(1, count + 1):
        number = struct.pack(">q", version)
        tags = array(25, [b"red", "grün".encode()]) if version == 2 else None
        row = [
            stream,
            number,
            number,
            number + number,
            b"Moved",
            data,
            None,
            tags,
            time,
            None,
            b"me",
            struct.pack(">i", 1),
            None,
            None,
            None,
            b"\0",
            None,
        ]
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)
    return [
        None if all(cell is None for cell in column) else array(oid, column)
        for oid, column in zip(OIDS, columns, strict=True)
    ]


def test_stream_names() -> None:
    assert _core.check_stream_name("account-1-2") == "account"
    assert _core.check_stream_name("$audit", system=True) == "$audit"
    with pytest.raises(_core.CoreError) as caught:
        _core.check_stream_name("$audit")
    assert caught.value.reason == "INVALID_STREAM_NAME"
    assert caught.value.facts == {"problem": "reserved"}
    assert caught.value.message in str(caught.value)


def test_pages_become_messages() -> None:
    log_pb2 = pytest.importorskip("eventfold.v1.event_store_pb2")
    batch = _core.Batch(page(3))
    assert (len(batch), batch.first_version, batch.last_version) == (3, 1, 3)
    assert (batch.first_position, batch.last_position) == (1, 3)
    end = log_pb2.ReadResponse(end=log_pb2.ReadEnd(version=3, end_reached=True))
    message = log_pb2.ReadResponse.FromString(batch.encode() + end.SerializeToString())
    assert [event.version for event in message.events] == [1, 2, 3]
    event = message.events[1]
    assert (event.stream, event.type, event.data) == ("account-1", "Moved", b'{"a":1}')
    assert (event.metadata, list(event.tags), event.writer) == (b"{}", ["red", "grün"], "me")
    assert event.id == "00000000-0000-0002-0000-000000000002"
    assert event.recorded_at.seconds == 1_700_000_000
    assert message.end.end_reached
    all_message = log_pb2.ReadAllResponse.FromString(batch.encode())
    assert len(all_message.events) == 3


def test_the_stream_name_may_be_given_once() -> None:
    log_pb2 = pytest.importorskip("eventfold.v1.event_store_pb2")
    batch = _core.Batch(page(2, stream=None))
    message = log_pb2.ReadResponse.FromString(batch.encode("given-1"))
    assert [event.stream for event in message.events] == ["given-1"] * 2
    with pytest.raises(_core.CoreError, match="BUG"):
        batch.encode()


def test_empty_and_malformed_pages() -> None:
    empty = _core.Batch([None] * 17)
    assert (len(empty), empty.last_version, empty.encode()) == (0, 0, b"")
    columns = page(2)
    columns[1] = b"junk"
    with pytest.raises(_core.CoreError) as caught:
        _core.Batch(columns)
    assert caught.value.reason == "BUG"


def test_a_large_page_is_encoded_by_many_threads() -> None:
    batch = _core.Batch(page(2_000, data=b'{"a":"' + b"x" * 500 + b'"}'))
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(batch.encode())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
