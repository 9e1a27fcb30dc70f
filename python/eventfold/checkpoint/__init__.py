"""Checkpoints: how far a consumer is, kept in the database that it writes to.

    with SqliteCheckpoint(db, "balances") as checkpoint:
        with store.subscribe(categories=["account"], place=checkpoint.place) as events:
            for event in events:
                with checkpoint.advance(events):
                    db.execute("UPDATE ...")

The place and what the events led to are one transaction: an event that is delivered again after a
crash finds its effects and its place there, both or neither. So its effects happen once.

A name has one consumer at a time. One that starts takes the name over, and the one that had it
before gets `CheckpointTaken` at its next transaction, of which nothing is stored: so a consumer
that was only believed to be dead does no harm.
"""

from eventfold.checkpoint._base import CheckpointTaken, ddl
from eventfold.checkpoint._postgres import (
    AsyncpgCheckpoint,
    AsyncPsycopgCheckpoint,
    PsycopgCheckpoint,
)
from eventfold.checkpoint._sqlite import SqliteCheckpoint

__all__ = [
    "AsyncPsycopgCheckpoint",
    "AsyncpgCheckpoint",
    "CheckpointTaken",
    "PsycopgCheckpoint",
    "SqliteCheckpoint",
    "ddl",
]
