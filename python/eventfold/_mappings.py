"""Mappings of old events, as the calls on them return them."""

import datetime as dt
from dataclasses import dataclass

from eventfold._schemas import Trial
from eventfold._time import from_timestamp
from eventfold.v1 import mappings_pb2 as pb


@dataclass(frozen=True, slots=True)
class MappingInfo:
    """How events of one type are read.

    Attributes:
        event_type: the event type.
        revision: counts from 1 for each event type.
        digest: SHA-256 of the normal form of the document.
        source: the document as it came in.
        put_at: when it was put, in UTC.
        put_by: who put it.
    """

    event_type: str
    revision: int
    digest: str
    source: str
    put_at: dt.datetime
    put_by: str

    @classmethod
    def _from_wire(cls, one: pb.Mapping) -> "MappingInfo":
        return cls(
            event_type=one.event_type,
            revision=one.revision,
            digest=one.digest,
            source=one.source,
            put_at=from_timestamp(one.put_at),
            put_by=one.put_by,
        )


@dataclass(frozen=True, slots=True)
class StaleProjection:
    """A generation of a projection that read events before their mapping changed.

    Attributes:
        projection: name of the projection; `rebuild_projection` reads them anew.
        generation: number of the generation.
    """

    projection: str
    generation: int

    @classmethod
    def _from_wire(cls, one: pb.StaleProjection) -> "StaleProjection":
        return cls(one.projection, one.generation)


@dataclass(frozen=True, slots=True)
class MappingPut:
    """What `put_mapping` came to.

    Attributes:
        mapping: the mapping in force.
        created: whether it is a new revision; False: it was in force already.
        stale: generations that have read events of the type otherwise, and should be rebuilt.
    """

    mapping: MappingInfo
    created: bool
    stale: tuple[StaleProjection, ...]

    @classmethod
    def _from_wire(cls, one: pb.PutMappingResponse) -> "MappingPut":
        return cls(MappingInfo._from_wire(one.mapping), one.created, stale_of(one))


@dataclass(frozen=True, slots=True)
class MappingCheck:
    """What `put_mapping` would come to.

    Attributes:
        trial: what the stored events say; with a misfit the mapping would be refused.
        changed: stored events that it changes.
        stale: as in `MappingPut`, if it were put now.
    """

    trial: Trial
    changed: int
    stale: tuple[StaleProjection, ...]

    @classmethod
    def _from_wire(cls, one: pb.CheckMappingResponse) -> "MappingCheck":
        return cls(Trial._from_wire(one.trial), one.changed, stale_of(one))


def stale_of(
    answer: pb.PutMappingResponse | pb.CheckMappingResponse | pb.DropMappingResponse,
) -> tuple[StaleProjection, ...]:
    """Generations that an answer says should be rebuilt."""
    return tuple(StaleProjection._from_wire(one) for one in answer.stale)
