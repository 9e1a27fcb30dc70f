"""The service `eventfold.v1.Links`."""

from eventfold.v1 import links_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.links import Links
from eventfold_server.domain.requests import Caller
from eventfold_server.services.link_messages import (
    behind,
    link_message,
    rule_message,
    said,
    token_of,
)


class LinksService:
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def put_link_rule(
        self, request: pb.PutLinkRuleRequest, caller: Caller
    ) -> pb.PutLinkRuleResponse:
        """`Links.PutLinkRule`."""
        rule, begins = await self._links.put_rule(caller, said(request.rule))
        return pb.PutLinkRuleResponse(rule=rule_message(rule), begins=begins)

    async def drop_link_rule(
        self, request: pb.DropLinkRuleRequest, _caller: Caller
    ) -> pb.DropLinkRuleResponse:
        """`Links.DropLinkRule`."""
        await self._links.drop_rule(request.name)
        return pb.DropLinkRuleResponse()

    async def list_link_rules(
        self, request: pb.ListLinkRulesRequest, _caller: Caller
    ) -> pb.ListLinkRulesResponse:
        """`Links.ListLinkRules`."""
        size = requests.page_size(request.page_size)
        rows, more = requests.page_of(await self._links.rules(request.page_token, size + 1), size)
        return pb.ListLinkRulesResponse(
            rules=map(rule_message, rows), next_page_token=rows[-1].name if more else ""
        )

    async def put_link(self, request: pb.PutLinkRequest, caller: Caller) -> pb.PutLinkResponse:
        """`Links.PutLink`."""
        await self._links.put(caller, request.stream, request.owner, request.policy)
        return pb.PutLinkResponse()

    async def drop_link(self, request: pb.DropLinkRequest, _caller: Caller) -> pb.DropLinkResponse:
        """`Links.DropLink`."""
        await self._links.drop(request.stream, request.owner)
        return pb.DropLinkResponse()

    async def list_links(
        self, request: pb.ListLinksRequest, _caller: Caller
    ) -> pb.ListLinksResponse:
        """`Links.ListLinks`."""
        size = requests.page_size(request.page_size)
        found = await self._links.page(
            request.stream, request.owner, behind(request.page_token), size + 1
        )
        rows, more = requests.page_of(found, size)
        return pb.ListLinksResponse(
            links=map(link_message, rows), next_page_token=token_of(rows[-1]) if more else ""
        )
