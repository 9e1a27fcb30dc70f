"""Goal: health says NOT_SERVING while PostgreSQL cannot be reached, and SERVING again after.

Method: a server on a PostgreSQL of the test's own, which is stopped and started, and paused; a
watcher and single checks note what health says. The clean end is tested in `test_stop.py`.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.database import postmaster_pid
from tests.support.servers import RunningServer, start_server

from eventfold_server.limits import HEALTH_STORAGE_LOST_S

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("", "eventfold.v1.EventStore", "eventfold.v1.Folds")
TOLD_SECONDS_MAX = HEALTH_STORAGE_LOST_S + 30


@pytest.fixture
def own(shared_tmp_path: Path) -> Iterator[RunningServer]:
    """A server with a PostgreSQL of its own."""
    with start_server(shared_tmp_path) as server:
        yield server
        assert server.stop() == 0


def test_health_follows_postgres(own: RunningServer) -> None:
    assert own.data_dir is not None
    with grpc.insecure_channel(own.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        told: queue.Queue[int] = queue.Queue()
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICES[1]))

        def follow() -> None:
            try:
                for one in watch:
                    told.put(one.status)
            except grpc.RpcError:
                return

        threading.Thread(target=follow, daemon=True).start()
        assert told.get(timeout=30) == SERVING
        processes = postgres_processes(own.data_dir)
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            assert told.get(timeout=TOLD_SECONDS_MAX) == NOT_SERVING
            assert time.monotonic() - began > HEALTH_STORAGE_LOST_S - 1.5
            assert {check(health, service) for service in SERVICES} == {NOT_SERVING}
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        assert told.get(timeout=TOLD_SECONDS_MAX) == SERVING
        assert {check(health, service) for service in SERVICES} == {SERVING}
        # One that ends and is soon there again is not worth a word.
        os.kill(postmaster_pid(own.data_dir), signal.SIGQUIT)
        with pytest.raises(queue.Empty):
            told.get(timeout=2.5)
        assert own.stop() == 0
        assert told.get(timeout=30) == NOT_SERVING
    assert "Traceback" not in own.log_tail()


def check(health: health_pb2_grpc.HealthStub, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return int(health.Check(request, timeout=30).status)


def postgres_processes(data_dir: Path) -> list[int]:
    """The postmaster and its children, which serve connections without it."""
    postmaster = postmaster_pid(data_dir)
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [postmaster, *map(int, children)]
