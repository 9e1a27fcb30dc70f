"""Keeps the events of applications of the library `eventsourcing` in eventfold.

    PERSISTENCE_MODULE=eventfold.integrations.eventsourcing
    EVENTFOLD_SERVER=127.0.0.1:4141

With these two variables an application runs as it is; `docs/eventsourcing.md` says how its events
look here, how to move those that it has, and what the limits are. `pip install
eventfold[eventsourcing]` installs the library too.
"""

from eventfold.integrations.eventsourcing._aggregates import EventfoldAggregateRecorder
from eventfold.integrations.eventsourcing._applications import (
    EventfoldApplicationRecorder,
    EventfoldSubscription,
)
from eventfold.integrations.eventsourcing._copying import (
    CopiedStore,
    copy_snapshots,
    copy_store,
    copy_tracking,
)
from eventfold.integrations.eventsourcing._errors import persistence_error
from eventfold.integrations.eventsourcing._factory import Factory
from eventfold.integrations.eventsourcing._snapshots import EventfoldSnapshotRecorder
from eventfold.integrations.eventsourcing._tracking import (
    EventfoldProcessRecorder,
    EventfoldTrackingRecorder,
)

__all__ = [
    "CopiedStore",
    "EventfoldAggregateRecorder",
    "EventfoldApplicationRecorder",
    "EventfoldProcessRecorder",
    "EventfoldSnapshotRecorder",
    "EventfoldSubscription",
    "EventfoldTrackingRecorder",
    "Factory",
    "copy_snapshots",
    "copy_store",
    "copy_tracking",
    "persistence_error",
]
