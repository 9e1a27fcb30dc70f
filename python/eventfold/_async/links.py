"""Calls on links: which stream belongs to which."""

from collections.abc import AsyncIterator

from eventfold import _privacy_methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._links import Link, LinkPolicy, LinkRule, policy_to_wire, rule_to_wire
from eventfold.v1 import links_pb2 as pb


class AsyncLinkCalls:
    """The calls of the service `Links`."""

    _connection: AsyncConnection

    async def put_link_rule(
        self,
        name: str,
        *,
        policy: LinkPolicy | str,
        event_type: str | None = None,
        pointer: str | None = None,
        category: str | None = None,
        of: str | None = None,
        timeout: float | None = None,
    ) -> LinkRule:
        """Stores a rule that links follow from, in place of the one of this name.

            store.put_link_rule("holder", policy="cascade", event_type="AccountOpened",
                                pointer="/userId", of="User")
            store.put_link_rule("private", policy="cascade", category="UserPrivate", of="User")

        The first says that the stream of such an event belongs to the user whose id stands in its
        data; the second, that each private half belongs to the stream of the same id.

        Args:
            name: 1 to 128 bytes.
            policy: what becomes of the streams when their owner is deleted.
            event_type: type of the events; with `pointer`. Stored ones are looked through in the
                background.
            pointer: JSON pointer into their data, in which a part `*` is every element or member.
            category: category of the streams that belong to those of `of` with the same ids.
            of: category of the owners. Default, with `pointer`: whole names stand in the data.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            InvalidRequest: a field is not as it must be.
            TypeError: the rule is neither of events nor of categories, or both.
            StorageFull, OutcomeUnknown: see there.
        """
        rule = rule_to_wire(name, policy, event_type, pointer, category, of)
        request = pb.PutLinkRuleRequest(rule=rule)
        answer = await self._connection.unary(methods.PUT_LINK_RULE, request, timeout)
        return LinkRule._from_wire(answer.rule)

    async def drop_link_rule(self, name: str, *, timeout: float | None = None) -> None:
        """Drops a rule and the links that followed from it.

        Raises:
            LinkNotFound: there is none of this name.
            OutcomeUnknown: see there.
        """
        request = pb.DropLinkRuleRequest(name=name)
        await self._connection.unary(methods.DROP_LINK_RULE, request, timeout)

    async def list_link_rules(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[LinkRule]:
        """Lists rules in byte order of their names, fetching page after page.

        Args:
            page_size: rules fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListLinkRulesRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_LINK_RULES, request, timeout)
            for rule in page.rules:
                yield LinkRule._from_wire(rule)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def put_link(
        self, stream: str, owner: str, *, policy: LinkPolicy | str, timeout: float | None = None
    ) -> None:
        """Links a stream to its owner by hand, or gives such a link another policy.

        Args:
            stream: the stream that belongs to the other.
            owner: the stream that it belongs to; of another line.
            policy: what becomes of the stream when its owner is deleted.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            InvalidStreamName, InvalidRequest, StorageFull, OutcomeUnknown: see there.
        """
        request = pb.PutLinkRequest(stream=stream, owner=owner, policy=policy_to_wire(policy))
        await self._connection.unary(methods.PUT_LINK, request, timeout)

    async def drop_link(self, stream: str, owner: str, *, timeout: float | None = None) -> None:
        """Drops a link that was put by hand.

        Raises:
            LinkNotFound: there is none.
            OutcomeUnknown: see there.
        """
        request = pb.DropLinkRequest(stream=stream, owner=owner)
        await self._connection.unary(methods.DROP_LINK, request, timeout)

    async def list_links(
        self,
        *,
        stream: str = "",
        owner: str = "",
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncIterator[Link]:
        """Lists links in byte order of owner and stream, fetching page after page. Those that
        follow from equal ids are among them where a stream or an owner is named.

        Args:
            stream: only links of this stream. Default: of any.
            owner: only links to this owner. Default: to any.
            page_size: links fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.

        Raises:
            InvalidStreamName: see there.
        """
        request = pb.ListLinksRequest(stream=stream, owner=owner, page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_LINKS, request, timeout)
            for link in page.links:
                yield Link._from_wire(link)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
