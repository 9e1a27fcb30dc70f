"""Statements on privacy rules: which values of events are personal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eventfold import _core
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.storage.database import Database

# What declares rules.
DOCUMENT, SCHEMA = 1, 2


@dataclass(frozen=True)
class NewPrivacyRules:
    """Rules that are to be put."""

    # Of one of both.
    type: str | None
    category: str | None
    digest: str
    source: str
    normal_form: str
    origin: int
    pointers: Sequence[str]


@dataclass(frozen=True)
class PrivacyRulesRow:
    """A revision of rules."""

    type: str | None
    category: str | None
    revision: int
    digest: str
    source: str
    normal_form: str
    origin: int
    # Stored events with plaintext when they were put, and the head of the log then, if any.
    plaintext_events: int
    plaintext_until: int
    put_at: datetime
    put_by: str
    in_force: bool

    def personal(self) -> _core.Personal:
        """What they say."""
        return _core.Personal.stored(self.normal_form, event_type=self.type, category=self.category)


class PrivacyStorage:
    """The privacy rules of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries

    async def rules(
        self, event_type: str | None, category: str | None, revision: int = 0
    ) -> PrivacyRulesRow | None:
        """A revision of the rules of the event type, or if that is None of the category; 0: those
        in force.
        """
        query, name = of(event_type, category)
        return rules_row(await self._fetch(query, name, revision))

    async def page(
        self, after_type: str | None, after_category: str, size: int
    ) -> tuple[list[PrivacyRulesRow], bool]:
        """Rules in force: of event types behind `after_type` (None: of none), then of categories
        behind `after_category`; a page, and whether there are more.
        """
        rows = await self._fetch("privacy_page", after_type, after_category, size + 1, PAGE_BYTES)
        page, found = [], 0
        for row in rows[:size]:
            fields = dict(row)
            found = fields.pop("found")
            page.append(PrivacyRulesRow(**fields))
        return page, found > len(page)

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)


def of(event_type: str | None, category: str | None) -> tuple[str, str]:
    """The statement that finds rules, and the name that it looks for."""
    if event_type is None:
        return "category_privacy", category or ""
    return "type_privacy", event_type


def rules_row(rows: list[Any]) -> PrivacyRulesRow | None:
    """What the rows of a statement say."""
    return PrivacyRulesRow(**rows[0]) if rows else None
