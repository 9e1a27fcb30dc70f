"""What the tests of the adapter share: recorders on a store of their own."""

from __future__ import annotations

import os

import pytest

import eventfold
from eventfold.integrations.eventsourcing import (
    EventfoldApplicationRecorder,
    EventfoldSnapshotRecorder,
)

# The variables of the adapter, and those by which the library chooses what it records with.
_PREFIXES = ("EVENTFOLD_", "PERSISTENCE_MODULE", "SQLITE_", "CIPHER_", "COMPRESSOR_")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine says of servers is none of the tests' business."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES):
            monkeypatch.delenv(name)


@pytest.fixture
def recorder(store: eventfold.Client) -> EventfoldApplicationRecorder:
    return EventfoldApplicationRecorder(store, "account")


@pytest.fixture
def snapshots(store: eventfold.Client) -> EventfoldSnapshotRecorder:
    return EventfoldSnapshotRecorder(store, "account_snapshots")
