"""The RPCs: path, types, and whether a call may be repeated."""

import enum
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from google.protobuf.message import DecodeError, Message

from eventfold._errors import UnexpectedAnswer
from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import closing_pb2 as closing_pb
from eventfold.v1 import compensation_pb2 as compensation_pb
from eventfold.v1 import consumer_groups_pb2 as groups_pb
from eventfold.v1 import event_store_pb2 as pb
from eventfold.v1 import event_types_pb2 as types_pb
from eventfold.v1 import folds_pb2, subscriptions_pb2
from eventfold.v1 import mappings_pb2 as mappings_pb
from eventfold.v1 import projections_pb2 as projections_pb
from eventfold.v1 import references_pb2 as references_pb
from eventfold.v1 import schemas_pb2 as schemas_pb
from eventfold.v1 import transforms_pb2 as transforms_pb

RequestT = TypeVar("RequestT", bound=Message)
AnswerT = TypeVar("AnswerT", bound=Message | bytes)


class Safety(enum.Enum):
    """What may be repeated after a failure."""

    READ = "read"
    """Changes nothing: repeat whenever the server or the connection was unavailable."""
    APPEND = "append"
    """Idempotent by its event ids: the same, also when the outcome is unknown."""
    WRITE = "write"
    """Repeat only if the server said that nothing was stored."""


@dataclass(frozen=True)
class Method(Generic[RequestT, AnswerT]):
    """One RPC. An answer of type `bytes` is left serialised, for the core to read."""

    path: str
    request: type[RequestT]
    answer: type[AnswerT]
    safety: Safety = Safety.READ
    streams: bool = False
    # Whether the request comes in many messages too.
    is_session: bool = False

    def encode(self, request: RequestT | bytes) -> bytes:
        """The bytes of a request; of some it is made of bytes at once."""
        return request if isinstance(request, bytes) else request.SerializeToString()

    def decode(self, answer: bytes) -> AnswerT:
        """The answer of its bytes, which may be these bytes.

        Raises:
            UnexpectedAnswer: they are no such message.
        """
        if not issubclass(self.answer, Message):
            return cast(AnswerT, answer)
        try:
            return self.answer.FromString(answer)
        except DecodeError:
            name = self.answer.DESCRIPTOR.name
            raise UnexpectedAnswer(f"the answer is no {name} of eventfold") from None


_EVENT_TYPES = "/eventfold.v1.EventTypes/"
_STORE = "/eventfold.v1.EventStore/"
_FOLDS = "/eventfold.v1.Folds/"
_GROUPS = "/eventfold.v1.ConsumerGroups/"
_PROJECTIONS = "/eventfold.v1.Projections/"
_TRANSFORMS = "/eventfold.v1.Transforms/"
_REFERENCES = "/eventfold.v1.References/"

APPEND = Method(_STORE + "Append", appends_pb.AppendRequest, bytes, Safety.APPEND)
APPEND_MANY = Method(
    _STORE + "AppendMany",
    appends_pb.AppendManyRequest,
    appends_pb.AppendManyResponse,
    Safety.APPEND,
)
APPEND_SESSION = Method(
    _STORE + "AppendSession",
    appends_pb.AppendSessionRequest,
    appends_pb.AppendSessionResponse,
    Safety.APPEND,
    streams=True,
    is_session=True,
)
CHECK_APPEND = Method(
    _STORE + "CheckAppend", appends_pb.CheckAppendRequest, appends_pb.CheckAppendResponse
)
COMPENSATE = Method(
    _STORE + "Compensate",
    compensation_pb.CompensateRequest,
    compensation_pb.CompensateResponse,
    Safety.APPEND,
)
CLOSE_STREAM = Method(
    _STORE + "CloseStream",
    closing_pb.CloseStreamRequest,
    closing_pb.CloseStreamResponse,
    Safety.APPEND,
)
READ = Method(_STORE + "Read", pb.ReadRequest, bytes, streams=True)
READ_ALL = Method(_STORE + "ReadAll", pb.ReadAllRequest, bytes, streams=True)
GET_EVENT = Method(_STORE + "GetEvent", pb.GetEventRequest, bytes)
GET_STREAM = Method(_STORE + "GetStream", pb.GetStreamRequest, pb.GetStreamResponse)
LIST_STREAMS = Method(_STORE + "ListStreams", pb.ListStreamsRequest, pb.ListStreamsResponse)

GET_REFERENCES = Method(
    _REFERENCES + "GetReferences",
    references_pb.GetReferencesRequest,
    references_pb.GetReferencesResponse,
)
GET_REFERRERS = Method(_REFERENCES + "GetReferrers", references_pb.GetReferrersRequest, bytes)

HYDRATE = Method(_FOLDS + "Hydrate", folds_pb2.HydrateRequest, folds_pb2.HydrateResponse)
HYDRATE_MANY = Method(
    _FOLDS + "HydrateMany",
    folds_pb2.HydrateManyRequest,
    folds_pb2.HydrateManyResponse,
    streams=True,
)
HYDRATE_HISTORY = Method(
    _FOLDS + "HydrateHistory",
    folds_pb2.HydrateHistoryRequest,
    folds_pb2.HydrateHistoryResponse,
    streams=True,
)
EXPLAIN = Method(
    _FOLDS + "Explain", folds_pb2.ExplainRequest, folds_pb2.ExplainResponse, streams=True
)
CHECK_FOLD = Method(
    _FOLDS + "CheckFold", folds_pb2.CheckFoldRequest, folds_pb2.CheckFoldResponse, streams=True
)
WATCH = Method(_FOLDS + "Watch", folds_pb2.WatchRequest, folds_pb2.WatchResponse, streams=True)
PUT_FOLD = Method(
    _FOLDS + "PutFold", folds_pb2.PutFoldRequest, folds_pb2.PutFoldResponse, Safety.WRITE
)
GET_FOLD = Method(_FOLDS + "GetFold", folds_pb2.GetFoldRequest, folds_pb2.GetFoldResponse)
LIST_FOLDS = Method(_FOLDS + "ListFolds", folds_pb2.ListFoldsRequest, folds_pb2.ListFoldsResponse)

SUBSCRIBE = Method(
    "/eventfold.v1.Subscriptions/Subscribe",
    subscriptions_pb2.SubscribeRequest,
    bytes,
    streams=True,
)

CONSUME = Method(
    _GROUPS + "Consume", groups_pb.ConsumeRequest, bytes, streams=True, is_session=True
)
CREATE_GROUP = Method(
    _GROUPS + "CreateGroup",
    groups_pb.CreateGroupRequest,
    groups_pb.CreateGroupResponse,
    Safety.WRITE,
)
GET_GROUP = Method(_GROUPS + "GetGroup", groups_pb.GetGroupRequest, groups_pb.GetGroupResponse)
LIST_GROUPS = Method(
    _GROUPS + "ListGroups", groups_pb.ListGroupsRequest, groups_pb.ListGroupsResponse
)
DELETE_GROUP = Method(
    _GROUPS + "DeleteGroup",
    groups_pb.DeleteGroupRequest,
    groups_pb.DeleteGroupResponse,
    Safety.WRITE,
)
RESET_GROUP = Method(
    _GROUPS + "ResetGroup", groups_pb.ResetGroupRequest, groups_pb.ResetGroupResponse, Safety.WRITE
)
LIST_PARKED = Method(_GROUPS + "ListParked", groups_pb.ListParkedRequest, bytes)
REPLAY_PARKED = Method(
    _GROUPS + "ReplayParked",
    groups_pb.ReplayParkedRequest,
    groups_pb.ReplayParkedResponse,
    Safety.WRITE,
)
PURGE_PARKED = Method(
    _GROUPS + "PurgeParked",
    groups_pb.PurgeParkedRequest,
    groups_pb.PurgeParkedResponse,
    Safety.WRITE,
)
PUT_PROJECTION = Method(
    _PROJECTIONS + "PutProjection",
    projections_pb.PutProjectionRequest,
    projections_pb.PutProjectionResponse,
    Safety.WRITE,
)
GET_PROJECTION = Method(
    _PROJECTIONS + "GetProjection",
    projections_pb.GetProjectionRequest,
    projections_pb.GetProjectionResponse,
)
LIST_PROJECTIONS = Method(
    _PROJECTIONS + "ListProjections",
    projections_pb.ListProjectionsRequest,
    projections_pb.ListProjectionsResponse,
)
REBUILD_PROJECTION = Method(
    _PROJECTIONS + "RebuildProjection",
    projections_pb.RebuildProjectionRequest,
    projections_pb.RebuildProjectionResponse,
    Safety.WRITE,
)
VERIFY_PROJECTION = Method(
    _PROJECTIONS + "VerifyProjection",
    projections_pb.VerifyProjectionRequest,
    projections_pb.VerifyProjectionResponse,
    streams=True,
)
SWITCH_PROJECTION = Method(
    _PROJECTIONS + "SwitchProjection",
    projections_pb.SwitchProjectionRequest,
    projections_pb.SwitchProjectionResponse,
    Safety.WRITE,
)
DROP_PROJECTION = Method(
    _PROJECTIONS + "DropProjection",
    projections_pb.DropProjectionRequest,
    projections_pb.DropProjectionResponse,
    Safety.WRITE,
)
RETRY_PROJECTION = Method(
    _PROJECTIONS + "RetryProjection",
    projections_pb.RetryProjectionRequest,
    projections_pb.RetryProjectionResponse,
    Safety.WRITE,
)
LIST_PARKED_KEYS = Method(
    _PROJECTIONS + "ListParkedKeys",
    projections_pb.ListParkedKeysRequest,
    projections_pb.ListParkedKeysResponse,
)
QUERY_PROJECTION = Method(
    _PROJECTIONS + "QueryProjection",
    projections_pb.QueryProjectionRequest,
    projections_pb.QueryProjectionResponse,
)
COUNT_PROJECTION = Method(
    _PROJECTIONS + "CountProjection",
    projections_pb.CountProjectionRequest,
    projections_pb.CountProjectionResponse,
)
TRY_PROJECTION = Method(
    _PROJECTIONS + "TryProjection",
    projections_pb.TryProjectionRequest,
    projections_pb.TryProjectionResponse,
)
PUT_SCHEMA = Method(
    _EVENT_TYPES + "PutSchema",
    schemas_pb.PutSchemaRequest,
    schemas_pb.PutSchemaResponse,
    Safety.WRITE,
    streams=True,
)
GET_SCHEMA = Method(
    _EVENT_TYPES + "GetSchema",
    schemas_pb.GetSchemaRequest,
    schemas_pb.GetSchemaResponse,
)
LIST_SCHEMAS = Method(
    _EVENT_TYPES + "ListSchemas",
    schemas_pb.ListSchemasRequest,
    schemas_pb.ListSchemasResponse,
)
CHECK_SCHEMA = Method(
    _EVENT_TYPES + "CheckSchema",
    schemas_pb.CheckSchemaRequest,
    schemas_pb.CheckSchemaResponse,
    streams=True,
)
PUT_MAPPING = Method(
    _EVENT_TYPES + "PutMapping",
    mappings_pb.PutMappingRequest,
    mappings_pb.PutMappingResponse,
    Safety.WRITE,
    streams=True,
)
CHECK_MAPPING = Method(
    _EVENT_TYPES + "CheckMapping",
    mappings_pb.CheckMappingRequest,
    mappings_pb.CheckMappingResponse,
    streams=True,
)
GET_MAPPING = Method(
    _EVENT_TYPES + "GetMapping",
    mappings_pb.GetMappingRequest,
    mappings_pb.GetMappingResponse,
)
LIST_MAPPINGS = Method(
    _EVENT_TYPES + "ListMappings",
    mappings_pb.ListMappingsRequest,
    mappings_pb.ListMappingsResponse,
)
DROP_MAPPING = Method(
    _EVENT_TYPES + "DropMapping",
    mappings_pb.DropMappingRequest,
    mappings_pb.DropMappingResponse,
    Safety.WRITE,
)
PUT_EVENT_TYPE = Method(
    _EVENT_TYPES + "PutEventType",
    types_pb.PutEventTypeRequest,
    types_pb.PutEventTypeResponse,
    Safety.WRITE,
)
PUT_CATEGORY = Method(
    _EVENT_TYPES + "PutCategory",
    types_pb.PutCategoryRequest,
    types_pb.PutCategoryResponse,
    Safety.WRITE,
)
LIST_CATEGORIES = Method(
    _EVENT_TYPES + "ListCategories",
    types_pb.ListCategoriesRequest,
    types_pb.ListCategoriesResponse,
)
LIST_EVENT_TYPES = Method(
    _EVENT_TYPES + "ListEventTypes",
    types_pb.ListEventTypesRequest,
    types_pb.ListEventTypesResponse,
)
START_TRANSFORM = Method(
    _TRANSFORMS + "StartTransform",
    transforms_pb.StartTransformRequest,
    transforms_pb.StartTransformResponse,
    safety=Safety.WRITE,
)
GET_TRANSFORM = Method(
    _TRANSFORMS + "GetTransform",
    transforms_pb.GetTransformRequest,
    transforms_pb.GetTransformResponse,
)
LIST_TRANSFORMS = Method(
    _TRANSFORMS + "ListTransforms",
    transforms_pb.ListTransformsRequest,
    transforms_pb.ListTransformsResponse,
)
CUT_OVER = Method(
    _TRANSFORMS + "CutOver",
    transforms_pb.CutOverRequest,
    transforms_pb.CutOverResponse,
    safety=Safety.WRITE,
)
APPEND_COPIES = Method(
    _TRANSFORMS + "AppendCopies",
    transforms_pb.AppendCopiesRequest,
    transforms_pb.AppendCopiesResponse,
    safety=Safety.APPEND,
)
DIGEST_COPIES = Method(
    _TRANSFORMS + "DigestCopies",
    transforms_pb.DigestCopiesRequest,
    transforms_pb.DigestCopiesResponse,
)
CANCEL_TRANSFORM = Method(
    _TRANSFORMS + "CancelTransform",
    transforms_pb.CancelTransformRequest,
    transforms_pb.CancelTransformResponse,
    safety=Safety.WRITE,
)
