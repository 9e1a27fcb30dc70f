"""What differences between schemas and stored events say about a new schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from eventfold import _core
from eventfold_server.domain.event_types.trials import Trial
from eventfold_server.errors import Refusal

# As the proto numbers what a difference means.
WIDER, NARROWER, UNDECIDED, ANNOTATION = 1, 2, 3, 4


class Asks(Enum):
    """What a new schema asks of the stored events of its type."""

    NOTHING = auto()
    # That there are none.
    NONE = auto()
    # That they fit.
    FIT = auto()


@dataclass(frozen=True)
class Verdict:
    """What the schema in force says about a new one."""

    event_type: str
    differences: Sequence[_core.SchemaDifference]
    asks: Asks
    # Whether it is put, whatever the events say.
    accepts_misfits: bool
    # Whether there is no schema in force.
    is_first: bool

    @classmethod
    def of(
        cls,
        event_type: str,
        differences: Sequence[_core.SchemaDifference] | None,
        *,
        accepts_misfits: bool,
    ) -> "Verdict":
        """Of the differences to the schema in force; None: there is none."""
        changes = {difference.change for difference in differences or ()}
        if not event_type:
            # A shared one takes effect with those that refer to it, when they are put.
            asks = Asks.NOTHING
        elif NARROWER in changes and not accepts_misfits:
            asks = Asks.NONE
        elif differences is None or changes & {NARROWER, UNDECIDED}:
            asks = Asks.FIT
        else:
            asks = Asks.NOTHING
        return cls(event_type, differences or (), asks, accepts_misfits, differences is None)

    def refusal(self, trial: Trial | None) -> Refusal | None:
        """Why the events that were tried refuse it."""
        if trial is None or self.accepts_misfits:
            return None
        if self.asks is Asks.NONE and trial.events:
            return self._narrower()
        if self.asks is Asks.FIT and trial.misfits:
            return self._misfits(trial)
        return None

    def _narrower(self) -> Refusal:
        narrower = [one for one in self.differences if one.change == NARROWER]
        return Refusal(
            "SCHEMA_INCOMPATIBLE",
            "the schema does not fit events that the one in force fits:"
            f" {_at(narrower[0].pointer, narrower[0].message)}; {_HINT}",
            type=self.event_type,
            path=narrower[0].pointer,
            problem=narrower[0].message,
            count=len(narrower),
            hint=_HINT,
        )

    def _misfits(self, trial: Trial) -> Refusal:
        first = trial.first[0]
        path = problem = None
        reason = ""
        hint = _FIRST_HINT if self.is_first else _HINT
        if first.violations:
            path, problem = first.violations[0].pointer, first.violations[0].message
            reason = f"{_at(path, problem)}; "
        return Refusal(
            "SCHEMA_INCOMPATIBLE",
            f"{trial.misfits} of {trial.events} stored events do not fit the schema:"
            f" {reason}{hint}",
            type=self.event_type,
            path=path,
            problem=problem,
            misfits=trial.misfits,
            position=first.position,
            event_id=first.event_id,
            hint=hint,
        )


def _at(pointer: str, message: str) -> str:
    """What is wrong, with its place; the pointer to the whole is empty."""
    return f"`{pointer}`: {message}" if pointer else message


_HINT = "register a new event type, and name it by replaced_by"
_FIRST_HINT = "map them to what it says, or put it with accept_misfits"
