"""Reads under the rules that are in force when they begin."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from eventfold import _core
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.views import OPEN, View

Read = TypeVar("Read")


class MappedReads:
    """Begins reads anew that went by older rules than the store has."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._catalogue = catalogue

    @property
    def rules(self) -> _core.ReadRules:
        """What reads go by that begin now, with what is sealed opened; see `seen`."""
        return self._catalogue.reads

    def rules_for(self, view: View) -> _core.ReadRules:
        """The same for somebody's reads."""
        return self._catalogue.reads_for(view)

    @property
    def personal(self) -> Collection[_core.Personal]:
        """What is declared personal, as far as this process knows."""
        return self._catalogue.personal

    @property
    def epoch(self) -> int:
        """Goes up whenever keys are taken out of memory: what was opened before may not be used."""
        return self._catalogue.epoch

    async def head(self) -> int:
        """Position of the newest event, 0: none; with it a read begins, as with `seen`."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(self._database.queries["log_head"])
        assert row is not None
        await self.seen(row["catalogue_version"])
        return int(row["position"])

    async def seen(self, version: int) -> None:
        """Has `rules` be of a version of the catalogue at least that a statement has found in the
        store: with it a read begins.
        """
        await self._catalogue.at_least(version)

    async def begin(
        self, read: Callable[[_core.ReadRules], Awaitable[Read]], view: View = OPEN
    ) -> Read:
        """What is read, in a way that tells whether the rules are those of the store."""
        rules = self.rules_for(view)
        while True:
            try:
                return await read(rules)
            except _core.StaleRules as stale:
                await self.seen(stale.catalogue_version)
                rules = self.rules_for(view)
                if stale.catalogue_version < rules.version:
                    # The store has not gone back; the statement was there before the change.
                    rules = rules.that_may_be_newer()

    def events_at(
        self,
        positions: Sequence[int],
        view: View,
        *,
        encoded: bool = True,
        change: Callable[[_core.ReadRules], _core.ReadRules] | None = None,
    ) -> AsyncGenerator[_core.Page]:
        """The events at positions, which stand in order, encoded or as batches. `change`: what
        becomes of the rules in force.
        """
        return self.pages(
            self._database.queries["events_at"],
            positions,
            positions[0],
            positions[-1],
            len(positions),
            order="positions",
            page_bytes=PAGE_BYTES,
            encoded=encoded,
            view=view,
            change=change,
        )

    async def pages(
        self,
        sql: str,
        *arguments: object,
        view: View,
        change: Callable[[_core.ReadRules], _core.ReadRules] | None = None,
        **more: Any,
    ) -> AsyncGenerator[_core.Page]:
        """The pages of a range whose statement tells the version of the catalogue; see
        `_core.Reader.pages`.
        """
        events = self._database.events

        async def first(rules: _core.ReadRules) -> tuple[_core.Pages, list[_core.Page]]:
            if change is not None:
                rules = change(rules)
            pages = events.begin(sql, *arguments, rules=rules, **more)
            return pages, [await events.next(pages)]

        pages, held = await self.begin(first, view)
        while True:
            done = held[0].done
            # Not held while the caller has it, who may wait for a slow client.
            yield held.pop()
            if done:
                return
            held.append(await events.next(pages))
