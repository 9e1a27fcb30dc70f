"""Goal: a retry neither loses an event nor folds one twice, whatever the server that builds the
projection and those who append do meanwhile; and a rebuild with a false row is not switched to.

Method: a real server that builds, threads that append all the time and retries at once from two
connections; in the end the rows are what a model says, and a verification of all keys agrees.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tests.support.database import connected
from tests.support.projection_servers import (
    BY_HAND,
    READY,
    Projections,
    projections_of,
    rows_of,
)
from tests.support.servers import RunningServer

import eventfold
from eventfold.v1 import projections_pb2 as pb

_SUMS = """
projection: {name}
source: {{category: {category}}}
initial: {{n: 0, sum: 0, last: 0}}
handlers:
  Added:
    n: "state.n + 1"
    sum: "{sum}"
    last: "meta.version"
columns: {{n: bigint, sum: bigint, last: bigint}}
on_error: park
"""
_FAILS = "state.sum + event.amount"
_MENDED = "type(event.amount) == int ? state.sum + event.amount : state.sum"


@pytest.fixture
def projections(server: RunningServer) -> Iterator[Projections]:
    with projections_of(server.address) as opened:
        yield opened


def retry(projections: Projections, name: str) -> pb.RetryProjectionResponse:
    return projections.stub.RetryProjection(pb.RetryProjectionRequest(name=name), timeout=60)


def verify(projections: Projections, name: str, generation: int = 0) -> pb.Verification:
    request = pb.VerifyProjectionRequest(name=name, generation=generation, keys=10_000)
    *_, last = projections.stub.VerifyProjection(request, timeout=60)
    assert last.done
    return last.verification


def test_retries_among_appends_and_a_worker(
    server: RunningServer, projections: Projections, database_url: str
) -> None:
    name, category = f"p{uuid.uuid4().hex}", f"c{uuid.uuid4().hex}"
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    lock, stop = threading.Lock(), threading.Event()
    newest = [0]

    def append(number: int) -> None:
        rng = random.Random(number)
        with eventfold.Client(server.address) as store:
            while not stop.is_set():
                stream = f"{category}-{number}_{rng.randrange(8)}"
                amount: object = "many" if rng.random() < 0.05 else rng.randrange(100)
                done = store.append(
                    stream,
                    [eventfold.Event("Added", {"amount": amount})],
                    expected_version=eventfold.ANY,
                )
                with lock:
                    one = sums[stream]
                    one[0] += 1
                    one[1] += amount if isinstance(amount, int) else 0
                    one[2] = done.last_version
                    newest[0] = max(newest[0], done.positions[-1])

    fails = _SUMS.format(name=name, category=category, sum=_FAILS)
    mended = _SUMS.format(name=name, category=category, sum=_MENDED)
    projections.put(fails)
    projections.until_active(name, 1)
    mended_keys = failed_keys = 0
    with ThreadPoolExecutor(6) as threads:
        appending = [threads.submit(append, number) for number in range(3)]
        try:
            for _ in range(4):
                projections.until(name, lambda found: found.generations[0].parked_keys > 3)
                # Nothing is mended yet, and the lists of these keys grow all the time.
                failed_keys += retry(projections, name).keys_failed
                projections.put(mended, in_place=True)
                twice = [threads.submit(retry, projections, name) for _ in range(2)]
                mended_keys += sum(one.result().keys_mended for one in twice)
                assert projections.get(name).generations[0].parked_keys == 0
                projections.put(fails, in_place=True)
        finally:
            stop.set()
        for one in appending:
            one.result()
    projections.put(mended, in_place=True)
    projections.until_at(name, newest[0])
    retry(projections, name)
    rows = rows_of(database_url, server.options["schema"], name)
    assert {key: list(columns[:3]) for key, *columns in rows} == sums
    found = verify(projections, name)
    assert (found.keys_differing, found.keys_checked) == (0, len(sums))
    generation = projections.get(name).generations[0]
    assert generation.parked_keys == 0
    assert generation.events == sum(one[0] for one in sums.values())
    assert mended_keys > 0
    assert failed_keys > 0


def test_a_false_row_holds_up_the_switch(
    server: RunningServer, projections: Projections, database_url: str
) -> None:
    name, category = f"p{uuid.uuid4().hex}", f"c{uuid.uuid4().hex}"
    source = _SUMS.format(name=name, category=category, sum=_MENDED)
    with eventfold.Client(server.address) as store:
        for number in range(20):
            store.append(
                f"{category}-{number}",
                [eventfold.Event("Added", {"amount": number})],
                expected_version=0,
            )
    projections.put(source)
    projections.until_active(name, 1)
    assert projections.rebuild(name, BY_HAND) == 2
    projections.until(name, lambda found: found.generations[-1].state == READY)
    schema = server.options["schema"]
    with connected(database_url) as connection:
        [row] = connection.execute(
            f"SELECT max(generation_no) FROM {schema}.projection_generations g"
            f" JOIN {schema}.projections p USING (projection_no) WHERE p.name = %s",
            (name,),
        ).fetchall()
        connection.execute(
            f"DELETE FROM {schema}.projection_{row[0]} WHERE key = %s", (f"{category}-7",)
        )
        # As if it had been put so.
        connection.execute(
            f"UPDATE {schema}.projection_generations SET switch = 1 WHERE generation_no = %s", row
        )
    found = projections.until(name, lambda found: found.generations[-1].HasField("verification"))
    verification = found.generations[-1].verification
    assert list(verification.differing) == [f"{category}-7"]
    assert verification.rows_shown == 19
    assert verification.table_checksum != verification.fold_checksum
    found = projections.get(name)
    assert (found.active, found.generations[-1].state) == (1, READY)


def test_a_retry_names_so_many_keys(projections: Projections) -> None:
    request = pb.RetryProjectionRequest(name="none", keys=["k"] * 1_001)
    with pytest.raises(grpc.RpcError) as refused:
        projections.stub.RetryProjection(request)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    del request.keys[0]
    with pytest.raises(grpc.RpcError) as refused:
        projections.stub.RetryProjection(request)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
