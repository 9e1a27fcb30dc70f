"""Messages of `Projections` from what the domain knows."""

from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from eventfold.v1 import projections_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.projections.admin import (
    WHEN_VERIFIED,
    Generation,
    ParkedKey,
    Projection,
)
from eventfold_server.domain.projections.trial import Row
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.services.group_messages import timestamp
from eventfold_server.status import to_status

Listed = TypeVar("Listed", bound=Message)


def switch_of(switch: pb.ProjectionSwitch.ValueType) -> int:
    """When a generation takes the place of the active one, with the default filled in."""
    if switch not in pb.ProjectionSwitch.values():
        raise requests.invalid("switch", "is none of the known ones")
    return switch or WHEN_VERIFIED


def within_page(messages: list[Listed]) -> tuple[list[Listed], bool]:
    """The messages that fill a page, at least one if there is one, and whether some are left."""
    size = 0
    for count, message in enumerate(messages):
        size += message.ByteSize()
        if size > PAGE_BYTES and count:
            return messages[:count], True
    return messages, False


def projection_message(projection: Projection) -> pb.Projection:
    """The projection, with everything set."""
    return pb.Projection(
        name=projection.name,
        active=projection.active,
        generations=[_generation(one, projection.head) for one in projection.generations],
        head=projection.head,
        view=projection.view,
    )


def row_message(row: Row) -> pb.ProjectionRow:
    """A row of an answer."""
    return pb.ProjectionRow(
        key=row.key,
        columns=row.columns.encode(),
        version=row.version,
        position=row.position,
        erased=row.erased,
        withheld=row.withheld,
    )


def parked_key_message(parked: ParkedKey) -> pb.ParkedKey:
    """What is known of a parked key."""
    return pb.ParkedKey(
        key=parked.key,
        error=to_status(parked.error),
        position=parked.position,
        events=parked.events,
        parked_at=timestamp(parked.parked_at),
    )


def _generation(generation: Generation, head: int) -> pb.Generation:
    message = pb.Generation(
        generation=generation.generation,
        source=generation.source,
        digest=generation.digest,
        state=pb.GenerationState.ValueType(generation.state),
        switch=pb.ProjectionSwitch.ValueType(generation.switch),
        position=generation.position,
        events=generation.events,
        positions_per_second=generation.rate,
        seconds_left=generation.seconds_left(head),
        parked_keys=generation.parked_keys,
        stopped=None if generation.stopped is None else to_status(generation.stopped),
        put_at=timestamp(generation.put_at),
        put_by=generation.put_by,
        fold=generation.fold,
        fold_revision=generation.fold_revision,
        remapped_types=generation.remapped_types,
    )
    if generation.caught_up_at is not None:
        message.caught_up_at.CopyFrom(timestamp(generation.caught_up_at))
    if generation.switched_at is not None:
        message.switched_at.CopyFrom(timestamp(generation.switched_at))
    if generation.verification is not None:
        json_format.Parse(generation.verification, message.verification)
    return message
