"""The service `eventfold.v1.Privacy`."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from eventfold.v1 import privacy_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.event_types.trials import Progress, misfits_max
from eventfold_server.domain.privacy.rules import PrivacyRules, Rules, RulesChecked, RulesPut
from eventfold_server.domain.requests import Caller
from eventfold_server.services.privacy_messages import (
    accepts_plaintext,
    event_message,
    rules_message,
    warning_message,
)
from eventfold_server.services.projection_messages import within_page
from eventfold_server.status import to_status

# Pages of rules have those of event types first, then those of categories.
_OF_TYPE, _OF_CATEGORY = "type:", "category:"


class PrivacyService:
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(self, rules: PrivacyRules) -> None:
        self._rules = rules

    async def put_privacy_rules(
        self, request: pb.PutPrivacyRulesRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Privacy.PutPrivacyRules`; yields serialised messages."""
        putting = self._rules.put(
            caller,
            request.source,
            accepts_plaintext=accepts_plaintext(request.existing),
            undeclares=request.undeclare,
        )
        async with aclosing(putting) as steps:
            async for step in steps:
                yield _put(step).SerializeToString()

    async def check_privacy_rules(
        self, request: pb.CheckPrivacyRulesRequest, _caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Privacy.CheckPrivacyRules`; yields serialised messages."""
        checking = self._rules.check(
            request.source, misfits_max(request.events_max, field="events_max")
        )
        async with aclosing(checking) as steps:
            async for step in steps:
                yield _check(step).SerializeToString()

    async def get_privacy_rules(
        self, request: pb.GetPrivacyRulesRequest, _caller: Caller
    ) -> pb.GetPrivacyRulesResponse:
        """`Privacy.GetPrivacyRules`."""
        revision = requests.at_least("revision", request.revision, 0)
        found = await self._rules.get(*_named(request), revision)
        return pb.GetPrivacyRulesResponse(rules=rules_message(found))

    async def list_privacy_rules(
        self, request: pb.ListPrivacyRulesRequest, _caller: Caller
    ) -> pb.ListPrivacyRulesResponse:
        """`Privacy.ListPrivacyRules`."""
        size = requests.page_size(request.page_size)
        rows, more = await self._rules.page(*_place(request.page_token), size)
        return pb.ListPrivacyRulesResponse(
            rules=[rules_message(row) for row in rows],
            next_page_token=_token(rows[-1]) if more else "",
        )

    async def drop_privacy_rules(
        self, request: pb.DropPrivacyRulesRequest, _caller: Caller
    ) -> pb.DropPrivacyRulesResponse:
        """`Privacy.DropPrivacyRules`."""
        await self._rules.drop(*_named(request))
        return pb.DropPrivacyRulesResponse()


def _named(
    request: pb.GetPrivacyRulesRequest | pb.DropPrivacyRulesRequest,
) -> tuple[str | None, str | None]:
    """The event type or the category that a request names."""
    match request.WhichOneof("of"):
        case "event_type":
            return request.event_type, None
        case "category":
            return None, requests.text("category", request.category)
        case _:
            raise requests.invalid("of", "is required: an event type or a category")


def _token(rules: Rules) -> str:
    """Stands for the place behind rules."""
    return _OF_CATEGORY + (rules.category or "") if rules.type is None else _OF_TYPE + rules.type


def _place(token: str) -> tuple[str | None, str]:
    """The place that a token stands for: behind an event type, or behind all and a category."""
    requests.text("page_token", token)
    if not token:
        return "", ""
    if token.startswith(_OF_TYPE):
        return token.removeprefix(_OF_TYPE), ""
    if token.startswith(_OF_CATEGORY):
        return None, token.removeprefix(_OF_CATEGORY)
    raise requests.invalid("page_token", "is no token of a page before")


def _put(step: Progress | RulesPut) -> pb.PutPrivacyRulesResponse:
    if isinstance(step, Progress):
        return pb.PutPrivacyRulesResponse(**_progress(step))
    return pb.PutPrivacyRulesResponse(
        done=True,
        rules=rules_message(step.rules),
        created=step.created,
        warnings=map(warning_message, step.warnings),
        **_progress(step.progress),
    )


def _check(step: Progress | RulesChecked) -> pb.CheckPrivacyRulesResponse:
    if isinstance(step, Progress):
        return pb.CheckPrivacyRulesResponse(**_progress(step))
    message = pb.CheckPrivacyRulesResponse(
        done=True,
        first=within_page([event_message(event) for event in step.first])[0],
        warnings=map(warning_message, step.warnings),
        **_progress(step.progress),
    )
    if step.refused is not None:
        message.refused.CopyFrom(to_status(step.refused))
    return message


def _progress(at: Progress) -> dict[str, Any]:
    return {
        "events": at.events,
        "plaintext": at.misfits,
        "position": at.position,
        "head": at.head,
    }
