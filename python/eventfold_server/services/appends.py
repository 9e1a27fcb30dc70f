"""Messages of appends: from the wire to the domain and back, for every RPC that appends."""

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold.v1 import event_store_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.append import ANY, EXISTS, Appended, FailedCheck, NewEvents
from eventfold_server.status import to_status


def expected_version(request: pb.AppendRequest | pb.StreamAppend | pb.VersionCheck) -> int | None:
    """The expectation as the domain has it; None: the request says none."""
    match request.expected_version.WhichOneof("kind"):
        case "exact":
            return requests.at_least("expected_version.exact", request.expected_version.exact, 0)
        case "exists":
            return EXISTS
        case "any":
            return ANY
    return None


def new_events(request: pb.AppendRequest | pb.StreamAppend) -> NewEvents:
    """The events of an append to one stream."""
    events = request.events
    return NewEvents(
        stream=request.stream,
        expected=expected_version(request),
        ids=[event.id for event in events],
        types=[event.type for event in events],
        data=[event.data for event in events],
        metadata=[event.metadata for event in events],
        tags=[list(event.tags) for event in events],
        occurred_us=[
            requests.time_us(
                event.occurred_at.seconds, event.occurred_at.nanos, "occurred_at", index
            )
            if event.HasField("occurred_at")
            else None
            for index, event in enumerate(events)
        ],
    )


def append_response(done: Appended) -> pb.AppendResponse:
    """The answer to an append that is stored."""
    seconds, nanos = requests.to_seconds_nanos(done.recorded_at)
    return pb.AppendResponse(
        first_version=done.first_version,
        last_version=done.first_version + len(done.positions) - 1,
        positions=done.positions,
        ids=done.ids,
        duplicate=done.duplicate,
        recorded_at=Timestamp(seconds=seconds, nanos=nanos),
    )


def failed_check(failed: FailedCheck) -> pb.FailedCheck:
    """One line of the answer to an append to several streams that is refused."""
    line = pb.FailedCheck(
        stream=failed.stream,
        actual_version=failed.actual_version,
        refused=to_status(failed.refusal),
    )
    if failed.append_index is not None:
        line.append_index = failed.append_index
    elif failed.check_index is not None:
        line.check_index = failed.check_index
    return line
