"""A PostgreSQL, a store on it that is filled, and servers that come and go."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
from tests.faults.project import documents
from tests.faults.project.calls import Calls, calling, wait_for
from tests.faults.project.tables import Database, check, check_views
from tests.faults.project.traffic import BROKEN, fill
from tests.support.servers import STOP_SECONDS_MAX, RunningServer, ServerDied, start_server

# All that a call may end with while servers are killed and PostgreSQL is restarted.
OUTAGE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
WHOLE = (documents.shops, documents.carts, documents.types)
NAMES = ("shops", "carts", "types")


@dataclass
class Stage:
    """A store, and where its servers write their logs."""

    folder: Path
    url: str
    schema: str
    database: Database

    @contextlib.contextmanager
    def server(self, failpoint: str = "") -> Iterator[RunningServer]:
        """Yields a server of the store; with a failpoint it will kill itself there."""
        environment = {"EVENTFOLD_FAILPOINT": failpoint} if failpoint else {}
        options: dict[str, object] = {"database_url": self.url, "schema": self.schema}
        with start_server(self.folder, environment=environment, **options) as server:
            yield server

    def recovers(self, *, leases_end: bool = True) -> None:
        """The next server brings all tables to the head, equal to a fold from scratch."""
        if leases_end:
            self.database.end_leases()
        with self.server() as server, calling(server.address) as calls:
            self.settles(calls)

    def settles(self, calls: Calls) -> None:
        """Waits for all projections, and compares everything."""
        for one in calls.all():
            calls.caught_up(one.name)
        check(self.database, at_head=True)
        check_views(self.database)
        wait_for(lambda: self.database.leftovers() == [], "tables without a generation to go")


@contextlib.contextmanager
def stage(
    folder: Path, url: str, schema: str, events: int, broken: int = BROKEN, padding: int = 0
) -> Iterator[Stage]:
    """A store with so many events and all three projections, which have caught up."""
    made = Stage(folder, url, schema, Database(url, schema))
    with made.server() as server, calling(server.address) as calls:
        fill(server.address, seed=0, events=events, broken=broken, padding=padding)
        for document in WHOLE:
            calls.put(document().text)
        made.settles(calls)
    yield made


def dies(server: RunningServer) -> None:
    """Waits until the server has killed itself."""
    status = server.process.wait(timeout=STOP_SECONDS_MAX)
    assert status == -signal.SIGKILL, f"status {status}\n{server.log_tail()}"


@contextlib.contextmanager
def outage_allowed() -> Iterator[None]:
    """A call may find that its server is gone."""
    try:
        yield
    except grpc.RpcError as error:
        if error.code() not in OUTAGE:
            raise


__all__ = ["OUTAGE", "ServerDied", "Stage", "dies", "outage_allowed", "stage"]
