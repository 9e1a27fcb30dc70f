"""The catalogue of one store: the schemas, mappings, modes and demands that are in force."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from eventfold import _core
from eventfold_server.storage.database import Database
from eventfold_server.storage.views import OPEN, SENT, View


class Catalogue:
    """What is in force, as far as this process knows.

    Whoever needs the newest compares the version of the rules with the one that its own statement
    has found in the store, and asks for these if it is another.
    """

    def __init__(
        self,
        database: Database,
        keyring: _core.Keyring | None = None,
        follow: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """With a keyring, reads open what is sealed. `follow` is waited for with each version
        before its rules are in force here: keys of who was fenced up to it are thrown away.
        """
        self._follow = follow
        self._database = database
        self._keyring = keyring
        self._queries = database.queries
        # Those of some moment; of the version 0, which no store has, before the first load.
        self.rules = _core.Rules(0)
        # What is in force, so that it is not compiled again: schemas by their digest, and mappings,
        # whose digest says nothing of the type, by that and the type.
        self._schemas: dict[str, _core.Schema] = {}
        self._mappings: dict[str, _core.Mapping] = {}
        # What is personal, by digest and name.
        self._personal: dict[str, _core.Personal] = {}
        # The same of rules that are in force no more.
        self._past_personal: dict[str, _core.Personal] = {}
        self._past_mappings: dict[str, _core.Mapping] = {}
        # Of the version of `rules`, what reads go by.
        self._reads = self._views(_core.ReadRules(0, []))
        self._loading: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    @property
    def declares_personal(self) -> bool:
        """Whether anything is declared personal."""
        return bool(self._personal)

    @property
    def seals(self) -> bool:
        """Whether there are keys to seal and to open by."""
        return self._keyring is not None

    @property
    def reads(self) -> _core.ReadRules:
        """What is read by whatever runs by itself."""
        return self._reads[OPEN]

    def reads_for(self, view: View) -> _core.ReadRules:
        """What somebody reads by."""
        return self._reads[view]

    def declares(self, categories: Sequence[str] | None) -> bool:
        """Whether something can be personal in events of categories; None: of any."""
        return self.rules.declares(categories)

    async def note_carried(self, marks: Collection[tuple[str, str]]) -> None:
        """Has values be personal that come into events of categories sealed, whatever the rules
        say: pairs of a category and a pointer. The rules say so from then on.
        """
        if marks:
            categories, pointers = zip(*marks, strict=True)
            await self._database.write(
                self._queries["note_carried"], list(categories), list(pointers)
            )
            await self.load()

    @property
    def personal(self) -> Collection[_core.Personal]:
        """What is declared personal."""
        return self._personal.values()

    @property
    def epoch(self) -> int:
        """Goes up whenever keys are taken out of memory: what was opened before may not be used."""
        return 0 if self._keyring is None else self._keyring.epoch

    async def at_least(self, version: int) -> _core.Rules:
        """The rules of a version that a statement has found in the store, or newer ones.

        Rules of a later version are read anew too: a store that was restored has gone back.
        """
        if self.rules.version != version:
            await self.load()
        return self.rules

    async def load(self) -> None:
        """Reads what is in force now; who asks at the same time shares it."""
        if self._next is None:
            # One that is under way may have looked before the caller did.
            self._next = asyncio.create_task(self._load_behind(self._loading))
            # Everybody who asked may have left.
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._next)

    async def _load_behind(self, other: asyncio.Task[None] | None) -> None:
        if other is not None:
            await asyncio.wait({other})
        self._loading, self._next = self._next, None
        async with self._database.reading() as connection:
            rows = await connection.fetch(
                self._queries["catalogue"],
                list(self._schemas),
                [*self._mappings, *self._past_mappings],
                [*self._personal, *self._past_personal],
            )
        # Large documents take up to a second; all are compiled here, and not at the first append.
        compiled = await asyncio.to_thread(self._compiled, rows)
        if self._follow is not None:
            await self._follow(compiled[0].version)
        self.rules, self._reads = compiled

    def _compiled(self, rows: list[Any]) -> tuple[_core.Rules, dict[View, _core.ReadRules]]:
        """Rules of all that is in force."""
        of_kind: dict[str | None, list[Any]] = {}
        for row in rows:
            of_kind.setdefault(row["kind"], []).append(row)
        schemas = of_kind.get("schema", [])
        self._schemas = {row["digest"]: self._schema(row) for row in schemas}
        known_mappings = self._past_mappings | self._mappings
        self._mappings = _mappings(of_kind.get("mapping", []), known_mappings)
        self._past_mappings = _mappings(of_kind.get("past_mapping", []), known_mappings)
        known_personal = self._past_personal | self._personal
        self._personal = _personal(of_kind, "", known_personal)
        self._past_personal = _personal(of_kind, "past_", known_personal)
        version: int = rows[0]["version"]
        known = self._schemas
        rules = _core.Rules(
            version,
            schemas=[(row["name"], row["revision"], known[row["digest"]]) for row in schemas],
            type_modes=_modes(of_kind.get("type_mode", [])),
            category_modes=_modes(of_kind.get("category_mode", [])),
            mappings=list(self._mappings.values()),
            enforced_references=[row["name"] for row in of_kind.get("references", [])],
            personal=list(self._personal.values()),
            past_personal=list(self._past_personal.values()),
            carried=[(row["name"], row["source"]) for row in of_kind.get("carried", [])],
            past_mappings=list(self._past_mappings.values()),
        )
        return rules, self._views(_core.ReadRules(version, list(self._mappings.values())))

    def _views(self, mapped: _core.ReadRules) -> dict[View, _core.ReadRules]:
        """What all views are read by."""
        views, declared = {}, list(self._personal.values())
        for raw, reads in ((False, mapped), (True, mapped.unmapped())):
            for personal in (False, True):
                shown = reads
                if self._keyring is not None:
                    shown = reads.with_keys(self._keyring, declared, open=personal)
                views[View(raw, personal)] = shown
        views[SENT] = mapped.unmapped()
        if self._keyring is not None:
            views[SENT] = views[SENT].with_keys(self._keyring, [], open=True)
        return views

    def _schema(self, row: Any) -> _core.Schema:
        known = self._schemas.get(row["digest"])
        if known is not None:
            return known
        resources = list(zip(row["resource_ids"], row["resources"], strict=True))
        return _core.Schema.stored(row["source"], resources, row["formats"])


def _mappings(rows: list[Any], known: dict[str, _core.Mapping]) -> dict[str, _core.Mapping]:
    """Mappings by digest and type."""
    return {
        row["known_as"]: known.get(row["known_as"])
        or _core.Mapping.stored(row["name"], row["digest"], row["source"])
        for row in rows
    }


def _personal(
    of_kind: dict[str | None, list[Any]], prefix: str, known: dict[str, _core.Personal]
) -> dict[str, _core.Personal]:
    """What event types and categories declare, by digest and name."""
    found = {}
    for kind, named in (("personal", "event_type"), ("personal_category", "category")):
        for row in of_kind.get(prefix + kind, []):
            known_as = row["known_as"]
            found[known_as] = known.get(known_as) or _core.Personal.stored(
                row["source"], **{named: row["name"]}
            )
    return found


def _modes(rows: list[Any]) -> dict[str, int]:
    return {row["name"]: row["mode"] for row in rows}
