"""Projections into the caller's own PostgreSQL or SQLite, by functions in Python.

    from eventfold.projection import Projection

    balances = Projection("balances", categories=["account"])

    @balances.on("MoneyDeposited")
    def deposited(db, event):
        db.execute("UPDATE ...", ...)

    with eventfold.Client("127.0.0.1:4141") as store, sqlite3.connect("balances.db") as db:
        balances.run(store, db)

What the handlers write and how far the projection is are one transaction (`eventfold.checkpoint`):
every event has its effect once, however often the process dies.
"""

from eventfold._async.projection import AsyncProjection
from eventfold._projecting import (
    HandlerFailed,
    OnError,
    ProjectionReplaced,
    ProjectionRun,
    ProjectionStatus,
    ddl,
)
from eventfold._sync.projection import Projection
from eventfold.checkpoint._base import CheckpointTaken

__all__ = [
    "AsyncProjection",
    "CheckpointTaken",
    "HandlerFailed",
    "OnError",
    "Projection",
    "ProjectionReplaced",
    "ProjectionRun",
    "ProjectionStatus",
    "ddl",
]
