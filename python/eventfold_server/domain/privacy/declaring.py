"""What is to be declared personal, and what stored events say of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from eventfold import _core
from eventfold_server.domain.event_types.trials import Attempt, Misfit, Tried
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import MISFITS_DEFAULT
from eventfold_server.storage.privacy import DOCUMENT, SCHEMA, NewPrivacyRules, PrivacyRulesRow

_ORIGINS = {DOCUMENT: "document", SCHEMA: "schema"}
_HINT = (
    "copy these events into new streams and delete the old ones, or say that their plaintext is"
    " known"
)


@dataclass
class Found:
    """What stored events said so far."""

    plaintext: int = 0
    # Of fields that were not declared before.
    undeclared: int = 0
    # The first of the latter.
    first: list[Misfit] = field(default_factory=list)
    tagged: int = 0
    with_metadata: int = 0
    personal_names: int = 0
    subjectless: int = 0


@dataclass
class Declaration:
    """Rules that are to be put in force."""

    personal: _core.Personal
    # As it came in.
    source: str
    origin: int
    # Those in force.
    before: PrivacyRulesRow | None
    # Whether it is known that stored events hold plaintext.
    accepts_plaintext: bool = False
    # Whether fields may be personal no more.
    undeclares: bool = False
    # Whether the server has keys to seal later values with.
    has_keys: bool = True
    first_max: int = MISFITS_DEFAULT
    found: Found = field(default_factory=Found)

    def is_in_force(self) -> bool:
        """Whether the same rules are in force."""
        before = self.before
        return before is not None and before.digest == self.personal.digest

    def refusal(self) -> Refusal | None:
        """Why they cannot be put in force, as far as stored events were tried."""
        if self.before is not None and self.before.origin != self.origin:
            return declared_twice(self.before)
        return self._undeclared() or self._without_keys() or self._plaintext()

    def look(self, batch: _core.Batch) -> _core.PersonalTrial:
        """Notes what a page of events says."""
        found = self.found
        known = None if self.before is None else self.before.personal()
        room = self.first_max - len(found.first)
        trial = self.personal.try_batch(batch, known, room)
        found.plaintext += trial.plaintext
        found.undeclared += trial.undeclared
        found.first += [Misfit(*event, (), None) for event in trial.first]
        found.tagged += trial.tagged
        found.with_metadata += trial.with_metadata
        found.personal_names += trial.personal_names
        found.subjectless += trial.subjectless
        return trial

    def new(self) -> NewPrivacyRules:
        """What is stored."""
        return NewPrivacyRules(
            type=self.personal.event_type,
            category=self.personal.category,
            digest=self.personal.digest,
            source=self.source,
            normal_form=self.personal.normal_form,
            origin=self.origin,
            pointers=pointers(self.personal),
        )

    def _undeclared(self) -> Refusal | None:
        if self.before is None or self.undeclares:
            return None
        return undeclared(self.before, pointers(self.personal))

    def _without_keys(self) -> Refusal | None:
        if self.has_keys or self.is_in_force():
            return None
        return Refusal(
            "KEYS_NOT_CONFIGURED",
            "the server has no master key: nothing could be sealed that is declared personal",
        )

    def _plaintext(self) -> Refusal | None:
        if self.accepts_plaintext or not self.found.undeclared:
            return None
        positions = ",".join(str(one.position) for one in self.found.first[:MISFITS_DEFAULT])
        return Refusal(
            "PLAINTEXT_STORED",
            f"{self.found.undeclared} stored events hold plaintext of what would be personal;"
            f" {_HINT}",
            type=self.personal.event_type,
            category=self.personal.category,
            count=self.found.undeclared,
            positions=positions,
        )


def attempt(declaration: Declaration) -> Attempt:
    """Tries whether stored events hold plaintext."""

    def looks(batch: _core.Batch, _room: int) -> Tried:
        before = len(declaration.found.first)
        trial = declaration.look(batch)
        return Tried(trial.events, trial.undeclared, 0, declaration.found.first[before:])

    return looks


def beside(declaration: Declaration, other: Attempt | None) -> Attempt:
    """The same while something else is tried on the same events, whose misfits count; None: there
    is nothing else, and no misfits.
    """

    def both(batch: _core.Batch, room: int) -> Tried:
        trial = declaration.look(batch)
        return Tried(trial.events, 0, 0, ()) if other is None else other(batch, room)

    return both


def pointers(personal: _core.Personal) -> list[str]:
    """Those of the fields."""
    return [pointer for pointer, *_ in personal.fields]


def undeclared(before: PrivacyRulesRow, now: Sequence[str]) -> Refusal | None:
    """The refusal of taking fields out that are declared."""
    missing = sorted(set(pointers(before.personal())) - set(now))
    if not missing:
        return None
    return Refusal(
        "PERSONAL_UNDECLARED",
        f"`{missing[0]}` is personal and would not be any more: later values would be stored as"
        " plaintext; say so by undeclare",
        type=before.type,
        category=before.category,
        pointer=missing[0],
        count=len(missing),
    )


def declared_twice(before: PrivacyRulesRow) -> Refusal:
    """The refusal of rules of a type whose personal fields are declared elsewhere."""
    origin = _ORIGINS[before.origin]
    return Refusal(
        "PRIVACY_DECLARED_TWICE",
        f"the personal fields of the type are declared by a {origin}; it has to go first",
        type=before.type,
        origin=origin,
        revision=before.revision,
    )


def check_sight(caller: Caller, *, is_personal: bool, method: str) -> None:
    """PERMISSION_DENIED, if stored events of which some values are personal may not be tried."""
    if not is_personal or caller.personal:
        return
    raise Refusal(
        "PERMISSION_DENIED",
        "stored events of the type may have personal values: trying them needs the permission"
        " personal",
        permission="personal",
        method=method,
    )
