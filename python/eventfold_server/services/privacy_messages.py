"""Messages of `Privacy` from what the domain knows."""

from eventfold.v1 import privacy_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.event_types.trials import Misfit
from eventfold_server.domain.privacy.rules import Rules
from eventfold_server.domain.privacy.warnings import PrivacyWarning
from eventfold_server.services.group_messages import timestamp


def accepts_plaintext(existing: pb.ExistingValues.ValueType) -> bool:
    """Whether a request says that stored events hold plaintext."""
    if existing not in pb.ExistingValues.values():
        raise requests.invalid("existing", "is none of the known ones")
    return existing == pb.EXISTING_VALUES_PLAINTEXT


def rules_message(rules: Rules) -> pb.PrivacyRules:
    """A revision of privacy rules."""
    return pb.PrivacyRules(
        event_type=rules.type or "",
        category=rules.category or "",
        revision=rules.revision,
        digest=rules.digest,
        source=rules.source,
        origin=pb.PrivacyOrigin.ValueType(rules.origin),
        fields=[
            pb.PersonalField(
                pointer=pointer,
                subject_pointer=subject or "",
                subject_category=category or "",
                erased=replacement or "",
            )
            for pointer, subject, category, replacement in rules.personal().fields
        ],
        plaintext_events=rules.plaintext_events,
        plaintext_until=rules.plaintext_until,
        put_at=timestamp(rules.put_at),
        put_by=rules.put_by,
        in_force=rules.in_force,
    )


def warning_message(warning: PrivacyWarning) -> pb.PrivacyWarning:
    """What rules do not protect, or change."""
    return pb.PrivacyWarning(
        kind=pb.PrivacyWarningKind.ValueType(warning.kind),
        name=warning.name,
        field=warning.field,
        events=warning.events,
        message=warning.message,
    )


def event_message(event: Misfit) -> pb.PlaintextEvent:
    """A stored event with plaintext."""
    return pb.PlaintextEvent(
        stream=event.stream,
        version=event.version,
        position=event.position,
        event_id=event.event_id,
    )
