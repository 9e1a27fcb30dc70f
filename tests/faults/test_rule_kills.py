"""Goal: a server that is killed while it puts a schema, or a mapping, leaves it in force or not:
never stored and not in force, nor the other way.

Method: a server that kills itself at a named point, or is killed at a random moment; another one on
the same store lives on, and knows the rules from before. What it does with an event that breaks the
new rule must be what the registry says.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.event_types import EventTypes, event_types_of, schema, tried
from tests.support.raw import Answer
from tests.support.servers import STOP_SECONDS_MAX, RunningServer, start_postgres, start_server

from eventfold.v1 import event_types_pb2 as pb
from eventfold.v1 import mappings_pb2 as mappings_pb
from eventfold.v1 import schemas_pb2 as schemas_pb
from eventfold_server import failpoints

EVEN = schema("n", n={"type": "integer", "multipleOf": 2})
FAILS = '{{"mapping": "{}", "computed": {{"half": "int(event.n) / (int(event.n) % 2 - 1)"}}}}'
EVENTS = 300
KILLS = 6


class Store:
    """A store with a server that lives on."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self._folder, self._url, self._stack = folder, url, stack
        self._schema = f"s_{uuid.uuid4().hex}"
        self.types = stack.enter_context(event_types_of(self.start().address))

    def start(self, point: str = "") -> RunningServer:
        """Another server, which dies at a point."""
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        return self._stack.enter_context(
            start_server(
                folder,
                database_url=self._url,
                schema=self._schema,
                environment={failpoints.ENVIRONMENT: point},
            )
        )

    def in_force(self, event_type: str, what: str) -> bool:
        """Whether the registry has it; the server that lives on does accordingly."""
        if what == "schema":
            request = schemas_pb.GetSchemaRequest(event_type=event_type)
            found = tried(self.types.stub.GetSchema, request)
            reasons = ("SCHEMA_NOT_FOUND", "SCHEMA_VIOLATION")
        else:
            found = tried(
                self.types.stub.GetMapping, mappings_pb.GetMappingRequest(event_type=event_type)
            )
            reasons = ("MAPPING_NOT_FOUND", "MAPPING_FAILED")
        there = not isinstance(found, Answer)
        assert there or found.reason == reasons[0]
        appended = tried(self.types.append, "c-1", (event_type, {"n": 1}))
        assert isinstance(appended, Answer) == there, (event_type, appended)
        assert not there or appended.reason == reasons[1]
        assert not isinstance(tried(self.types.append, "c-1", (event_type, {"n": 2})), Answer)
        return there


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("rules")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)
    with start_postgres(folder / "data") as url, ExitStack() as stack:
        yield Store(folder, url, stack)


def put(types: EventTypes, event_type: str, what: str) -> object:
    """Puts it; how that ended."""
    if what == "schema":
        return tried(types.put, event_type, EVEN)
    return tried(types.put_mapping, FAILS.format(event_type))


@pytest.mark.parametrize("what", ["schema", "mapping"])
@pytest.mark.parametrize(
    ("point", "there"), [("catalogue_written", False), ("catalogue_changed", True)]
)
def test_killed_at_a_point(store: Store, what: str, point: str, there: bool) -> None:
    event_type = f"T{uuid.uuid4().hex}"
    store.types.append("c-1", (event_type, {"n": 0}))
    server = store.start(point)
    with event_types_of(server.address) as types:
        assert isinstance(put(types, event_type, what), Answer)
    assert server.process.wait(timeout=STOP_SECONDS_MAX) == -9
    assert store.in_force(event_type, what) == there
    # The next server knows it from its start.
    with event_types_of(store.start().address) as types:
        appended = tried(types.append, "c-2", (event_type, {"n": 3}))
        assert isinstance(appended, Answer) == there


def test_killed_at_any_moment(store: Store) -> None:
    chance = random.Random(8)
    outcomes = []
    for number in range(KILLS):
        what = "schema" if number % 2 else "mapping"
        event_type = f"T{uuid.uuid4().hex}"
        for _ in range(EVENTS // 100):
            store.types.append("c-1", *[(event_type, {"n": 2})] * 100)
        server = store.start()
        with event_types_of(server.address) as types:
            types.stub.ListCategories(pb.ListCategoriesRequest())
            ended: list[object] = []
            thread = threading.Thread(
                target=lambda: ended.append(put(types, event_type, what))  # noqa: B023
            )
            thread.start()
            time.sleep(chance.random() * 0.05)
            server.kill()
            thread.join()
        there = store.in_force(event_type, what)
        # What was acknowledged is there.
        assert there or isinstance(ended[0], Answer)
        outcomes.append(there)
