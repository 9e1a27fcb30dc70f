"""Calls on the wire: any path, any bytes, any metadata, and the whole status of the answer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

CALL_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """How a call ended; `code` is the name of the gRPC code."""

    code: str
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    message: str = ""
    details_bytes: int = 0
    # The messages that came before the end.
    messages: list[bytes] = field(default_factory=list)


def answer_of(error: Any, messages: list[bytes] | None = None) -> Answer:
    """What a failed call says."""
    found = [v for k, v in error.trailing_metadata() or () if k == "grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    for value in found:
        [detail] = status_pb2.Status.FromString(value).details
        assert detail.Unpack(info)
        assert info.domain == "eventfold"
    return Answer(
        error.code().name,
        info.reason,
        dict(info.metadata),
        error.details() or "",
        sum(len(value) for value in found),
        messages or [],
    )


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a call with the token."""
    return (("authorization", f"Bearer {token}"),)


def call(
    channel: grpc.Channel,
    path: str,
    request: bytes = b"",
    metadata: Sequence[tuple[str, str | bytes]] = (),
    timeout: float | None = CALL_SECONDS,
    messages_max: int | None = None,
) -> Answer:
    """Calls a method, whether it streams or not; cancels it after so many messages."""
    stream = channel.unary_stream(path, request_serializer=None, response_deserializer=None)
    messages: list[bytes] = []
    try:
        answers = stream(request, metadata=tuple(metadata), timeout=timeout)
        messages.extend(itertools.islice(answers, messages_max))
        answers.cancel()
    except grpc.RpcError as error:
        return answer_of(error, messages)
    return Answer("OK", messages=messages)
