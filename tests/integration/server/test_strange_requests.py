"""Goal: no request, whatever it holds, makes the server fail or speak of a fault of its own.

Method: requests of every method drawn by hypothesis from the messages themselves, with texts and
numbers at the edges; the answer must be a result or a reason that is not BUG.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.raw import call
from tests.support.servers import RunningServer

import eventfold
from eventfold.v1 import (
    consumer_groups_pb2,
    event_store_pb2,
    folds_pb2,
    subscriptions_pb2,
)

INT32, INT64 = 31, 63
SERVICES = [
    service
    for file in (event_store_pb2, folds_pb2, subscriptions_pb2, consumer_groups_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
]
METHODS = [
    (f"/{service.full_name}/{method.name}", method.input_type)
    for service in SERVICES
    for method in service.methods
]
# Answers of this one do not end by themselves.
ENDLESS = "/eventfold.v1.Subscriptions/Subscribe"
# A read waits for these, until the deadline where the log does not have them.
POSITIONS_AT_LEAST = [0, 1, 3, -1, -(2**63)]
ID = "01234567-89ab-7cde-8f01-23456789abcd"
TEXTS = st.one_of(
    st.sampled_from(
        [
            "", "a-1", "known-1", "a", "$", "$audit", "$a\0", "a-\0", "\0", "-", "a-", "sum", ID,
            ID.upper(), "'; DROP TABLE events; --", "{}", "%s", "a-" + "ü" * 126 + "x", "x" * 5000,
            "\U0010ffff", "fold: sum\ninitial: {n: 0}\nhandlers: {T: {n: state.n + 1}}",
            'fold: "a\\0"\ninitial: {n: 0}\nhandlers: {T: {n: 1}}',
            'fold: x\ninitial: {n: "\\0"}',
            json.dumps({"fold": "b", "initial": {"n": "\0"}, "handlers": {"T": {"n": "'\\0'"}}}),
            json.dumps({"fold": "\0", "initial": {}, "handlers": {}}),
            json.dumps({"fold": "x" * 200, "initial": {}, "handlers": {}}),
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)  # fmt: skip
BYTES = st.one_of(
    st.sampled_from([b"{}", b"", b"\x01", b"\x01" + b"\0" * 24, b"\x01" + b"\xff" * 24]),
    st.sampled_from([b'{"a":1e400}', b'{"a":"\\u0000"}', b'{"a":"\\ud800"}', b"[" * 100, b"null"]),
    st.binary(max_size=60),
)


def numbers(bits: int) -> st.SearchStrategy[int]:
    """Integers of a signed field, often at its edges."""
    top = (1 << bits) - 1
    return st.one_of(st.sampled_from([0, 1, 2, -1, top, -top - 1]), st.integers(-top - 1, top))


def field_values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values of one field, or of one item of a repeated one."""
    kind = field.type
    if field.name == "at_least_position":
        return st.sampled_from(POSITIONS_AT_LEAST)
    if kind == FieldDescriptor.TYPE_MESSAGE:
        return messages(field.message_type)
    if kind == FieldDescriptor.TYPE_STRING:
        return TEXTS
    if kind == FieldDescriptor.TYPE_BYTES:
        return BYTES
    if kind == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if kind in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM):
        return st.one_of(st.integers(0, 4), numbers(INT32))
    if kind == FieldDescriptor.TYPE_INT64:
        return numbers(INT64)
    if kind == FieldDescriptor.TYPE_UINT32:
        return st.one_of(st.integers(0, 4), st.just(2**32 - 1))
    if kind == FieldDescriptor.TYPE_DOUBLE:
        return st.floats()
    if kind == FieldDescriptor.TYPE_UINT64:
        return st.one_of(st.integers(0, 4), st.just(2**64 - 1))
    raise AssertionError(f"a field of a new kind: {field.full_name}")


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor) -> Any:
    """A message with some of its fields."""
    message = descriptor._concrete_class()
    for field in descriptor.fields:
        if not draw(st.integers(0, 2)):
            continue
        values = field_values(field)
        if field.is_repeated:
            for value in draw(st.lists(values, max_size=3)):
                if field.type == FieldDescriptor.TYPE_MESSAGE:
                    getattr(message, field.name).add().CopyFrom(value)
                else:
                    getattr(message, field.name).append(value)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(draw(values))
            getattr(message, field.name).SetInParent()
        else:
            setattr(message, field.name, draw(values))
    return message


@pytest.fixture(scope="module")
def open_channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with eventfold.Client(server.address) as store:
        for _ in range(3):
            store.append("known-1", [eventfold.Event("T", {})], expected_version=eventfold.ANY)
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.mark.parametrize(("path", "descriptor"), METHODS, ids=[path for path, _ in METHODS])
def test_any_message_gets_an_answer_or_a_reason(
    open_channel: grpc.Channel, path: str, descriptor: Descriptor
) -> None:
    @settings(max_examples=150, suppress_health_check=list(HealthCheck))
    @given(messages(descriptor))
    def probe(message: Any) -> None:
        answer = call(
            open_channel,
            path,
            message.SerializeToString(),
            messages_max=1 if path == ENDLESS else None,
        )
        assert answer.reason not in {"BUG", "STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN"}, message
        assert answer.code == "OK" or answer.reason, (answer, message)
        assert answer.details_bytes < 4096

    probe()


@pytest.mark.parametrize("path", [path for path, _ in METHODS])
def test_any_bytes_get_an_answer_or_a_reason(open_channel: grpc.Channel, path: str) -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=80))
    def probe(request: bytes) -> None:
        answer = call(open_channel, path, request, messages_max=1 if path == ENDLESS else None)
        assert answer.reason not in {"BUG", "STORAGE_UNAVAILABLE", "OUTCOME_UNKNOWN"}, request
        assert answer.code == "OK" or answer.reason, answer

    probe()
    # A text that is not UTF-8, in field 1 of the request.
    answer = call(open_channel, path, b"\x0a\x03a-\xff")
    assert answer.reason == "INVALID_REQUEST" or answer.code == "OK"


def test_the_server_says_nothing_of_faults(server: RunningServer) -> None:
    text = server.log.read_text()
    assert "fault in" not in text
    assert "Traceback" not in text
