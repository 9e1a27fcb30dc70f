"""eventfold: append events to streams and fold them into aggregates.

    with eventfold.Client("127.0.0.1:4141") as store:
        store.append("account-1", [eventfold.Event("AccountOpened")], expected_version=0)

All public names stand here; `eventfold.testing` has means for tests, `eventfold.v1` the stubs.
"""

from eventfold import cel
from eventfold._async.client import AsyncClient
from eventfold._async.consumer import AsyncConsumer, AsyncDelivery
from eventfold._async.reader import AsyncEventReader
from eventfold._async.subscription import AsyncSubscription
from eventfold._async.watch import AsyncWatch
from eventfold._errors import (
    ChecksFailed,
    ConnectionFailed,
    EventfoldError,
    FailedCheck,
    InsecureConnection,
    InvalidValue,
    StateMismatch,
    UnexpectedAnswer,
)
from eventfold._events import Event, EventFlags, RecordedEvent
from eventfold._expected import ANY, EXISTS, Expect, ExpectedVersion
from eventfold._fold import Fold, FoldLike
from eventfold._following import Frame, FrameKind
from eventfold._generated import errors as _catalogue
from eventfold._generated.errors import *  # noqa: F403 - one class for each reason
from eventfold._groups import (
    Group,
    GroupConsumer,
    GroupSettings,
    GroupStatus,
    OnPark,
    ParkCause,
    ParkedEvent,
)
from eventfold._place import Place
from eventfold._projection_rows import (
    Freshness,
    ProjectionCount,
    ProjectionPage,
    ProjectionRow,
    ProjectionTrial,
)
from eventfold._projections import (
    Generation,
    GenerationState,
    ParkedKey,
    ProjectionInfo,
    ProjectionRetry,
    SwitchWhen,
    Verification,
)
from eventfold._reconnects import OnReconnect, Reconnect
from eventfold._requests import Checks, StreamAppend, StreamAppendLike
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
from eventfold._sources import Document
from eventfold._states import (
    ExplainedEvent,
    FoldReport,
    HistoricState,
    HydratedMany,
    StateChange,
    WatchedState,
)
from eventfold._streams import stream_name
from eventfold._sync.client import Client
from eventfold._sync.consumer import Consumer, Delivery
from eventfold._sync.reader import EventReader
from eventfold._sync.subscription import Subscription
from eventfold._sync.watch import Watch

__all__ = [
    "ANY",
    "EXISTS",
    "AppendResult",
    "AsyncClient",
    "AsyncConsumer",
    "AsyncDelivery",
    "AsyncEventReader",
    "AsyncSubscription",
    "AsyncWatch",
    "CheckResult",
    "Checks",
    "ChecksFailed",
    "Client",
    "ConnectionFailed",
    "Consumer",
    "Delivery",
    "Direction",
    "Document",
    "Event",
    "EventFlags",
    "EventReader",
    "EventfoldError",
    "Expect",
    "ExpectedVersion",
    "ExplainedEvent",
    "FailedCheck",
    "Fold",
    "FoldInfo",
    "FoldLike",
    "FoldReport",
    "Frame",
    "FrameKind",
    "Freshness",
    "Generation",
    "GenerationState",
    "Group",
    "GroupConsumer",
    "GroupSettings",
    "GroupStatus",
    "Handlers",
    "HistoricState",
    "Hydrated",
    "HydratedMany",
    "InsecureConnection",
    "InvalidValue",
    "Lifecycle",
    "OnPark",
    "OnReconnect",
    "ParkCause",
    "ParkedEvent",
    "ParkedKey",
    "Place",
    "ProjectionCount",
    "ProjectionInfo",
    "ProjectionPage",
    "ProjectionRetry",
    "ProjectionRow",
    "ProjectionTrial",
    "ReadEnd",
    "Reconnect",
    "RecordedEvent",
    "StateChange",
    "StateMismatch",
    "StreamAppend",
    "StreamAppendLike",
    "StreamInfo",
    "Subscription",
    "SwitchWhen",
    "UnexpectedAnswer",
    "Verification",
    "Watch",
    "WatchedState",
    "cel",
    "stream_name",
]
__all__ += _catalogue.__all__
