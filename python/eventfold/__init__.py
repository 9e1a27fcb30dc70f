"""eventfold: append events to streams and fold them into aggregates.

    with eventfold.Client("127.0.0.1:4141") as store:
        store.append("account-1", [eventfold.Event("AccountOpened")], expected_version=0)

All public names stand here; `eventfold.testing` has means for tests, `eventfold.v1` the stubs.
"""

from eventfold._async.client import AsyncClient
from eventfold._async.reader import AsyncEventReader
from eventfold._errors import (
    ConnectionFailed,
    EventfoldError,
    InsecureConnection,
    InvalidValue,
    UnexpectedAnswer,
)
from eventfold._events import Event, EventFlags, RecordedEvent
from eventfold._expected import ANY, EXISTS, Expect, ExpectedVersion
from eventfold._generated import errors as _catalogue
from eventfold._generated.errors import *  # noqa: F403 - one class for each reason
from eventfold._results import (
    AppendResult,
    CheckResult,
    Direction,
    FoldInfo,
    Handlers,
    Hydrated,
    Lifecycle,
    ReadEnd,
    StreamInfo,
)
from eventfold._streams import FoldLike, stream_name
from eventfold._sync.client import Client
from eventfold._sync.reader import EventReader

__all__ = [
    "ANY",
    "EXISTS",
    "AppendResult",
    "AsyncClient",
    "AsyncEventReader",
    "CheckResult",
    "Client",
    "ConnectionFailed",
    "Direction",
    "Event",
    "EventFlags",
    "EventReader",
    "EventfoldError",
    "Expect",
    "ExpectedVersion",
    "FoldInfo",
    "FoldLike",
    "Handlers",
    "Hydrated",
    "InsecureConnection",
    "InvalidValue",
    "Lifecycle",
    "ReadEnd",
    "RecordedEvent",
    "StreamInfo",
    "UnexpectedAnswer",
    "stream_name",
]
__all__ += _catalogue.__all__
