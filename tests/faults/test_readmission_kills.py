"""Goal: wherever a server is killed while it admits somebody again, no other server goes on
refusing the subject, and `$audit` says so once when the call is made again.

Method: two servers on one store, which both know that the subject is erased. One kills itself at a
named point of the re-admission; the other one never restarts. The points are those of the code: one
without a case is a failure.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.keys import master_key_file
from tests.support.servers import start_postgres, start_server

import eventfold
from eventfold import ANY, Client, Event
from eventfold_server import failpoints

POINTS = ["readmission_written", "readmission_followed"]


def test_every_point_has_a_case() -> None:
    assert set(POINTS) == {name for name in failpoints.NAMES if name.startswith("readmission_")}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("readmissions")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point(point: str, url: str, tmp_path: Path) -> None:
    options: dict[str, object] = {
        "database_url": url,
        "schema": f"a_{uuid.uuid4().hex[:12]}",
        "master_key_file": master_key_file(tmp_path),
        "fence_ledger": f"file:{tmp_path / 'fences'}",
    }
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    armed = {failpoints.ENVIRONMENT: point}
    with (
        start_server(folders[0], environment=armed, **options) as one,
        start_server(folders[1], **options) as two,
        Client(two.address, timeout=30) as store,
    ):
        store.put_privacy_rules({"privacy": "Named", "personal": {"/name": None}})
        store.append("User-1", [Event("Named", {"name": "Ada"})], expected_version=0)
        job = store.erase("User-1", reason="asked for")
        erased = store.wait_erasure(job.erasure_id, timeout=60).subject_id
        # So that it is in the server's memory.
        with pytest.raises(eventfold.SubjectErased):
            append(store)
        with (
            Client(one.address, timeout=10) as killed,
            pytest.raises(eventfold.EventfoldError),
        ):
            killed.readmit_subject("User-1")
        assert one.process.wait(timeout=60) == -9, one.log_tail()
        if point == "readmission_followed":
            # Told with the next renewal of its lease, by nobody who is alive.
            until_admitted(store)
            assert told(store) == []
        assert store.readmit_subject("User-1") == erased
        append(store)
        with pytest.raises(eventfold.SubjectNotErased):
            store.readmit_subject("User-1")
        assert told(store) == [erased]


def append(store: Client) -> None:
    store.append("User-1", [Event("Named", {"name": "again"})], expected_version=ANY)


def until_admitted(store: Client) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            return append(store)
        except eventfold.SubjectErased:
            assert time.monotonic() < until, "it is refused for ever"
            time.sleep(0.1)


def told(store: Client) -> list[str]:
    """The subjects that `$audit` says were admitted again."""
    return [
        event.data["subject_id"]
        for event in store.read("$audit")
        if event.type == "$SubjectReadmitted"
    ]
