"""Goal: no call, however large, slow or expensive, takes the server away from the others.

Method: requests beyond the limits, many calls at once, readers that do not read, and folds that
take long, while the server's memory and the time of a small call are watched.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.support.load import cpu_seconds_in, pings
from tests.support.raw import answer_of, call
from tests.support.servers import RunningServer

import eventfold
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import folds_pb2
from eventfold_server import limits

APPEND = "/eventfold.v1.EventStore/Append"
READ = "/eventfold.v1.EventStore/Read"
LIST_STREAMS = "/eventfold.v1.EventStore/ListStreams"
HYDRATE = "/eventfold.v1.Folds/Hydrate"
MIB = 1024 * 1024
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    """Sends whatever it is told to."""
    with grpc.insecure_channel(server.address, options=OPTIONS) as opened:
        yield opened


@pytest.fixture
def store(server: RunningServer) -> Iterator[eventfold.Client]:
    with eventfold.Client(server.address, timeout=60) as client:
        yield client


def append_of(stream: str, *sizes: int) -> appends_pb.AppendRequest:
    """An append of events whose data has these sizes in bytes."""
    request = appends_pb.AppendRequest(stream=stream)
    request.expected_version.exact = 0
    for size in sizes:
        request.events.add(type="T", data=b'{"x":"' + b"x" * (size - 8) + b'"}')
    return request


def memory_mib(pid: int) -> float:
    """Memory that the process holds, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def test_an_append_at_its_limit_is_stored_and_above_refused(
    channel: grpc.Channel, server: RunningServer
) -> None:
    types_and_name = 3 * len("T") + len("large-1")
    rest = limits.APPEND_BYTES_MAX - 2 * MIB - types_and_name
    fits = append_of("large-1", MIB, MIB, rest)
    for stream, sizes, reason, limit in (
        ("large-2", (MIB, MIB, rest + 1), "APPEND_TOO_LARGE", limits.APPEND_BYTES_MAX),
        ("large-2", (MIB + 1,), "EVENT_TOO_LARGE", MIB),
        ("large-2", (2 * MIB, 2 * MIB), "EVENT_TOO_LARGE", MIB),
        ("large-2", tuple([MIB] * 7), "APPEND_TOO_LARGE", limits.APPEND_BYTES_MAX),
        ("large-2", tuple([8] * 1001), "TOO_MANY_EVENTS", limits.APPEND_EVENTS_MAX),
    ):
        answer = call(channel, APPEND, append_of(stream, *sizes).SerializeToString())
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", reason), sizes
        assert answer.facts["limit"] == str(limit)
        assert int(answer.facts["actual"]) > limit
    assert call(channel, APPEND, fits.SerializeToString()).code == "OK"
    read = call(channel, READ, pb.ReadRequest(stream="large-1").SerializeToString())
    found = [e for part in read.messages for e in pb.ReadResponse.FromString(part).events]
    assert [event.data for event in found] == [event.data for event in fits.events]
    # What a client receives by default.
    assert max(len(part) for part in read.messages) < 4 * MIB
    read = call(channel, READ, pb.ReadRequest(stream="large-2").SerializeToString())
    assert read.reason == "STREAM_NOT_FOUND"


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_above_what_is_received_ends_only_its_call(
    channel: grpc.Channel, server: RunningServer, compression: grpc.Compression
) -> None:
    before = memory_mib(server.pid)
    stub = channel.unary_unary(APPEND)
    for size in (limits.MESSAGE_RECEIVE_BYTES_MAX + 1, 64 * MIB):
        for _ in range(4):
            with pytest.raises(grpc.RpcError) as refused:
                stub(b"\0" * size, compression=compression, timeout=20)
            assert answer_of(refused.value).code == "RESOURCE_EXHAUSTED"
            assert call(channel, LIST_STREAMS).code == "OK"
    assert memory_mib(server.pid) < before + 160


def test_hundreds_of_calls_at_once_are_all_answered(server: RunningServer) -> None:
    calls = 300
    request = appends_pb.AppendRequest(stream="")
    request.expected_version.exact = 0
    request.events.add(type="T", data=b"{}")
    channels = [
        grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(3)
    ]
    futures = []
    for number in range(calls):
        request.stream = f"many-{number}"
        stub = channels[number % 3].unary_unary(APPEND)
        futures.append(stub.future(request.SerializeToString(), timeout=30))
    positions = []
    for future in futures:
        positions += appends_pb.AppendResponse.FromString(future.result()).positions
    assert len(set(positions)) == calls
    for channel in channels:
        channel.close()


def test_a_reader_that_does_not_read_costs_no_memory(
    server: RunningServer, store: eventfold.Client
) -> None:
    """What it has not taken waits in PostgreSQL."""
    events = [eventfold.Event("T", {"x": "x" * 100_000}) for _ in range(25)]
    for _ in range(24):
        store.append("big-1", [eventfold.Event(e.type, e.data) for e in events],
                     expected_version=eventfold.ANY)  # fmt: skip
    whole_mib = 24 * 25 * 0.1
    request = pb.ReadRequest(stream="big-1").SerializeToString()
    list(store.read("big-1"))
    before = memory_mib(server.pid)
    channels = [
        grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(6)
    ]
    readers = [channel.unary_stream(READ)(request) for channel in channels]
    sizes = [len(next(reader)) for reader in readers]
    time.sleep(1.5)
    grown = memory_mib(server.pid) - before
    assert grown < len(readers) * 8, f"{grown} MiB"
    assert grown < len(readers) * whole_mib / 4
    # They were not forgotten.
    for index, reader in enumerate(readers[:2]):
        sizes[index] += sum(len(part) for part in reader)
        assert sizes[index] > whole_mib * 0.95 * MIB
    for channel in channels:
        channel.close()
    with pings(server.address) as took:
        time.sleep(0.3)
    assert took


def fold_of(name: str, handler: str) -> str:
    """A fold with one field."""
    return json.dumps({"fold": name, "initial": {"n": 0}, "handlers": {"T": {"n": handler}}})


def hydrate(stream: str, source: str) -> bytes:
    request = folds_pb2.HydrateRequest(stream=stream)
    request.fold.source = source
    return request.SerializeToString()


def test_a_long_hydration_holds_up_no_other_call(
    channel: grpc.Channel, server: RunningServer, store: eventfold.Client
) -> None:
    for _ in range(50):
        events = [eventfold.Event("T", {"amount": 1}) for _ in range(1000)]
        store.append("long-1", events, expected_version=eventfold.ANY)
    source = fold_of("sum", "state.n + int(event.amount)")
    with pings(server.address) as took:
        for _ in range(3):
            answer = call(channel, HYDRATE, hydrate("long-1", source))
            [message] = answer.messages
            found = folds_pb2.HydrateResponse.FromString(message)
            assert (found.state, found.version) == (b'{"n":50000}', 50_000)
    assert len(took) > 5
    assert max(took) < 0.5, max(took)


# Costs most of the steps that one event may.
DEAR = (
    "state.n + [1,2,3,4,5,6,7,8,9,0].map(a, [1,2,3,4,5,6,7,8,9,0].map(b, "
    "[1,2,3,4,5,6,7,8,9,0].map(c, [1,2,3,4,5,6,7,8,9,0].map(d, size([a,b,c,d]))))).size()"
)


def test_a_dear_fold_holds_up_no_other_call_and_ends_with_its_caller(
    channel: grpc.Channel, server: RunningServer, store: eventfold.Client
) -> None:
    """A page of few bytes can cost seconds."""
    events = [eventfold.Event("T", {}) for _ in range(300)]
    store.append("dear-1", events, expected_version=0)
    source = fold_of("dear", DEAR)
    began = time.perf_counter()
    with pings(server.address) as took:
        answer = call(channel, HYDRATE, hydrate("dear-1", source), timeout=30)
    alone = time.perf_counter() - began
    assert answer.code == "OK", answer
    assert max(took) < max(0.3, alone / 4), (max(took), alone)
    many = [eventfold.Event("T", {}) for _ in range(1000)]
    for _ in range(10):
        store.append("dear-2", [eventfold.Event(e.type, {}) for e in many],
                     expected_version=eventfold.ANY)  # fmt: skip
    stub = channel.unary_unary(HYDRATE)
    calls = [stub.future(hydrate("dear-2", source)) for _ in range(8)]
    time.sleep(0.5)
    for one in calls:
        one.cancel()
    deadline = time.monotonic() + 60
    while cpu_seconds_in(server.pid, 0.3) > 0.15:
        assert time.monotonic() < deadline, "folds go on without their callers"
