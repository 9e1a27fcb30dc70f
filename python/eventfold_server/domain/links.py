"""Which stream belongs to which, and looking the log through for what says so."""

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from eventfold_server.domain import requests
from eventfold_server.domain.leases import end_if_cancelled
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import (
    LINK_POINTER_BYTES_MAX,
    LINK_RULE_NAME_BYTES_MAX,
    LINKS_FOLLOW_PAUSE_S,
    LINKS_FOLLOW_S_MAX,
)
from eventfold_server.storage.links import LinkRow, LinkRuleRow, LinkStorage

# What the domain knows of them is their row.
Link = LinkRow
LinkRule = LinkRuleRow

# The numbers of the proto's LinkPolicy.
CASCADE, RESTRICT, DETACH = 1, 2, 3

log = logging.getLogger(__name__)

_CATEGORY = re.compile(r"[A-Za-z0-9_]{1,64}")
_TYPE_BYTES_MAX = 128
_STOP_S_MAX = 5.0


@dataclass(frozen=True)
class Said:
    """What a rule is to say: of events, with type, pointer and maybe the category of the owners, or
    of two categories.
    """

    name: str
    policy: int
    type: str | None = None
    pointer: str | None = None
    category: str | None = None
    owner_category: str | None = None


class Links:
    """The links of one store."""

    def __init__(self, storage: LinkStorage) -> None:
        self._storage = storage

    async def put_rule(self, caller: Caller, said: Said) -> tuple[LinkRule, bool]:
        """Stores a rule; and whether it begins to look the log through."""
        _check(said)
        path = None if said.pointer is None else path_of(said.pointer)
        outcome = await self._storage.put_rule(
            said.name,
            type_=said.type,
            pointer=said.pointer,
            path=path,
            category=said.category,
            owner_category=said.owner_category,
            policy=said.policy,
            by=caller.writer,
        )
        found = await self._storage.rule(said.name)
        if found is None:
            raise _no_rule(said.name)
        return found, outcome in ("created", "replaced")

    async def drop_rule(self, name: str) -> None:
        """Drops a rule."""
        if not await self._storage.drop_rule(requests.text("name", name)):
            raise _no_rule(name)

    async def rules(self, after: str, limit: int) -> list[LinkRule]:
        """Rules named above `after`, in byte order."""
        return await self._storage.rules(requests.text("page_token", after), limit)

    async def put(self, caller: Caller, stream: str, owner: str, policy: int) -> None:
        """Links a stream to its owner by hand."""
        for name in (stream, owner):
            requests.readable_stream_name(name)
        policy_of(policy)
        roots = await self._storage.roots([stream, owner])
        if roots.get(stream, stream) == roots.get(owner, owner):
            raise requests.invalid("owner", "must be of another line than the stream")
        await self._storage.put(stream, owner, policy, caller.writer)

    async def drop(self, stream: str, owner: str) -> None:
        """Drops a link that was put by hand."""
        for name in (stream, owner):
            requests.readable_stream_name(name)
        if not await self._storage.drop(stream, owner):
            raise Refusal(
                "LINK_NOT_FOUND",
                "there is no link by hand between the streams",
                stream=stream,
                owner=owner,
            )

    async def page(
        self, stream: str, owner: str, after: tuple[str, str, str], limit: int
    ) -> list[Link]:
        """Links of a stream or to an owner (empty: any), behind an owner, a stream and a rule."""
        named = [name for name in (stream, owner) if name]
        for name in named:
            requests.readable_stream_name(name)
        roots = await self._storage.roots(named)
        return await self._storage.page(
            roots.get(stream, stream) or None, roots.get(owner, owner) or None, after, limit
        )


class LinkFollowing:
    """Looks the log through for links, in pieces, each a transaction of its own."""

    def __init__(self, storage: LinkStorage) -> None:
        self._storage = storage
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look now and then."""
        self._task = asyncio.get_running_loop().create_task(self._now_and_then())

    async def stop(self) -> None:
        """Ends it; a piece that is under way comes to its end by itself."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_STOP_S_MAX)

    async def catch_up(self) -> None:
        """Looks through all events that are there now; LINKS_BEHIND if that takes too long, and
        then it has got on all the same.
        """
        rule_no, followed, head = 0, 0, 0
        timer = asyncio.timeout(LINKS_FOLLOW_S_MAX)
        try:
            async with timer:
                for rule_no in await self._storage.behind():
                    followed, goal = 0, None
                    while goal is None or followed < goal:
                        at, head = await self._storage.follow(rule_no, wait=True)
                        if at is None:
                            # It was dropped.
                            break
                        goal = head if goal is None else goal
                        followed = at
        except (TimeoutError, Refusal):
            # A piece that is cut short is a refusal, and comes to its end by itself.
            if not timer.expired():
                raise
            raise await self.behind(rule_no, followed, head) from None

    async def behind(self, rule_no: int, position: int, head: int) -> Refusal:
        """The refusal for a rule that has not looked the log through."""
        rules = [rule for rule in await self._storage.rules("", 1000) if rule.rule_no == rule_no]
        return Refusal(
            "LINKS_BEHIND",
            "a rule of links has not looked through the log yet",
            link_rule=rules[0].name if rules else None,
            position=position,
            head=head,
        )

    async def _now_and_then(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began, on = loop.time(), False
            try:
                for rule_no in await self._storage.behind():
                    followed, head = await self._storage.follow(rule_no, wait=False)
                    on = on or (followed is not None and followed < head)
            except Refusal as refusal:
                end_if_cancelled()
                log.info("links were not looked for: %s", refusal.reason)
            except Exception as error:  # noqa: BLE001 - what it says may quote data
                log.error("fault in looking for links: %s", type(error).__qualname__)
            # As long as the pieces took, so that half of the time is for others.
            await asyncio.sleep(loop.time() - began if on else LINKS_FOLLOW_PAUSE_S)


def policy_of(policy: int) -> int:
    """The policy, if it is one."""
    if policy not in (CASCADE, RESTRICT, DETACH):
        raise requests.invalid("policy", "is required: cascade, restrict or detach")
    return policy


def path_of(pointer: str) -> Sequence[str]:
    """The parts of a JSON pointer; `*` stays what it is."""
    requests.text("pointer", pointer)
    if len(pointer.encode()) > LINK_POINTER_BYTES_MAX:
        raise requests.invalid(
            "pointer", f"at most {LINK_POINTER_BYTES_MAX} bytes", LINK_POINTER_BYTES_MAX
        )
    if not pointer.startswith("/"):
        raise requests.invalid("pointer", "must begin with /")
    if re.search(r"~(?![01])", pointer):
        raise requests.invalid("pointer", "after ~ stands 0 or 1")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _check(said: Said) -> None:
    """Checks what a rule says, but for its pointer."""
    name = requests.text("name", said.name)
    if not 1 <= len(name.encode()) <= LINK_RULE_NAME_BYTES_MAX:
        raise requests.invalid(
            "name", f"must have 1 to {LINK_RULE_NAME_BYTES_MAX} bytes", LINK_RULE_NAME_BYTES_MAX
        )
    policy_of(said.policy)
    if said.type is not None:
        type_ = requests.text("event_type", said.type)
        if not 1 <= len(type_.encode()) <= _TYPE_BYTES_MAX:
            raise requests.invalid(
                "event_type", f"must have 1 to {_TYPE_BYTES_MAX} bytes", _TYPE_BYTES_MAX
            )
    categories = {"category": said.category, "of": said.owner_category}
    for field, category in categories.items():
        if category is not None and not _CATEGORY.fullmatch(category):
            raise requests.invalid(field, "must be 1 to 64 letters, digits or _")
    if said.category is not None and said.category == said.owner_category:
        raise requests.invalid("of", "must be another category")


def _no_rule(name: str) -> Refusal:
    return Refusal("LINK_NOT_FOUND", "there is no rule of links of this name", link_rule=name)
