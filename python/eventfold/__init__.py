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
from eventfold._closing import CarriedState, ClosedStream, Follow
from eventfold._deletion import (
    CutLink,
    DeletedStream,
    DeletionInfo,
    DeletionPlan,
    DeletionStage,
    HydratedUnion,
    TouchedProjection,
)
from eventfold._erasures import (
    ErasedEvents,
    ErasureInfo,
    ErasurePlan,
    ErasureReceipt,
    ErasureStage,
    LegalHoldInfo,
    PlaintextEvents,
)
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
from eventfold._event_types import (
    CategoryInfo,
    EventTypeInfo,
    ReferenceMode,
    SchemaMode,
    TypeWriter,
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
from eventfold._keys import MasterKeyRotation, SubjectInfo, SubjectStatus
from eventfold._links import Link, LinkPolicy, LinkRule
from eventfold._mappings import MappingCheck, MappingInfo, MappingPut, StaleProjection
from eventfold._place import Place
from eventfold._privacy import (
    ExistingValues,
    PersonalField,
    PlaintextEvent,
    PrivacyOrigin,
    PrivacyRules,
    PrivacyRulesCheck,
    PrivacyRulesPut,
    PrivacyWarning,
    PrivacyWarningKind,
)
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
from eventfold._references import EventId, References, Resolved, ResolvedEvent
from eventfold._requests import Checks, StreamAppend, StreamAppendLike
from eventfold._results import (
    AppendResult,
    CheckResult,
    Copies,
    Direction,
    FoldInfo,
    Handlers,
    Hydrated,
    Lifecycle,
    ReadEnd,
    StreamInfo,
)
from eventfold._schema_sources import SchemaLike
from eventfold._schemas import (
    Misfit,
    SchemaChange,
    SchemaCheck,
    SchemaDifference,
    SchemaDraft,
    SchemaInfo,
    SchemaPut,
    Trial,
    TrialProgress,
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
from eventfold._subjects import (
    ExportedSchema,
    FoundSubject,
    PrivacyStatus,
    SubjectEvents,
)
from eventfold._sync.client import Client
from eventfold._sync.consumer import Consumer, Delivery
from eventfold._sync.reader import EventReader
from eventfold._sync.subscription import Subscription
from eventfold._sync.watch import Watch
from eventfold._transforms import (
    TransformCopy,
    TransformCount,
    TransformExample,
    TransformInfo,
    TransformPlan,
    TransformSource,
    TransformStage,
    TransformTarget,
    TransformTrial,
    TransformVerification,
)
from eventfold._typed import TypedEvents
from eventfold._violations import Violation

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
    "CarriedState",
    "CategoryInfo",
    "CheckResult",
    "Checks",
    "ChecksFailed",
    "Client",
    "ClosedStream",
    "ConnectionFailed",
    "Consumer",
    "Copies",
    "CutLink",
    "DeletedStream",
    "DeletionInfo",
    "DeletionPlan",
    "DeletionStage",
    "Delivery",
    "Direction",
    "Document",
    "ErasedEvents",
    "ErasureInfo",
    "ErasurePlan",
    "ErasureReceipt",
    "ErasureStage",
    "Event",
    "EventFlags",
    "EventId",
    "EventReader",
    "EventTypeInfo",
    "EventfoldError",
    "ExistingValues",
    "Expect",
    "ExpectedVersion",
    "ExplainedEvent",
    "ExportedSchema",
    "FailedCheck",
    "Fold",
    "FoldInfo",
    "FoldLike",
    "FoldReport",
    "Follow",
    "FoundSubject",
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
    "HydratedUnion",
    "InsecureConnection",
    "InvalidValue",
    "LegalHoldInfo",
    "Lifecycle",
    "Link",
    "LinkPolicy",
    "LinkRule",
    "MappingCheck",
    "MappingInfo",
    "MappingPut",
    "MasterKeyRotation",
    "Misfit",
    "OnPark",
    "OnReconnect",
    "ParkCause",
    "ParkedEvent",
    "ParkedKey",
    "PersonalField",
    "Place",
    "PlaintextEvent",
    "PlaintextEvents",
    "PrivacyOrigin",
    "PrivacyRules",
    "PrivacyRulesCheck",
    "PrivacyRulesPut",
    "PrivacyStatus",
    "PrivacyWarning",
    "PrivacyWarningKind",
    "ProjectionCount",
    "ProjectionInfo",
    "ProjectionPage",
    "ProjectionRetry",
    "ProjectionRow",
    "ProjectionTrial",
    "ReadEnd",
    "Reconnect",
    "RecordedEvent",
    "ReferenceMode",
    "References",
    "Resolved",
    "ResolvedEvent",
    "SchemaChange",
    "SchemaCheck",
    "SchemaDifference",
    "SchemaDraft",
    "SchemaInfo",
    "SchemaLike",
    "SchemaMode",
    "SchemaPut",
    "StaleProjection",
    "StateChange",
    "StateMismatch",
    "StreamAppend",
    "StreamAppendLike",
    "StreamInfo",
    "SubjectEvents",
    "SubjectInfo",
    "SubjectStatus",
    "Subscription",
    "SwitchWhen",
    "TouchedProjection",
    "TransformCopy",
    "TransformCount",
    "TransformExample",
    "TransformInfo",
    "TransformPlan",
    "TransformSource",
    "TransformStage",
    "TransformTarget",
    "TransformTrial",
    "TransformVerification",
    "Trial",
    "TrialProgress",
    "TypeWriter",
    "TypedEvents",
    "UnexpectedAnswer",
    "Verification",
    "Violation",
    "Watch",
    "WatchedState",
    "cel",
    "stream_name",
]
__all__ += _catalogue.__all__
