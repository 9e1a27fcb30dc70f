"""Messages of `EventTypes` from what the domain knows."""

from collections.abc import Sequence

from eventfold import _core
from eventfold.v1 import event_types_pb2 as pb
from eventfold.v1 import mappings_pb2 as mappings_pb
from eventfold.v1 import schemas_pb2 as schemas_pb
from eventfold_server.domain.event_types.mappings import Mapping
from eventfold_server.domain.event_types.said import EventType
from eventfold_server.domain.event_types.schemas import Schema
from eventfold_server.domain.event_types.trials import Trial
from eventfold_server.domain.projections.remapped import StaleGeneration
from eventfold_server.domain.type_counts import Counts
from eventfold_server.services.group_messages import timestamp
from eventfold_server.services.projection_messages import within_page
from eventfold_server.services.violation_messages import violation_messages
from eventfold_server.status import to_status


def schema_message(schema: Schema) -> schemas_pb.Schema:
    """A revision of a schema."""
    return schemas_pb.Schema(
        event_type=schema.type or "",
        id=schema.schema_id or "",
        revision=schema.revision,
        digest=schema.digest,
        source=schema.source,
        draft=schemas_pb.SchemaDraft.ValueType(schema.draft),
        formats=schema.formats,
        refers_to=schema.resource_ids,
        put_at=timestamp(schema.put_at),
        put_by=schema.put_by,
        accepted_misfits=schema.accepted_misfits,
    )


def resource_messages(schema: Schema) -> list[schemas_pb.SchemaResource]:
    """The documents that a schema refers to."""
    documents = zip(schema.resource_ids, schema.resources, strict=True)
    return [schemas_pb.SchemaResource(id=id_, source=source) for id_, source in documents]


def mapping_message(mapping: Mapping) -> mappings_pb.Mapping:
    """A revision of a mapping."""
    return mappings_pb.Mapping(
        event_type=mapping.type,
        revision=mapping.revision,
        digest=mapping.digest,
        source=mapping.source,
        put_at=timestamp(mapping.put_at),
        put_by=mapping.put_by,
    )


def difference_message(difference: _core.SchemaDifference) -> schemas_pb.SchemaDifference:
    """A difference between two schemas."""
    return schemas_pb.SchemaDifference(
        pointer=difference.pointer,
        keyword=difference.keyword,
        change=schemas_pb.SchemaChange.ValueType(difference.change),
        message=difference.message,
    )


def trial_message(trial: Trial) -> schemas_pb.Trial:
    """What stored events said."""
    return schemas_pb.Trial(
        events=trial.events,
        misfits=trial.misfits,
        first=_misfits(trial),
        position=trial.position,
    )


def stale_messages(stale: Sequence[StaleGeneration]) -> list[mappings_pb.StaleProjection]:
    """Generations of projections that should be rebuilt."""
    return [
        mappings_pb.StaleProjection(projection=one.projection, generation=one.generation)
        for one in stale
    ]


def event_type_message(known: EventType, counts: Counts | None = None) -> pb.EventType:
    """What is known of an event type."""
    message = pb.EventType(
        name=known.type,
        description=known.said.description,
        replaced_by=known.said.replaced_by or "",
        replaces=known.replaces,
        schema_mode=pb.SchemaMode.ValueType(known.said.schema_mode),
        references=pb.ReferenceMode.ValueType(known.said.refs_mode),
        personal=known.personal,
    )
    if known.schema is not None:
        message.schema_revision, message.schema_digest = known.schema
    if known.mapping is not None:
        message.mapping_revision, message.mapping_digest = known.mapping
    if counts is not None:
        message.events = counts.events
        message.violations = counts.violations
        message.first_position = counts.first_position
        message.last_position = counts.last_position
        message.first_recorded_at.CopyFrom(timestamp(counts.first_recorded_at))
        message.last_recorded_at.CopyFrom(timestamp(counts.last_recorded_at))
        message.writers_count = counts.writers_count
        for name, events, last in counts.writers:
            message.writers.add(writer=name, events=events, last_recorded_at=timestamp(last))
    return message


def _misfits(trial: Trial) -> list[schemas_pb.Misfit]:
    """The first that do not fit, as many as a page has room for."""
    messages = []
    for misfit in trial.first:
        message = schemas_pb.Misfit(
            stream=misfit.stream,
            version=misfit.version,
            position=misfit.position,
            event_id=misfit.event_id,
            violations=violation_messages(misfit.violations, event_type=trial.event_type),
        )
        if misfit.error is not None:
            message.error.CopyFrom(to_status(misfit.error))
        messages.append(message)
    return within_page(messages)[0]
