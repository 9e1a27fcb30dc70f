"""Goal: a call is repeated where that is safe, and nowhere else; its deadline bounds all of it.

Method: both clients against a server on a real socket that fails by script.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import grpc
import pytest

import eventfold
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import folds_pb2

STREAM = pb.GetStreamResponse(stream=pb.Stream(name="a-1", version=3))
APPENDED = appends_pb.AppendResponse(first_version=1, last_version=1, positions=[10])


@pytest.mark.parametrize("reason", ["STORAGE_UNAVAILABLE", "SHUTTING_DOWN", "NEW_REASON"])
async def test_a_read_is_repeated(driver: Any, server: Any, script: Any, reason: str) -> None:
    refusal = script.refuse(reason)
    server.script("GetStream", refusal, refusal, script.fail(grpc.StatusCode.UNAVAILABLE), STREAM)
    client = driver.client(server.target)
    assert (await driver.result(client.get_stream("a-1"))).version == 3
    assert len(server.calls) == 4


async def test_a_read_is_repeated_five_times_at_the_most(
    driver: Any, server: Any, script: Any
) -> None:
    server.script("GetStream", script.refuse("STORAGE_UNAVAILABLE"))
    client = driver.client(server.target)
    with pytest.raises(eventfold.StorageUnavailable):
        await driver.result(client.get_stream("a-1"))
    assert len(server.calls) == 5


async def test_an_append_is_repeated_with_the_same_ids(
    driver: Any, server: Any, script: Any
) -> None:
    server.script(
        "Append",
        script.refuse("OUTCOME_UNKNOWN", stream="a-1"),
        script.fail(grpc.StatusCode.UNAVAILABLE, "Socket closed"),
        APPENDED,
    )
    client = driver.client(server.target)
    events = [eventfold.Event("A"), eventfold.Event("B")]
    result = await driver.result(client.append("a-1", events, expected_version=0))
    assert (result.first_version, result.positions, result.duplicate) == (1, (10,), False)
    sent = [[event.id for event in request.events] for request in server.requests("Append")]
    assert sent == [[event.id for event in events]] * 3


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("VERSION_CONFLICT", "ABORTED"),
        ("EVENT_ID_REUSED", "ALREADY_EXISTS"),
        ("INVALID_JSON", "INVALID_ARGUMENT"),
        ("OVERLOADED", "RESOURCE_EXHAUSTED"),
        ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        ("BUG", "INTERNAL"),
    ],
)
async def test_a_refusal_is_not_repeated(
    driver: Any, server: Any, script: Any, reason: str, code: str
) -> None:
    server.script("Append", script.refuse(reason, code))
    client = driver.client(server.target)
    with pytest.raises(eventfold.EventfoldError) as caught:
        await driver.result(client.append("a-1", [eventfold.Event("A")], expected_version=0))
    assert caught.value.reason == reason
    assert caught.value.message == f"refused: {reason}"
    assert len(server.calls) == 1


async def test_nothing_stored_after_an_unsure_attempt_is_still_unsure(
    driver: Any, server: Any, script: Any
) -> None:
    server.script(
        "Append", script.refuse("OUTCOME_UNKNOWN", stream="a-1"), script.refuse("SHUTTING_DOWN")
    )
    client = driver.client(server.target)
    with pytest.raises(eventfold.OutcomeUnknown) as caught:
        await driver.result(client.append("a-1", [eventfold.Event("A")], expected_version=0))
    assert isinstance(caught.value.__cause__, eventfold.ShuttingDown)


async def test_a_conflict_after_an_unsure_attempt_is_sure(
    driver: Any, server: Any, script: Any
) -> None:
    conflict = script.refuse("VERSION_CONFLICT", "ABORTED", stream="a-1", expected=0, actual=2)
    server.script("Append", script.refuse("OUTCOME_UNKNOWN"), conflict)
    client = driver.client(server.target)
    with pytest.raises(eventfold.VersionConflict) as caught:
        await driver.result(client.append("a-1", [eventfold.Event("A")], expected_version=0))
    error = caught.value
    assert (error.stream, error.expected, error.actual) == ("a-1", 0, 2)


async def test_a_fold_is_put_again_only_if_nothing_was_stored(
    driver: Any, server: Any, script: Any
) -> None:
    answer = folds_pb2.PutFoldResponse(fold=folds_pb2.Fold(name="f", revision=1), created=True)
    client = driver.client(server.target)
    server.script("PutFold", script.refuse("STORAGE_UNAVAILABLE"), answer)
    assert (await driver.result(client.put_fold({"fold": "f"}))).created
    server.script("PutFold", script.fail(grpc.StatusCode.UNAVAILABLE, "Socket closed"), answer)
    with pytest.raises(eventfold.ConnectionFailed):
        await driver.result(client.put_fold({"fold": "f"}))


async def test_a_read_that_gets_no_answer_says_so(driver: Any, server: Any, script: Any) -> None:
    server.script("GetStream", script.hang)
    client = driver.client(server.target, timeout=0.2)
    begin = time.monotonic()
    with pytest.raises(eventfold.DeadlineExceeded) as caught:
        await driver.result(client.get_stream("a-1"))
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.deadline_ms == 200
    assert time.monotonic() - begin < 20


async def test_an_append_that_gets_no_answer_may_be_stored(
    driver: Any, server: Any, script: Any
) -> None:
    server.script("Append", script.hang)
    client = driver.client(server.target)
    with pytest.raises(eventfold.OutcomeUnknown):
        await driver.result(
            client.append("a-1", [eventfold.Event("A")], expected_version=0, timeout=0.2)
        )
    assert len(server.calls) == 1


async def test_repetitions_stay_within_the_deadline(
    driver: Any, server: Any, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventfold._failures._BACKOFF_FIRST_S", 1.0)
    server.script("GetStream", script.refuse("STORAGE_UNAVAILABLE"))
    client = driver.client(server.target, timeout=2.0)
    begin = time.monotonic()
    with pytest.raises(eventfold.StorageUnavailable):
        await driver.result(client.get_stream("a-1"))
    assert time.monotonic() - begin < 2.0
    first, *later = [call.seconds for call in server.calls]
    assert len(later) < 4
    assert all(seconds < first - 0.1 for seconds in later)


async def test_every_call_carries_the_default_deadline_and_the_token(
    driver: Any, server: Any
) -> None:
    server.script("GetStream", STREAM)
    client = driver.client(server.target, token="secret")
    await driver.result(client.get_stream("a-1"))
    (call,) = server.calls
    # gRPC rounds a deadline up on its way.
    assert 9 < call.seconds <= 11
    assert call.metadata["authorization"] == "Bearer secret"
    assert call.metadata["user-agent"].startswith("eventfold-python/")


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_no_server(driver: Any) -> None:
    client = driver.client(f"127.0.0.1:{closed_port()}")
    begin = time.monotonic()
    with pytest.raises(eventfold.ConnectionFailed) as caught:
        await driver.result(client.get_stream("a-1"))
    assert caught.value.target == client.target
    assert isinstance(caught.value, ConnectionError)
    assert time.monotonic() - begin < 30


async def test_a_server_that_speaks_something_else(driver: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            client = driver.client(f"127.0.0.1:{listener.getsockname()[1]}", timeout=2)
            with pytest.raises((eventfold.ConnectionFailed, eventfold.UnexpectedAnswer)):
                await driver.result(client.get_stream("a-1"))
        finally:
            over.set()
            thread.join()


async def test_another_grpc_server(driver: Any, server: Any) -> None:
    client = driver.client(server.target)
    with pytest.raises(eventfold.UnexpectedAnswer) as caught:
        await driver.result(client.get_stream("a-1"))
    assert caught.value.code == "UNIMPLEMENTED"
    assert len(server.calls) == 1


async def test_a_proxy_that_refuses_the_token(driver: Any, server: Any, script: Any) -> None:
    client = driver.client(server.target)
    server.script("GetStream", script.fail(grpc.StatusCode.UNAUTHENTICATED, "who?"))
    with pytest.raises(eventfold.Unauthenticated, match=r"who\?"):
        await driver.result(client.get_stream("a-1"))
    server.script("GetStream", script.fail(grpc.StatusCode.PERMISSION_DENIED, "no"))
    with pytest.raises(PermissionError):
        await driver.result(client.get_stream("a-1"))


async def test_a_reason_of_a_newer_server(driver: Any, server: Any, script: Any) -> None:
    server.script("GetStream", script.refuse("FROM_TOMORROW", "FAILED_PRECONDITION", stream="a-1"))
    client = driver.client(server.target)
    with pytest.raises(eventfold.EventfoldError) as caught:
        await driver.result(client.get_stream("a-1"))
    error = caught.value
    assert type(error) is eventfold.EventfoldError
    assert (error.reason, error.code, error.facts) == (
        "FROM_TOMORROW",
        "FAILED_PRECONDITION",
        {"stream": "a-1"},
    )


async def test_a_closed_client_says_so(driver: Any, server: Any) -> None:
    server.script("GetStream", STREAM)
    client = driver.client(server.target)
    await driver.result(client.get_stream("a-1"))
    await driver.result(client.close())
    await driver.result(client.close())
    with pytest.raises(RuntimeError, match="closed"):
        await driver.result(client.get_stream("a-1"))


async def test_a_client_stays_in_its_process(
    driver: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script("GetStream", STREAM)
    client = driver.client(server.target)
    await driver.result(client.get_stream("a-1"))
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="another process"):
        await driver.result(client.get_stream("a-1"))
