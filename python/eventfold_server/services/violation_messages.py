"""Messages that say where events do not fit their schemas."""

from collections.abc import Sequence

from eventfold import _core
from eventfold.v1 import schemas_pb2 as pb
from eventfold_server.limits import PAGE_BYTES


def violation_messages(
    violations: Sequence[_core.Violation], bytes_max: int = PAGE_BYTES, event_type: str = ""
) -> list[pb.SchemaViolation]:
    """Where events do not fit their schemas: the first that fit in so many bytes. `event_type`:
    where the violations do not say it.
    """
    messages: list[pb.SchemaViolation] = []
    for violation in violations:
        message = pb.SchemaViolation(
            event_index=violation.event_index,
            pointer=violation.pointer,
            rule=violation.rule,
            schema_pointer=violation.schema_pointer,
            message=violation.message,
            event_type=violation.event_type or event_type,
        )
        # Pointers are as long as the keys of events.
        bytes_max -= message.ByteSize()
        if bytes_max < 0:
            break
        messages.append(message)
    return messages
