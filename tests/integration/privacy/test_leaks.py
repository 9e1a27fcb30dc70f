"""Goal: no personal value is in what a server says beside its answers: logs, errors, notifications,
and the texts of errors of folds, mappings, schemas and conditions that fail on one.

Method: a canary goes through every call that can fail on it, on a server that logs all there is to
log, while this test listens to PostgreSQL as servers do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from tests.integration.privacy.guarded import BLIND, CANARY, SEES, client, declare, guarded
from tests.support.servers import RunningServer

from eventfold import Client, Event, EventfoldError

SCHEMA = "leaks"
# Behind `Any` so that every client of gRPC and PostgreSQL logs too.
DEBUG = {"GRPC_VERBOSITY": "info", "RUST_LOG": "debug", "PYTHONASYNCIODEBUG": "1"}


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("leaks")
    with guarded(folder, postgres, SCHEMA, environment=DEBUG) as started:
        yield started


@pytest.fixture
def store(server: RunningServer) -> Iterator[Client]:
    with client(server, SEES) as made:
        yield made


def fold(kind: str, expression: str) -> dict[str, Any]:
    return {"fold": "f", "initial": {"x": ""}, "handlers": {kind: {"x": expression}}}


# What fails on a text, and how.
FAILING = {
    "as a number": "int(event.email)",
    "as a time": "timestamp(event.email)",
    "as a duration": "duration(event.email)",
    "as a pattern": "'a'.matches(event.email + '(')",
    "as a key": "{'a': 1}[event.email]",
    "an index": "[1][size(event.email)]",
    "too much": "event.email + 1",
}


def attempts(store: Client, kind: str, stream: str) -> list[Callable[[], Any]]:
    """Calls that fail on the value, by folds, conditions and appends."""
    folds = [fold(kind, expression) for expression in FAILING.values()]
    calls: list[Callable[[], Any]] = [
        lambda one=one: store.hydrate_stream(stream, fold=one)  # type: ignore[misc]
        for one in folds
    ]

    def follow(where: str) -> None:
        with store.subscribe(stream, where=where) as following:
            next(iter(following))

    calls += [
        lambda one=one: follow(f"{one} == 1")  # type: ignore[misc]
        for one in FAILING.values()
    ]
    wrong = {"email": CANARY, "n": CANARY}
    calls.append(lambda: store.append(stream, [Event(kind, wrong)], expected_version=1))
    calls.append(lambda: store.append(stream, [Event(kind, wrong)], expected_version=7))
    return calls


def test_what_fails_on_a_personal_value_does_not_tell_it(
    server: RunningServer, store: Client, postgres: str, kind: str
) -> None:
    declare(store, kind, "email")
    stream = f"{kind}-1"
    schema = {"properties": {"n": {"type": "integer"}, "email": {"type": "string"}}}
    store.put_schema(kind, schema)
    digest = hashlib.sha256(SCHEMA.encode()).hexdigest()[:32]
    with psycopg.connect(postgres, autocommit=True) as listening:
        listening.execute(f"LISTEN eventfold_{digest}")
        store.append(stream, [Event(kind, {"email": CANARY, "n": 1})], expected_version=0)
        told = []
        for call in attempts(store, kind, stream):
            with pytest.raises(EventfoldError) as failed:
                call()
            told.append(f"{failed.value!r} {failed.value}")
        with client(server, BLIND) as blind:
            # Whoever may not see the values cannot try it on them.
            blind.put_mapping({"mapping": kind, "computed": {"n": "int(event.email)"}})
        for call in (
            lambda: list(store.read(stream)),
            lambda: store.hydrate_stream(stream, fold=fold(kind, "event.email")),
        ):
            with pytest.raises(EventfoldError) as failed:
                call()
            told.append(f"{failed.value!r} {failed.value}")
        notices = [notice.payload for notice in listening.notifies(timeout=2)]
    assert notices
    assert CANARY not in json.dumps([told, notices])
    assert CANARY not in server.log.read_text()
