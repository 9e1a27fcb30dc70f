"""Messages of `Links`, and what the domain knows from them."""

import json

from eventfold.v1 import links_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.links import Link, LinkRule, Said
from eventfold_server.services.group_messages import timestamp


def said(rule: pb.LinkRule) -> Said:
    """What a rule is to say."""
    match rule.WhichOneof("link"):
        case "by_event":
            by_event = rule.by_event
            return Said(
                rule.name,
                rule.policy,
                type=by_event.event_type,
                pointer=by_event.pointer,
                owner_category=by_event.category or None,
            )
        case "by_category":
            by_category = rule.by_category
            return Said(
                rule.name,
                rule.policy,
                category=by_category.category,
                owner_category=by_category.of,
            )
    raise requests.invalid("link", "is required")


def rule_message(rule: LinkRule) -> pb.LinkRule:
    """The rule."""
    message = pb.LinkRule(
        name=rule.name,
        policy=pb.LinkPolicy.ValueType(rule.policy),
        position=rule.position,
        head=rule.head,
        unreadable=rule.unreadable,
        put_at=timestamp(rule.put_at),
        put_by=rule.put_by,
    )
    if rule.type is None:
        message.by_category.category = rule.category or ""
        message.by_category.of = rule.owner_category or ""
    else:
        message.by_event.event_type = rule.type
        message.by_event.pointer = rule.pointer or ""
        message.by_event.category = rule.owner_category or ""
    return message


def link_message(link: Link) -> pb.Link:
    """The link."""
    return pb.Link(
        stream=link.stream,
        owner=link.owner,
        policy=pb.LinkPolicy.ValueType(link.policy),
        rule=link.rule,
        position=link.position,
        put_at=timestamp(link.put_at),
        put_by=link.put_by,
    )


def token_of(link: Link) -> str:
    """Asks for the page behind a link."""
    return json.dumps([link.owner, link.stream, link.rule], ensure_ascii=False)


def behind(page_token: str) -> tuple[str, str, str]:
    """What a page token says: owner, stream and rule of the last link."""
    if not page_token:
        return "", "", ""
    try:
        owner, stream, rule = map(str, json.loads(requests.text("page_token", page_token)))
    except (ValueError, TypeError):
        raise requests.invalid("page_token", "is none of this list") from None
    for part in (owner, stream, rule):
        requests.text("page_token", part)
    return owner, stream, rule
