"""Statements on what is known of event types: schemas, mappings, and what was said of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from eventfold import _core
from eventfold_server.limits import PAGE_BYTES, TRIAL_PAGE_BYTES
from eventfold_server.storage.database import Database
from eventfold_server.storage.privacy import NewPrivacyRules, PrivacyRulesRow, of, rules_row
from eventfold_server.storage.queries import Queries
from eventfold_server.storage.transaction import Transaction

Row = TypeVar("Row")

# Of small events in a page: the statement looks at so many to find where the page ends.
_PAGE_EVENTS = 500


@dataclass(frozen=True)
class NewSchema:
    """A schema that is to be put; drafts are numbered as in the proto."""

    # None: it is shared.
    type: str | None
    # Its `$id`; None: none.
    schema_id: str | None
    digest: str
    source: str
    # Ids and documents of all that it refers to.
    resources: Sequence[tuple[str, str]]
    draft: int
    formats: bool


@dataclass(frozen=True)
class SchemaRow:
    """A revision of a schema."""

    type: str | None
    schema_id: str | None
    revision: int
    digest: str
    source: str
    resource_ids: Sequence[str]
    # Empty in pages.
    resources: Sequence[str]
    draft: int
    formats: bool
    accepted_misfits: int
    put_at: datetime
    put_by: str


@dataclass(frozen=True)
class MappingRow:
    """A revision of a mapping."""

    type: str
    revision: int
    digest: str
    source: str
    put_at: datetime
    put_by: str


@dataclass(frozen=True)
class Said:
    """What was said of an event type; modes are numbered as in the proto."""

    description: str = ""
    # None: nothing is written instead.
    replaced_by: str | None = None
    schema_mode: int = 0
    refs_mode: int = 0


@dataclass(frozen=True)
class EventTypeRow:
    """What was said of an event type, and what is in force."""

    type: str
    said: Said
    # Types that are replaced by it.
    replaces: Sequence[str]
    # Revision and digest; None: none is in force.
    schema: tuple[int, str] | None
    mapping: tuple[int, str] | None
    # Pointers of personal fields.
    personal: Sequence[str]


class Change:
    """A change of the catalogue, before it is committed: nobody else changes it, and no event is
    stored meanwhile.
    """

    def __init__(self, transaction: Transaction, queries: Queries) -> None:
        self._transaction = transaction
        self._queries = queries
        # Of the log.
        self.head = 0

    async def begin(self) -> None:
        """Waits until nobody else changes it."""
        [row] = await self._fetch("lock_catalogue")
        self.head = row["position"]

    async def commit(self) -> None:
        """Puts it in force."""
        await self._transaction.commit()

    async def events_behind(self, event_type: str, position: int) -> _core.Batch:
        """The first events of a type behind a position, about a page; an empty one is the last.

        On the connection of the change: there may be no other, while appends wait for it.
        """
        [columns] = await self._fetch(
            "type_behind", event_type, position, self.head, TRIAL_PAGE_BYTES, _PAGE_EVENTS
        )
        return _core.Batch(columns)

    async def schema(self, event_type: str | None, schema_id: str | None) -> SchemaRow | None:
        """The schema of the event type, or if that is None the shared one."""
        return _schema(await self._fetch(*_newest(event_type, schema_id)))

    async def mapping(self, event_type: str) -> MappingRow | None:
        """The mapping in force."""
        return _mapping(await self._fetch("mapping", event_type, 0))

    async def put_schema(
        self, new: NewSchema, revision: int, accepted_misfits: int, by: str
    ) -> SchemaRow:
        """Puts a revision of a schema."""
        ids = [resource_id for resource_id, _ in new.resources]
        sources = [source for _, source in new.resources]
        [row] = await self._fetch(
            "put_schema", new.type, new.schema_id, revision, new.digest, new.source, ids, sources,
            new.draft, new.formats, accepted_misfits, by, await self._changed(),
        )  # fmt: skip
        return SchemaRow(
            type=new.type,
            schema_id=new.schema_id,
            revision=revision,
            digest=new.digest,
            source=new.source,
            resource_ids=ids,
            resources=sources,
            draft=new.draft,
            formats=new.formats,
            accepted_misfits=accepted_misfits,
            put_at=row["put_at"],
            put_by=by,
        )

    async def put_mapping(self, event_type: str, digest: str, source: str, by: str) -> MappingRow:
        """Puts the next revision of a mapping, in place of the one before."""
        version = await self._changed()
        await self._fetch("drop_mapping", event_type, version)
        [row] = await self._fetch("put_mapping", event_type, digest, source, by, version)
        return MappingRow(event_type, row["revision"], digest, source, row["put_at"], by)

    async def drop_mapping(self, event_type: str) -> None:
        """Takes a mapping out of force."""
        await self._fetch("drop_mapping", event_type, await self._changed())

    async def events_of_category_behind(self, category: str, position: int) -> _core.Batch:
        """As `events_behind`, of a category."""
        [columns] = await self._fetch(
            "category_behind", category, position, self.head, TRIAL_PAGE_BYTES, _PAGE_EVENTS
        )
        return _core.Batch(columns)

    async def privacy(self, event_type: str | None, category: str | None) -> PrivacyRulesRow | None:
        """The privacy rules in force of the event type, or if that is None of the category."""
        query, name = of(event_type, category)
        return rules_row(await self._fetch(query, name, 0))

    async def put_privacy(
        self, new: NewPrivacyRules, plaintext_events: int, by: str
    ) -> PrivacyRulesRow:
        """Puts the next revision of privacy rules, in place of the one before."""
        version = await self._changed()
        await self._fetch("drop_privacy", new.type, new.category, version)
        await self._fetch("forget_examples")
        until = self.head if plaintext_events else 0
        [row] = await self._fetch(
            "put_privacy", new.type, new.category, new.digest, new.source, new.normal_form,
            new.origin, new.pointers, plaintext_events, until, by, version,
        )  # fmt: skip
        return PrivacyRulesRow(
            type=new.type,
            category=new.category,
            revision=row["revision"],
            digest=new.digest,
            source=new.source,
            normal_form=new.normal_form,
            origin=new.origin,
            plaintext_events=plaintext_events,
            plaintext_until=until,
            put_at=row["put_at"],
            put_by=by,
            in_force=True,
        )

    async def drop_privacy(self, event_type: str | None, category: str | None) -> None:
        """Takes privacy rules out of force."""
        await self._fetch("drop_privacy", event_type, category, await self._changed())

    async def said(self, event_type: str) -> Said:
        """What was said of an event type."""
        rows = await self._fetch("event_type_said", event_type)
        return Said(**rows[0]) if rows else Said()

    async def replacements(self, event_type: str, up_to: str) -> list[str]:
        """The event type, what it is replaced by, and so on until `up_to` if that is reached."""
        return [row["type"] for row in await self._fetch("replacements", event_type, up_to)]

    async def say(self, event_type: str, said: Said, by: str, *, of_rules: bool) -> None:
        """Says it anew; `of_rules`: appends are to be checked again."""
        if said == Said():
            await self._fetch("forget_event_type", event_type)
        else:
            await self._fetch(
                "put_event_type", event_type, said.description, said.replaced_by,
                said.schema_mode, said.refs_mode, by,
            )  # fmt: skip
        if of_rules:
            await self._changed()

    async def put_category(self, category: str, schema_mode: int) -> None:
        """Says what becomes of its events; 0 takes back what was said."""
        if schema_mode:
            await self._fetch("put_category", category, schema_mode)
        else:
            await self._fetch("forget_category", category)
        await self._changed()

    async def _changed(self) -> int:
        """The version of the catalogue that this leaves behind."""
        [row] = await self._fetch("catalogue_changed")
        return int(row[0])

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        return await self._transaction.fetch(self._queries[query], *arguments)


class EventTypeStorage:
    """What is known of the event types of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = database.queries
        # One change of this process at a time: those that wait would have all the connections, and
        # the one that they wait for needs some to try events.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Change]:
        """A change of the catalogue, which its `commit` puts in force."""
        async with self._turn, self._database.changing() as transaction:
            change = Change(transaction, self._queries)
            await change.begin()
            yield change

    async def schema(
        self, event_type: str | None, schema_id: str | None, revision: int = 0
    ) -> SchemaRow | None:
        """A revision of the schema of the event type, or if that is None of the shared one; 0 is
        the newest.
        """
        return _schema(await self._fetch(*_newest(event_type, schema_id)[:2], revision))

    async def shared_sources(self, ids: Sequence[str]) -> dict[str, str]:
        """The newest documents of those shared schemas that there are, by id."""
        rows = await self._fetch("shared_sources", ids)
        return {row["schema_id"]: row["source"] for row in rows}

    async def schemas(
        self, after_type: str | None, after_id: str, size: int
    ) -> tuple[list[SchemaRow], bool]:
        """Newest revisions: of event types behind `after_type` (None: of none), then of shared ones
        behind `after_id`; a page, and whether there are more.
        """
        rows = await self._fetch("schemas_page", after_type, after_id, size + 1, PAGE_BYTES)
        return _page(SchemaRow, rows, size)

    async def mapping(self, event_type: str, revision: int = 0) -> MappingRow | None:
        """A revision of a mapping; 0 is the one in force."""
        return _mapping(await self._fetch("mapping", event_type, revision))

    async def privacy(self, event_type: str) -> PrivacyRulesRow | None:
        """The privacy rules in force."""
        return rules_row(await self._fetch("type_privacy", event_type, 0))

    async def may_be_personal(self, event_type: str) -> bool:
        """Whether values of events of a type can be personal: the type has privacy rules, or a
        category as a whole has, where any type may stand.
        """
        if await self.privacy(event_type) is not None:
            return True
        [row] = await self._fetch("any_category_privacy")
        return bool(row["exists"])

    async def mappings(self, after: str, size: int) -> tuple[list[MappingRow], bool]:
        """Mappings in force of the types behind `after`; a page, and whether there are more."""
        rows = await self._fetch("mappings_page", after, size + 1, PAGE_BYTES)
        return _page(MappingRow, rows, size)

    async def event_type(self, event_type: str) -> EventTypeRow:
        """What is known of an event type, of which nothing may be known."""
        [row] = await self._fetch("event_type", event_type)
        return event_type_row(row)

    async def categories(self, after: str, limit: int) -> list[tuple[str, int]]:
        """Categories behind `after`, in byte order, with their modes."""
        rows = await self._fetch("category_modes_page", after, limit)
        return [(row["category"], row["schema_mode"]) for row in rows]

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        async with self._database.reading() as connection:
            return await connection.fetch(self._queries[query], *arguments)


def _page(kind: Callable[..., Row], rows: list[Any], size: int) -> tuple[list[Row], bool]:
    """The rows of a page, which fewer may fill than there are, and whether there are more."""
    page, found = [], 0
    for row in rows[:size]:
        fields = dict(row)
        found = fields.pop("found")
        page.append(kind(**fields))
    return page, found > len(page)


def _newest(event_type: str | None, schema_id: str | None) -> tuple[str, str | None, int]:
    """The statement that finds a schema, and its arguments."""
    if event_type is None:
        return "shared_schema", schema_id, 0
    return "type_schema", event_type, 0


def _schema(rows: list[Any]) -> SchemaRow | None:
    return SchemaRow(**rows[0]) if rows else None


def _mapping(rows: list[Any]) -> MappingRow | None:
    return MappingRow(**rows[0]) if rows else None


def event_type_row(row: Any) -> EventTypeRow:
    """What a row of a statement says of an event type."""
    said = Said(
        row["description"] or "",
        row["replaced_by"],
        row["schema_mode"] or 0,
        row["refs_mode"] or 0,
    )
    schema, mapping = row["schema_revision"], row["mapping_revision"]
    return EventTypeRow(
        type=row["type"],
        said=said,
        replaces=row["replaces"],
        schema=None if schema is None else (schema, row["schema_digest"]),
        mapping=None if mapping is None else (mapping, row["mapping_digest"]),
        personal=row["personal"] or (),
    )
