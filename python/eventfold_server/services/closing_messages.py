"""Messages about closing the books, decoded and encoded."""

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold.v1 import appends_pb2 as appends_pb
from eventfold.v1 import closing_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.closing import CLOSED_TYPE, OPENED_TYPE, Closed, Closing
from eventfold_server.domain.requests import Follow
from eventfold_server.errors import Refusal
from eventfold_server.services.fold_messages import fold_ref


def closing_of(request: pb.CloseStreamRequest) -> Closing:
    """The close that a request asks for."""
    version: int | None = None
    match request.expected_version.WhichOneof("kind"):
        case "exact":
            version = request.expected_version.exact
        case "exists":
            pass
        case "any":
            raise requests.invalid("expected_version", "`any` does not go with a close")
        case _:
            raise Refusal(
                "EXPECTED_VERSION_REQUIRED",
                "a close names the version that it was decided on, or `exists`",
                stream=request.stream,
            )
    follow = requests.follow(request.follow)
    if follow is Follow.OPEN:
        raise requests.invalid("follow", "a close is of the stream that it names")
    return Closing(
        stream=request.stream,
        version=version,
        folds=[fold_ref(fold) for fold in request.folds],
        successor=request.successor or None,
        closing_type=request.closing_type or CLOSED_TYPE,
        opening_type=request.opening_type or OPENED_TYPE,
        closing_data=request.closing_data,
        opening_data=request.opening_data,
        closing_id=request.closing_id,
        opening_id=request.opening_id,
        through=follow is Follow.ALL,
    )


def closed_message(closed: Closed) -> pb.CloseStreamResponse:
    """The answer to a close."""
    seconds, nanos = requests.to_seconds_nanos(closed.recorded_at)
    return pb.CloseStreamResponse(
        version=closed.version,
        position=closed.position,
        closing_id=closed.closing_id,
        successor=closed.successor or "",
        opening_position=closed.opening_position,
        opening_id=closed.opening_id,
        states=[
            pb.CarriedState(fold=state.fold, digest=state.digest, exists=state.exists)
            for state in closed.states
        ],
        recorded_at=Timestamp(seconds=seconds, nanos=nanos),
        duplicate=closed.duplicate,
    )


def append_message(stream: str, version: int, id_: str, type_: str, data: bytes) -> bytes:
    """The append of one event to a stream of that version."""
    return appends_pb.AppendRequest(
        stream=stream,
        expected_version=appends_pb.ExpectedVersion(exact=version),
        events=[appends_pb.NewEvent(id=id_, type=type_, data=data)],
    ).SerializeToString()
