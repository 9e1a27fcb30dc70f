"""Events of `$audit`, encoded."""

from google.protobuf import empty_pb2

from eventfold.v1 import appends_pb2 as pb


def audit_append(stream: str, id_: str, type_: str, data: bytes) -> bytes:
    """The append of one event to a stream of any version."""
    return pb.AppendRequest(
        stream=stream,
        expected_version=pb.ExpectedVersion(any=empty_pb2.Empty()),
        events=[pb.NewEvent(id=id_, type=type_, data=data)],
    ).SerializeToString()


def is_duplicate(response: bytes) -> bool:
    """Whether what was appended was there already."""
    return pb.AppendResponse.FromString(response).duplicate
