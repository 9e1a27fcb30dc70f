"""Goal: personal values reach PostgreSQL sealed or not at all, and nothing that the server says of
itself holds one.

Method: a real server, as the command starts it, with its own PostgreSQL, tokens, the log at `debug`
and metrics. Values that stand nowhere else, the canaries, go through what takes events: appends,
sessions, folds that are kept, watches, conditions, projections, copies, trials, closing,
compensation, exports and errors. Then every table, every file of the
data directory (WAL included), the log and the metrics are searched for them, before and after the
subject is erased. A value that is not personal is searched for in the same way, and is found: a
search that finds nothing would prove nothing.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.keys import master_key_file

import eventfold
from eventfold import AsyncClient, Client, Event, StreamAppend

STOP_SECONDS_MAX = 60.0
# All begin alike, so that one search finds all of them.
CANARY = "canary" + uuid.uuid4().hex
# Of a number there are no such beginnings.
NUMBER = 729_341_885_126_733
PLAIN = "plain" + uuid.uuid4().hex
PRIVACY = {
    "privacy": "Registered",
    "personal": {
        "/name": None,
        "/number": None,
        "/friend": {"subject": {"pointer": "/friendId", "category": "User"}},
    },
}
FOLD = {
    "fold": "user",
    "initial": {"name": "", "number": 0, "count": 0},
    "handlers": {
        "Registered": {
            "name": "event.name + '!'",
            "number": "event.number",
            "count": "state.count + 1",
        }
    },
}


@dataclass
class Store:
    """A server under test, and where it leaves traces."""

    client: Client
    reader: Client
    folder: Path
    dsn: str
    metrics: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("canary")
    folder.chmod(0o711)
    tokens = folder / "tokens"
    lines = [("all", "t-all", "read,write,admin,personal"), ("reader", "t-read", "read")]
    tokens.write_text(
        "\n".join(
            f"{name} {hashlib.sha256(t.encode()).hexdigest()} {may}" for name, t, may in lines
        )
    )
    tokens.chmod(0o600)
    port = free_port()
    arguments = [
        *("--listen", "127.0.0.1:0", "--data-dir", str(folder / "data"), "--json"),
        *("--token-file", str(tokens), "--master-key-file", str(master_key_file(folder))),
        *("--metrics-listen", f"127.0.0.1:{port}", "--log-level", "debug"),
    ]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "eventfold", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (folder / "server.log").read_text()[-3000:]
        address = json.loads(line)["address"]
        dsn = (folder / "data" / "postgres.url").read_text().strip()
        with (
            Client(address, token="t-all") as client,
            Client(address, token="t-read") as reader,
        ):
            yield Store(client, reader, folder, dsn, f"http://127.0.0.1:{port}/metrics")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=STOP_SECONDS_MAX)
        process.stdout.close()


def value(name: str) -> str:
    return f"{CANARY}-{name}"


def registered(name: str, **more: Any) -> Event:
    data = {"name": value(name), "number": NUMBER, "plan": PLAIN}
    return Event("Registered", data | more)


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(eventfold.EventfoldError) as caught:
        call()
    assert CANARY not in repr(caught.value) + str(caught.value)
    assert str(NUMBER) not in repr(caught.value)


def write(store: Client) -> None:
    """Canaries by each way into the log."""
    store.put_privacy_rules(PRIVACY)
    store.append("User-1", [registered("append")], expected_version=0)
    other = registered("other", friend=value("friend"), friendId="1")
    store.append_many(
        [
            StreamAppend("User-1", [registered("many")], expected_version=1),
            StreamAppend("User-2", [other], expected_version=0),
        ]
    )
    batch = [
        StreamAppend(f"User-{n}", [registered("batch")], expected_version=0) for n in range(3, 9)
    ]
    list(store.append_batch(batch))
    store.append("User-1", [registered("kept") for _ in range(300)], expected_version=2)


def fold(store: Client) -> None:
    """Canaries in folds that are kept, in projections, and in states that are carried."""
    store.put_fold(FOLD)
    for _ in range(3):
        state = store.hydrate_stream("User-1", fold="user").state
        assert state["name"] == value("kept") + "!"
    refused(
        lambda: store.hydrate_stream(
            "User-1",
            fold={
                "fold": "bad",
                "initial": {"n": 0},
                "handlers": {"Registered": {"n": "int(event.name)"}},
            },
        )
    )


def fail(store: Client) -> None:
    """Canaries in requests that are refused."""
    refused(lambda: store.append("User-1", [registered("conflict")], expected_version=1))
    id_ = uuid.uuid4()
    stream = "User-ids"
    first = registered("first")
    store.append(stream, [Event(first.type, first.data, id=id_)], expected_version=0)
    again = registered("again")
    refused(
        lambda: store.append(stream, [Event(again.type, again.data, id=id_)], expected_version=0)
    )
    schema = {"properties": {"name": {"type": "string", "maxLength": 100}}}
    store.put_schema("Registered", schema)
    store.put_event_type("Registered", schema_mode="enforce")
    long = registered("x" * 200)
    refused(lambda: store.append("User-long", [long], expected_version=0))


def compensate_and_close(store: Client) -> None:
    [last] = store.read("User-1", direction="backwards", limit=1)
    store.compensate("User-1", last, reason="wrong", expected_version=last.version)
    store.close_stream("User-5", successor="User-5~2", folds=["user"])


async def together(address: str) -> None:
    """Canaries by a session of appends, and in what watches and subscriptions send."""
    async with AsyncClient(address, token="t-all") as client:
        await asyncio.gather(
            *(
                client.append(f"User-s{n}", [registered(f"session{n}")], expected_version=0)
                for n in range(60)
            )
        )
        async with client.watch("User-s1", fold="user") as states:
            async for state in states:
                assert state.state["name"] == value("session1") + "!"
                break
        condition = f"event.name == '{value('session2')}'"
        async with client.subscribe(types=["Registered"], where=condition) as events:
            async for event in events:
                assert event.stream == "User-s2"
                break


def derive(client: Client) -> None:
    """Canaries in rows of projections, in copies, and in what tries documents on them."""
    projection = {
        "projection": "users",
        "source": {"category": "User"},
        "initial": {"name": None, "plan": ""},
        "handlers": {"Registered": {"name": "event.name", "plan": "event.plan"}},
        "columns": {"name": "text", "plan": "text"},
    }
    client.put_projection(projection)
    client.wait_projection("users", timeout=60)
    rows = list(client.query_projection("users", f"plan == '{PLAIN}'"))
    assert value("session3") in [row.columns["name"] for row in rows]
    refused(lambda: list(client.query_projection("users", f"name == '{CANARY}'")))
    client.verify_projection("users")
    transform = {
        "transform": "members",
        "source": {"category": "User"},
        "into": ["Member"],
        "stream": "'Member-' + meta.stream_id",
        "events": {"Registered": {"type": "Joined", "data": {"greeting": "'Dear ' + event.name"}}},
    }
    for dry_run in (True, False):
        job = client.start_transform(transform, dry_run=dry_run)
        done = client.wait_transform(job.transform_id, timeout=60)
        assert done.failure is None
    [joined] = client.read("Member-s4")
    assert joined.data["greeting"] == "Dear " + value("session4")
    client.check_schema("Registered", {"properties": {"name": {"maxLength": 3}}})
    client.check_mapping({"mapping": "Registered", "computed": {"n": "int(event.name)"}})


def rows_of(dsn: str) -> Iterator[tuple[str, str]]:
    """Every row of every table, as text; bytes as they would read."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm')"
            " AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname <> 'information_schema'"
        ).fetchall()
        connection.execute("SET bytea_output = 'escape'")
        for (table,) in tables:
            rows = connection.execute(f"SELECT t::text FROM {table} t")  # type: ignore[arg-type]
            for (row,) in rows:
                yield table, row or ""


def needles(word: str) -> list[bytes]:
    """What a value would look like, plain and in the encodings at hand."""
    plain = word.encode()
    # Of the three ways in which base64 can cut it, what does not depend on what is around.
    cut = [base64.b64encode(b"x" * n + plain)[4 if n else 0 : -4] for n in range(3)]
    return [plain, plain.hex().encode(), plain[::-1], *cut]


def places(store: Store, word: str) -> set[str]:
    """Where a word stands: tables, files, the log, the metrics."""
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        connection.execute("SELECT pg_switch_wal()")
    wanted = re.compile(b"|".join(re.escape(needle) for needle in needles(word)))
    found = {f"table {table}" for table, row in rows_of(store.dsn) if wanted.search(row.encode())}
    for file in sorted(store.folder.rglob("*")):
        if file.is_file() and os.access(file, os.R_OK) and wanted.search(file.read_bytes()):
            found.add("file " + file.relative_to(store.folder).parts[-2] + "/" + file.name)
    with urllib.request.urlopen(store.metrics, timeout=30) as answer:
        if wanted.search(answer.read()):
            found.add("metrics")
    return found


def of_kinds(found: set[str]) -> set[str]:
    return {"wal" if "pg_wal/" in place else place.split()[0] for place in found}


@pytest.mark.timeout(300)
def test_no_canary_is_anywhere(store: Store) -> None:
    client = store.client
    write(client)
    fold(client)
    fail(client)
    compensate_and_close(client)
    asyncio.run(together(client.target))
    derive(client)
    assert client.read("User-2").to_list()[0].data["friend"] == value("friend")
    exported = list(client.export_subject("User-1", linked=True))
    assert len(exported) > 300
    client.find_subject("User-1")
    refused(lambda: store.reader.find_subject("User-1"))
    refused(lambda: list(store.reader.export_subject("User-1")))
    # Kept states are stored beside the calls.
    time.sleep(3)
    # What is not personal is found everywhere where the others are searched for.
    assert {"table", "file", "wal"} <= of_kinds(places(store, PLAIN))
    assert places(store, CANARY) == set()
    assert places(store, str(NUMBER)) == set()
    job = client.erase("User-1", reason="asked for it")
    client.wait_erasure(job.erasure_id, timeout=120)
    [event] = client.read("User-1", limit=1)
    assert event.data["name"] is None
    assert "/name" in event.erased_paths
    [event] = client.read("User-2")
    assert (event.data["friend"], event.data["name"]) == (None, value("other"))
    assert places(store, CANARY) == set()
    assert places(store, str(NUMBER)) == set()
    receipt = client.get_receipt(job.erasure_id)
    assert CANARY not in repr(receipt)
