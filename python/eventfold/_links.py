"""Links between streams, as the SDK has them."""

import datetime as dt
import enum
from dataclasses import dataclass

from eventfold._time import from_timestamp
from eventfold.v1 import links_pb2 as pb


class LinkPolicy(enum.Enum):
    """What becomes of a stream when its owner is deleted."""

    CASCADE = "cascade"
    """It is deleted too."""
    RESTRICT = "restrict"
    """The owner cannot be deleted, unless the stream goes by another way."""
    DETACH = "detach"
    """It stays, and the link is dropped."""


_TO_WIRE = {
    LinkPolicy.CASCADE: pb.LINK_POLICY_CASCADE,
    LinkPolicy.RESTRICT: pb.LINK_POLICY_RESTRICT,
    LinkPolicy.DETACH: pb.LINK_POLICY_DETACH,
}
_FROM_WIRE = {wire: policy for policy, wire in _TO_WIRE.items()}


def policy_to_wire(policy: LinkPolicy | str) -> pb.LinkPolicy.ValueType:
    """The policy of a request; ValueError if it is none."""
    return _TO_WIRE[LinkPolicy(policy)]


def policy_from_wire(policy: pb.LinkPolicy.ValueType) -> LinkPolicy:
    """The policy of an answer; one that is not known forbids."""
    return _FROM_WIRE.get(policy, LinkPolicy.RESTRICT)


@dataclass(frozen=True)
class LinkRule:
    """A rule that links follow from.

    Attributes:
        name: its name.
        policy: what becomes of the streams.
        event_type: of a rule of events: their type; else None.
        pointer: of a rule of events: where the owner stands in their data; else None.
        category: of a rule of categories: that of the streams that belong to others; else None.
        of: category of the owners; None: a whole stream name stands in the data.
        position: up to which position events are looked through; 0 for rules of categories.
        head: position of the newest event of the log.
        unreadable: values at the pointer that name no stream.
        put_at: when it was put last.
        put_by: by whom.
    """

    name: str
    policy: LinkPolicy
    event_type: str | None
    pointer: str | None
    category: str | None
    of: str | None
    position: int
    head: int
    unreadable: int
    put_at: dt.datetime
    put_by: str

    @classmethod
    def _from_wire(cls, rule: pb.LinkRule) -> "LinkRule":
        by_event = rule.by_event if rule.WhichOneof("link") == "by_event" else None
        return cls(
            name=rule.name,
            policy=policy_from_wire(rule.policy),
            event_type=None if by_event is None else by_event.event_type,
            pointer=None if by_event is None else by_event.pointer,
            category=None if by_event is not None else rule.by_category.category,
            of=rule.by_category.of if by_event is None else by_event.category or None,
            position=rule.position,
            head=rule.head,
            unreadable=rule.unreadable,
            put_at=from_timestamp(rule.put_at),
            put_by=rule.put_by,
        )


@dataclass(frozen=True)
class Link:
    """That a stream belongs to another.

    Attributes:
        stream: the one that belongs to the other; the first of its line.
        owner: the one that it belongs to.
        policy: what becomes of it when the owner is deleted.
        rule: the rule that it follows from; None: it was put by hand.
        position: position of the first event that says so; None: none does.
        put_at: when it was noted.
        put_by: who has put the link or the rule.
    """

    stream: str
    owner: str
    policy: LinkPolicy
    rule: str | None
    position: int | None
    put_at: dt.datetime
    put_by: str

    @classmethod
    def _from_wire(cls, link: pb.Link) -> "Link":
        return cls(
            stream=link.stream,
            owner=link.owner,
            policy=policy_from_wire(link.policy),
            rule=link.rule or None,
            position=link.position or None,
            put_at=from_timestamp(link.put_at),
            put_by=link.put_by,
        )


def rule_to_wire(
    name: str,
    policy: LinkPolicy | str,
    event_type: str | None,
    pointer: str | None,
    category: str | None,
    of: str | None,
) -> pb.LinkRule:
    """A rule of a request.

    Raises:
        TypeError: it is neither of events nor of categories, or both.
    """
    rule = pb.LinkRule(name=name, policy=policy_to_wire(policy))
    if event_type is not None and pointer is not None and category is None:
        rule.by_event.event_type, rule.by_event.pointer = event_type, pointer
        rule.by_event.category = of or ""
    elif category is not None and of is not None and event_type is None and pointer is None:
        rule.by_category.category, rule.by_category.of = category, of
    else:
        raise TypeError("a rule takes event_type= and pointer=, or category= and of=")
    return rule
