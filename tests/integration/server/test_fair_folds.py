"""Goal: many streams folded by one call keep nobody else waiting, whatever the fold costs.

Method: a thousand streams, of which each costs just less than what is folded on the event loop, so
that only the sum of them is much; small calls are timed meanwhile, and at the end the caller leaves
in the midst.
"""

from __future__ import annotations

import json
import time

import grpc
import pytest
from tests.support.load import cpu_seconds_in, pings
from tests.support.raw import call
from tests.support.servers import RunningServer

import eventfold
from eventfold import Event
from eventfold.v1 import folds_pb2 as pb

HYDRATE_MANY = "/eventfold.v1.Folds/HydrateMany"
CHECK_FOLD = "/eventfold.v1.Folds/CheckFold"
STREAMS = [f"dear-{number}" for number in range(1_000)]
TEN = "[1,2,3,4,5,6,7,8,9,0]"
# About 15,000 steps an event.
DEAR = json.dumps(
    {
        "fold": "dear",
        "initial": {"n": 0},
        "handlers": {"T": {"n": f"{TEN}.map(a, {TEN}.map(b, [1,2].map(c, size([a,b,c])))).size()"}},
    }
)


@pytest.fixture(scope="module")
def filled(server: RunningServer) -> RunningServer:
    with eventfold.Client(server.address, timeout=60) as store:
        for stream in STREAMS:
            store.append(stream, [Event("T", {}), Event("T", {})], expected_version=0)
    return server


def many() -> bytes:
    request = pb.HydrateManyRequest(streams=STREAMS)
    request.fold.source = DEAR
    return request.SerializeToString()


def check() -> bytes:
    request = pb.CheckFoldRequest(category="dear")
    request.fold.source = DEAR
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("method", "request_bytes"),
    [(HYDRATE_MANY, many()), (CHECK_FOLD, check())],
    ids=["many", "check"],
)
def test_other_calls_go_on(
    filled: RunningServer, channel: grpc.Channel, method: str, request_bytes: bytes
) -> None:
    began = time.perf_counter()
    with pings(filled.address) as took:
        answer = call(channel, method, request_bytes, timeout=60)
        alone = time.perf_counter() - began
    assert answer.code == "OK", answer
    # It is work enough to be felt.
    assert alone > 0.1
    assert max(took) < max(0.1, alone / 4), (max(took), alone)


def test_the_work_ends_with_its_caller(filled: RunningServer, channel: grpc.Channel) -> None:
    stub = channel.unary_stream(HYDRATE_MANY)
    calls = [stub(many()) for _ in range(6)]
    time.sleep(0.2)
    for one in calls:
        one.cancel()
    deadline = time.monotonic() + 60
    while cpu_seconds_in(filled.pid, 0.3) > 0.15:
        assert time.monotonic() < deadline, "folds go on without their callers"
