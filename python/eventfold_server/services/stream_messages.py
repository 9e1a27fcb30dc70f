"""Streams as messages."""

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold.v1 import event_store_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.streams import Stream


def stream_message(row: Stream) -> pb.Stream:
    """The message of a stream."""
    seconds, nanos = requests.to_seconds_nanos(row.created_at)
    return pb.Stream(
        name=row.name,
        category=row.category,
        id=row.name[len(row.category) + 1 :],
        version=row.version,
        lifecycle=pb.Lifecycle.ValueType(row.lifecycle),
        root=row.root,
        predecessor=row.predecessor or "",
        successor=row.successor or "",
        created_at=Timestamp(seconds=seconds, nanos=nanos),
    )
