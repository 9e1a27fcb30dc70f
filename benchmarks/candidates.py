"""Every candidate: which store it needs, which program drives it, and what it can be asked for."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import install
import stores
from harness import Candidate, Driver
from stores import Store

DRIVERS = Path(__file__).resolve().parent / "drivers"

EVENTFOLD = "eventfold"
WITHOUT = "eventfold, neither schema nor mapping"
COMPUTING = "eventfold, a mapping that computes"
SUBSCRIBE = "eventfold, Subscribe"
BARE = "bare asyncpg"
BARE_PSYCOPG = "bare psycopg"
LOADGEN = "eventfold, load generator"
ROWS = "tokio-postgres, rows only"
UMADB = "UmaDB"
UMADB_CACHED = "UmaDB, 1 GB page cache"
MESSAGE_DB = "Message DB + psycopg"
EVENTSOURCING = "eventsourcing"
EMMETT = "emmett"

# What `--peers` chooses by. UmaDB brings both of its candidates.
PEERS = {
    "umadb": (UMADB, UMADB_CACHED),
    "messagedb": (MESSAGE_DB,),
    "eventsourcing": (EVENTSOURCING,),
    "emmett": (EMMETT,),
}
PAGE_CACHE_MB = 1024

NOTES = {
    EVENTFOLD: "Python SDK over gRPC: blocking client at 1 in flight, asynchronous one above",
    WITHOUT: "the same, on a store without rules: data as they are stored",
    COMPUTING: "the same, with a schema and a mapping that also computes a member by CEL",
    SUBSCRIBE: "grpcio's blocking client; the SDK's pages index a frame, and decode the data",
    BARE: "asyncpg and orjson on eventfold's tables and append function, no server; a baseline",
    BARE_PSYCOPG: "psycopg and orjson on the same tables, folded by Python; reads alone",
    LOADGEN: "tonic in Rust against the same server: what the server gives without Python's client",
    ROWS: "tokio-postgres in Rust reads the rows of a stream and touches each field; the floor",
    UMADB: "its Python client over gRPC, threads; a stream is a tag; orjson decodes",
    UMADB_CACHED: "the same server with --page-cache-max-mb 1024, on a copy of the file",
    MESSAGE_DB: "psycopg straight to PostgreSQL, threads; orjson decodes; no server between",
    EVENTSOURCING: "its application and repository, threads, straight to PostgreSQL",
    EMMETT: "Node.js, promises over its pool, straight to PostgreSQL",
}

_ALL = frozenset({"append", "read", "hydrate", "catch_up", "mixed"})


def _python(driver: str, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, DRIVERS / f"{driver}.py", *arguments]


@contextlib.contextmanager
def _driven(
    name: str, command: Sequence[str | Path], store: Store, does: frozenset[str]
) -> Iterator[Candidate]:
    driver = Driver(command)
    try:
        yield Candidate(name, driver, store, does, NOTES[name])
    finally:
        driver.close()


def eventfold(store: Store) -> contextlib.AbstractContextManager[Candidate]:
    """The SDK."""
    command = _python("eventfold_sdk", store.url)
    return _driven(EVENTFOLD, command, store, _ALL | {"hydrate_kept"})


def subscribing(store: Store) -> contextlib.AbstractContextManager[Candidate]:
    """`Subscribe` from the first event until it has caught up."""
    command = _python("eventfold_subscribe", store.url)
    return _driven(SUBSCRIBE, command, store, frozenset({"catch_up", "catch_up_counted"}))


def subscribers(store: Store) -> Driver:
    """Many subscribers of one server in one process; it has words of its own."""
    return Driver(_python("subscribers", store.url))


def bare_projection(store: Store) -> Driver:
    """The tables of projections by plain Python; it has words of its own."""
    assert store.database_url is not None
    return Driver(_python("bare_projection", store.database_url))


def bare(store: Store) -> contextlib.AbstractContextManager[Candidate]:
    """The same tables without the server."""
    assert store.database_url is not None
    command = _python("bare_asyncpg", store.database_url)
    return _driven(BARE, command, store, _ALL | {"catch_up_counted"})


def bare_psycopg(store: Store) -> contextlib.AbstractContextManager[Candidate]:
    """The same tables by the driver that most programs use."""
    assert store.database_url is not None
    command = _python("bare_psycopg", store.database_url)
    return _driven(BARE_PSYCOPG, command, store, frozenset({"read", "hydrate"}))


def loadgen(store: Store, program: Path) -> contextlib.AbstractContextManager[Candidate]:
    """The same server without Python's client."""
    does = frozenset({"append", "append_session", "hydrate", "read"})
    return _driven(LOADGEN, [program, "server", store.url], store, does)


def rows(store: Store, program: Path) -> contextlib.AbstractContextManager[Candidate]:
    """The floor of reads."""
    assert store.database_url is not None
    return _driven(ROWS, [program, "rows", store.database_url], store, frozenset({"read"}))


def umadb(name: str, store: Store) -> contextlib.AbstractContextManager[Candidate]:
    """UmaDB through its Python client."""
    command = [install.python(), DRIVERS / "umadb_client.py", store.url]
    return _driven(name, command, store, _ALL)


def message_db(store: Store) -> contextlib.AbstractContextManager[Candidate]:
    """Message DB, its schema installed by the driver."""
    install.npm()
    program = DRIVERS / "message_db.py"
    command = [install.python(), program, store.url, install.MESSAGE_DB]
    return _driven(MESSAGE_DB, command, store, _ALL)


def eventsourcing(store: Store) -> contextlib.AbstractContextManager[Candidate]:
    """The library eventsourcing, its tables made by itself."""
    command = [install.python(), DRIVERS / "eventsourcing_postgres.py", store.url]
    return _driven(EVENTSOURCING, command, store, _ALL)


def emmett(store: Store) -> contextlib.AbstractContextManager[Candidate]:
    """emmett, its tables made by itself."""
    layout = DRIVERS.parent / "data.py"
    command = ["node", DRIVERS / "emmett.mjs", store.url, install.npm().parent]
    command += [sys.executable, layout]
    return _driven(EMMETT, command, store, _ALL - {"catch_up"})


FOLDING = {"orjson": "orjson + handlers", "msgspec": "msgspec Struct", "core": "core"}


@contextlib.contextmanager
def folding() -> Iterator[list[Candidate]]:
    """Folds without a store; the baseline is what a Python program would write."""
    with contextlib.ExitStack() as stack:
        found = []
        for way, name in FOLDING.items():
            driver = stack.enter_context(contextlib.closing(Driver(_python("folding", way))))
            found.append(Candidate(name, driver, None, frozenset({"fold"})))
        yield found


ON_POSTGRES: dict[str, Callable[[Store], contextlib.AbstractContextManager[Candidate]]] = {
    "messagedb": message_db,
    "eventsourcing": eventsourcing,
    "emmett": emmett,
}


@contextlib.contextmanager
def own(folder: Path, program: Path | None) -> Iterator[list[Candidate]]:
    """All that run on one eventfold: the SDK, the bare statements, and the compiled ones."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(stores.eventfold(folder / "eventfold"))
        found = [stack.enter_context(one(store)) for one in (eventfold, bare, bare_psycopg)]
        if program is not None:
            found.append(stack.enter_context(loadgen(store, program)))
            found.append(stack.enter_context(rows(store, program)))
        yield found
