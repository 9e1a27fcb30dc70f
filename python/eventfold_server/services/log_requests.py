"""What requests that follow the log have in common: where they begin, and what they filter by."""

from collections.abc import Sequence

from eventfold.v1 import consumer_groups_pb2, event_store_pb2, subscriptions_pb2
from eventfold_server import limits
from eventfold_server.domain import requests
from eventfold_server.domain.copies import Copies
from eventfold_server.domain.log_start import LogStart

Values = Sequence[str] | None
Filtering = consumer_groups_pb2.GroupSource | subscriptions_pb2.SubscribeRequest
Starting = consumer_groups_pb2.GroupStart | subscriptions_pb2.SubscribeRequest


def demands(message: Filtering, prefix: str = "") -> tuple[Values, Values, Values, str | None]:
    """Categories, types, tags and condition, each None for no demand; `prefix` leads to their
    fields.
    """
    at_most = requests.at_most
    return (
        at_most(f"{prefix}categories", message.categories, limits.FILTER_CATEGORIES_MAX),
        at_most(f"{prefix}types", message.types, limits.FILTER_TYPES_MAX),
        at_most(f"{prefix}tags", message.tags, limits.FILTER_TAGS_MAX),
        requests.text(f"{prefix}where", message.where) or None,
    )


def copies(message: Filtering | event_store_pb2.ReadAllRequest, prefix: str = "") -> Copies:
    """What a request says of copies."""
    if message.copies not in event_store_pb2.Copies.values():
        raise requests.invalid(f"{prefix}copies", "is none of the known ones")
    return Copies(message.copies)


def log_start(message: Starting, set_: str | None, prefix: str = "") -> LogStart | None:
    """The start that the field which is set names; None: it names none of the log."""
    match set_:
        case "resume_token":
            return LogStart(resume_token=message.resume_token)
        case "from_position":
            field = f"{prefix}from_position"
            return LogStart(position=requests.at_least(field, message.from_position, 1))
        case "from_recorded_at":
            time = message.from_recorded_at
            at_us = requests.time_us(time.seconds, time.nanos, f"{prefix}from_recorded_at")
            return LogStart(recorded_at=requests.to_datetime(at_us))
        case "now":
            return LogStart(now=True)
    return None
