"""Statements on links between streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eventfold_server.limits import LINKS_FOLLOW_EVENTS
from eventfold_server.storage.database import Database


@dataclass(frozen=True)
class LinkRuleRow:
    """A rule that links follow from, and how far it is; policies are numbered as in the proto."""

    rule_no: int
    name: str
    # Of a rule of events; None: it is of a category.
    type: str | None
    pointer: str | None
    # Of a rule of categories.
    category: str | None
    # None: a whole stream name stands in the data.
    owner_category: str | None
    policy: int
    position: int
    unreadable: int
    put_at: datetime
    put_by: str
    head: int


@dataclass(frozen=True)
class LinkRow:
    """That a stream belongs to another."""

    stream: str
    owner: str
    # Empty: it was put by hand.
    rule: str
    policy: int
    position: int
    put_at: datetime
    put_by: str


class LinkStorage:
    """The links of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def put_rule(
        self,
        name: str,
        *,
        type_: str | None,
        pointer: str | None,
        path: Sequence[str] | None,
        category: str | None,
        owner_category: str | None,
        policy: int,
        by: str,
    ) -> str:
        """Stores a rule: `created`, `same`, `changed` (the policy), or `replaced`."""
        [row] = await self._database.write(
            self._queries["put_link_rule"],
            name, type_, pointer, path, category, owner_category, policy, by,
        )  # fmt: skip
        return str(row["outcome"])

    async def drop_rule(self, name: str) -> bool:
        """Drops a rule and what followed from it; False: there is none."""
        [row] = await self._database.write(self._queries["drop_link_rule"], name)
        return bool(row["dropped"])

    async def rule(self, name: str) -> LinkRuleRow | None:
        """The rule of a name."""
        rows = await self._fetch("link_rule", name)
        return LinkRuleRow(**rows[0]) if rows else None

    async def rules(self, after: str, limit: int) -> list[LinkRuleRow]:
        """Rules named above `after`, in byte order."""
        return [LinkRuleRow(**row) for row in await self._fetch("link_rules_page", after, limit)]

    async def behind(self) -> list[int]:
        """Numbers of the rules that have not looked through all events."""
        return [row["rule_no"] for row in await self._fetch("link_rules_behind")]

    async def follow(self, rule_no: int, *, wait: bool) -> tuple[int | None, int]:
        """Looks the next events through for a rule; up to which position, and the head of the log.
        The first is None if there is no such rule, or another process is at it, unless `wait`.
        """
        [row] = await self._database.write(
            self._queries["follow_links"], rule_no, LINKS_FOLLOW_EVENTS, wait
        )
        return row["followed"], row["head"]

    async def put(self, stream: str, owner: str, policy: int, by: str) -> None:
        """Links a stream to its owner by hand."""
        await self._database.write(self._queries["put_link"], stream, owner, policy, by)

    async def drop(self, stream: str, owner: str) -> bool:
        """Drops such a link; False: there is none."""
        return bool(await self._database.write(self._queries["drop_link"], stream, owner))

    async def roots(self, names: Sequence[str]) -> dict[str, str]:
        """By name the first stream of the line, of those that are there."""
        return {row["name"]: row["root"] for row in await self._fetch("roots_of", list(names))}

    async def page(
        self, stream: str | None, owner: str | None, after: tuple[str, str, str], limit: int
    ) -> list[LinkRow]:
        """Links of a stream or to an owner, behind an owner, a stream and a rule."""
        rows = await self._fetch("links_page", stream, owner, *after, limit)
        return [LinkRow(**row) for row in rows]

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)
