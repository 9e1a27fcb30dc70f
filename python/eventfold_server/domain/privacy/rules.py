"""Privacy rules: put in force, checked, found, dropped."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain import requests
from eventfold_server.domain.event_types.putting import Putting
from eventfold_server.domain.event_types.said import check_event_type
from eventfold_server.domain.event_types.trials import Misfit, Progress, Trial, Trials, progress
from eventfold_server.domain.folding import in_thread
from eventfold_server.domain.privacy.declaring import Declaration, attempt, declared_twice
from eventfold_server.domain.privacy.warnings import PrivacyWarning, Warnings
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.event_types import Change, EventTypeStorage
from eventfold_server.storage.privacy import DOCUMENT, SCHEMA, PrivacyRulesRow, PrivacyStorage

# What the domain knows of rules is their row.
Rules = PrivacyRulesRow


@dataclass(frozen=True)
class RulesPut:
    """What became of a put."""

    rules: Rules
    # Whether they are a new revision.
    created: bool
    warnings: Sequence[PrivacyWarning]
    progress: Progress


@dataclass(frozen=True)
class RulesChecked:
    """What a put would come to."""

    # The first events with plaintext.
    first: Sequence[Misfit]
    warnings: Sequence[PrivacyWarning]
    refused: Refusal | None
    progress: Progress


@dataclass
class RulesCandidate:
    """Rules that are to be put in force; see `Candidate`."""

    declaration: Declaration
    trial: Trial
    by: str

    def refusal(self) -> Refusal | None:
        """Why they cannot be put in force."""
        return self.declaration.refusal()

    async def holds(self, change: Change) -> bool:
        """Whether they take the place of the same ones still."""
        personal = self.declaration.personal
        before = await change.privacy(personal.event_type, personal.category)
        return before == self.declaration.before

    async def store(self, change: Change) -> Rules:
        """Stores them as the next revision."""
        declaration = self.declaration
        return await change.put_privacy(declaration.new(), declaration.found.plaintext, self.by)


class PrivacyRules:
    """The privacy rules of one store."""

    def __init__(
        self,
        storage: PrivacyStorage,
        changes: EventTypeStorage,
        trials: Trials,
        warnings: Warnings,
        *,
        has_keys: bool,
    ) -> None:
        """`has_keys`: whether there is a master key, without which nothing is declared personal."""
        self._storage = storage
        self._changes = changes
        self._trials = trials
        self._putting = Putting(changes, trials)
        self._warnings = warnings
        self._has_keys = has_keys

    async def put(
        self, caller: Caller, source: str, *, accepts_plaintext: bool, undeclares: bool
    ) -> AsyncGenerator[Progress | RulesPut]:
        """Puts rules in force. Tells how far that is, and at the end what became of it.

        INVALID_PRIVACY_RULES and its kin, PLAINTEXT_STORED, PRIVACY_DECLARED_TWICE,
        PERSONAL_UNDECLARED, KEYS_NOT_CONFIGURED.
        """
        personal = await _read(source)
        head = await self._trials.head()
        while True:
            declaration = await self._declaration(personal, source)
            declaration.accepts_plaintext = accepts_plaintext
            declaration.undeclares = undeclares
            if (refusal := declaration.refusal()) is not None:
                raise refusal
            if declaration.is_in_force():
                assert declaration.before is not None
                yield RulesPut(declaration.before, False, (), progress(None, head))
                return
            trial = self._trial(declaration)
            candidate = RulesCandidate(declaration, trial, caller.writer)
            async with aclosing(self._putting.put(candidate, head)) as steps:
                async for step in steps:
                    if isinstance(step, Progress):
                        yield step
                        continue
                    warnings = await self._warnings.of(declaration)
                    yield RulesPut(step.row, True, warnings, progress(trial, head))
                    return

    async def check(self, source: str, events_max: int) -> AsyncGenerator[Progress | RulesChecked]:
        """Tries all stored events; at the end, what a put would come to."""
        personal = await _read(source)
        declaration = await self._declaration(personal, source)
        declaration.first_max = events_max
        head = await self._trials.head()
        async with self._trials.checks:
            trial = self._trial(declaration)
            async with aclosing(trial.go_on(head)) as steps:
                async for _ in steps:
                    yield progress(trial, head)
        yield RulesChecked(
            declaration.found.first,
            await self._warnings.of(declaration),
            declaration.refusal(),
            progress(trial, head),
        )

    async def get(self, event_type: str | None, category: str | None, revision: int) -> Rules:
        """A revision of the rules of the event type, or if that is None of the category; 0: those
        in force.
        """
        _check_names(event_type)
        found = await self._storage.rules(event_type, category, revision)
        if found is None:
            raise _not_found(event_type, category, revision)
        return found

    async def page(
        self, after_type: str | None, after_category: str, size: int
    ) -> tuple[list[Rules], bool]:
        """Rules in force: of event types behind `after_type` (None: of none), then of categories
        behind `after_category`; and whether there are more.
        """
        return await self._storage.page(after_type, after_category, size)

    async def drop(self, event_type: str | None, category: str | None) -> None:
        """Takes rules out of force."""
        _check_names(event_type)
        async with self._changes.changing() as change:
            before = await change.privacy(event_type, category)
            if before is None:
                raise _not_found(event_type, category, 0)
            if before.origin == SCHEMA:
                raise declared_twice(before)
            await change.drop_privacy(event_type, category)
            await change.commit()

    async def _declaration(self, personal: _core.Personal, source: str) -> Declaration:
        before = await self._storage.rules(personal.event_type, personal.category)
        return Declaration(personal, source, DOCUMENT, before, has_keys=self._has_keys)

    def _trial(self, declaration: Declaration) -> Trial:
        personal = declaration.personal
        return self._trials.trial(
            personal.event_type or "", attempt(declaration), category=personal.category
        )


async def _read(source: str) -> _core.Personal:
    requests.text("source", source)
    try:
        return await in_thread(None, _core.Personal, source)
    except _core.CoreError as error:
        raise Refusal.of_core(error) from None


def _check_names(event_type: str | None) -> None:
    if event_type is not None:
        check_event_type(event_type)


def _not_found(event_type: str | None, category: str | None, revision: int) -> Refusal:
    return Refusal(
        "PRIVACY_RULES_NOT_FOUND",
        "there are no such privacy rules" + (" in this revision" if revision else " in force"),
        type=event_type,
        category=category,
        revision=revision or None,
    )
