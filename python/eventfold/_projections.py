"""Projections and their generations, as the calls on them return them."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from google.rpc import status_pb2

from eventfold._errors import EventfoldError
from eventfold._failures import error_from_status
from eventfold._generated.errors import ProjectionNotFound, ProjectionStopped
from eventfold._time import from_timestamp, time_of
from eventfold.v1 import projections_pb2 as pb

SwitchWhen = Literal["when verified", "when caught up", "by hand", "unknown"]
"""When a new generation takes the place of the active one."""

GenerationState = Literal["building", "ready", "active", "standby", "unknown"]
"""What a generation is: not caught up yet; caught up, and could be switched to; what queries see;
what they saw before, kept up to date."""

_SWITCH: "dict[SwitchWhen, pb.ProjectionSwitch.ValueType]" = {
    "when verified": pb.PROJECTION_SWITCH_WHEN_VERIFIED,
    "when caught up": pb.PROJECTION_SWITCH_WHEN_CAUGHT_UP,
    "by hand": pb.PROJECTION_SWITCH_BY_HAND,
}
_SWITCH_NAMES: "dict[int, SwitchWhen]" = {wire: name for name, wire in _SWITCH.items()}
_STATES: "dict[int, GenerationState]" = {
    pb.GENERATION_STATE_BUILDING: "building",
    pb.GENERATION_STATE_READY: "ready",
    pb.GENERATION_STATE_ACTIVE: "active",
    pb.GENERATION_STATE_STANDBY: "standby",
}


def switch_to_wire(switch: SwitchWhen) -> "pb.ProjectionSwitch.ValueType":
    """When to switch, as a request says it.

    Raises:
        ValueError: it is none of the three.
    """
    if switch not in _SWITCH:
        known = "'when verified', 'when caught up' or 'by hand'"
        raise ValueError(f"switch is {known}, not {switch!r}")
    return _SWITCH[switch]


def stopped_of(message: Any) -> EventfoldError | None:
    """Why a projection does not go on; None: it does."""
    status: status_pb2.Status = message.stopped
    return error_from_status(status) if message.HasField("stopped") else None


@dataclass(frozen=True, slots=True)
class Verification:
    """What the comparison of a generation with a fold from scratch found.

    Attributes:
        verified_at: when it ended, in UTC.
        position: position of the log at which both were compared.
        rows_shown: rows that queries see.
        rows_hidden: rows that `where` hides.
        keys_checked: keys that were folded afresh.
        table_checksum: SHA-256 of their rows as the table has them.
        fold_checksum: the same of their rows as folded afresh.
        keys_differing: number of keys that differ; 0: the generation is right, as far as checked.
        differing: the first 100 of them, in byte order.
    """

    verified_at: dt.datetime
    position: int
    rows_shown: int
    rows_hidden: int
    keys_checked: int
    table_checksum: str
    fold_checksum: str
    keys_differing: int
    differing: tuple[str, ...]

    @classmethod
    def _from_wire(cls, found: pb.Verification) -> "Verification":
        return cls(
            verified_at=from_timestamp(found.verified_at),
            position=found.position,
            rows_shown=found.rows_shown,
            rows_hidden=found.rows_hidden,
            keys_checked=found.keys_checked,
            table_checksum=found.table_checksum,
            fold_checksum=found.fold_checksum,
            keys_differing=found.keys_differing,
            differing=tuple(found.differing),
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation of a projection: its document, and a table.

    Attributes:
        generation: its number, from 1.
        source: the document as it came in.
        digest: SHA-256 of the normal form of the document and of its fold.
        state: what it is.
        switch: when it takes the place of the active one.
        position: position up to which all events of its source are in its table, or on the lists of
            parked keys.
        events: number of events that were folded into it.
        positions_per_second: positions of the log that it passes in a second, of late.
        seconds_left: seconds until it will have caught up; None: not known, or it has.
        parked_keys: number of keys that are parked.
        stopped: why it stopped at the event behind `position`; None: it did not.
        verification: the last one; None: there was none.
        put_at: when it was put, in UTC.
        put_by: who put it.
        caught_up_at: when it first reached the head of the log, in UTC; None: not yet.
        switched_at: when queries began to see it the last time, in UTC; None: never.
        fold: name of the registered fold that the document reuses; empty: its fold is its own.
        fold_revision: revision of that fold; 0 without one.
        remapped_types: event types that it reads whose mapping changed after it was put, so that it
            should be rebuilt; empty: none.
    """

    generation: int
    source: str
    digest: str
    state: GenerationState
    switch: SwitchWhen
    position: int
    events: int
    positions_per_second: float
    seconds_left: float | None
    parked_keys: int
    stopped: EventfoldError | None
    verification: Verification | None
    put_at: dt.datetime
    put_by: str
    caught_up_at: dt.datetime | None
    switched_at: dt.datetime | None
    fold: str
    fold_revision: int
    remapped_types: tuple[str, ...]

    @classmethod
    def _from_wire(cls, one: pb.Generation) -> "Generation":
        verification = None
        if one.HasField("verification"):
            verification = Verification._from_wire(one.verification)
        return cls(
            generation=one.generation,
            source=one.source,
            digest=one.digest,
            state=_STATES.get(one.state, "unknown"),
            switch=_SWITCH_NAMES.get(one.switch, "unknown"),
            position=one.position,
            events=one.events,
            positions_per_second=one.positions_per_second,
            seconds_left=one.seconds_left if one.HasField("seconds_left") else None,
            parked_keys=one.parked_keys,
            stopped=stopped_of(one),
            verification=verification,
            put_at=from_timestamp(one.put_at),
            put_by=one.put_by,
            caught_up_at=time_of(one, "caught_up_at"),
            switched_at=time_of(one, "switched_at"),
            fold=one.fold,
            fold_revision=one.fold_revision,
            remapped_types=tuple(one.remapped_types),
        )


@dataclass(frozen=True, slots=True)
class ProjectionInfo:
    """A projection.

    Attributes:
        name: its name.
        active: number of the generation that queries see; 0: none has caught up yet.
        generations: its generations, the oldest first, without those that were dropped.
        head: position of the newest event of the log.
        view: name of the view, with its schema, for SQL on the database.
        generation: in the answer to `put_projection` and `rebuild_projection`: number of the
            generation that has the document; else 0.
        created: in these answers: whether that generation is new; else False.
    """

    name: str
    active: int
    generations: tuple[Generation, ...]
    head: int
    view: str
    generation: int = 0
    created: bool = False

    def find(self, generation: int = 0) -> Generation:
        """One of its generations, by its number; 0, the default: the newest.

        Raises:
            ProjectionNotFound: it is not among them, or no longer.
        """
        for one in reversed(self.generations):
            if generation in (0, one.generation):
                return one
        raise ProjectionNotFound._make(
            f"the projection {self.name} has no generation {generation or ''}".rstrip(),
            {"projection": self.name, "generation": generation},
        )

    @classmethod
    def _from_wire(
        cls, found: pb.Projection, generation: int = 0, created: bool = False
    ) -> "ProjectionInfo":
        return cls(
            name=found.name,
            active=found.active,
            generations=tuple(Generation._from_wire(one) for one in found.generations),
            head=found.head,
            view=found.view,
            generation=generation,
            created=created,
        )


def is_settled(projection: ProjectionInfo, one: Generation, until: str) -> bool:
    """Whether a generation has come as far as it does by itself."""
    if one.state == "active":
        return True
    if until == "caught up":
        return one.caught_up_at is not None
    found = one.verification
    is_for_hands = one.switch == "by hand" or (found is not None and found.keys_differing > 0)
    # The first generation becomes active, whatever was said.
    return one.state == "standby" or (
        one.state == "ready" and is_for_hands and projection.active > 0
    )


def stopped_error(name: str, one: Generation) -> ProjectionStopped:
    """The error of whoever waits for a generation that does not go on."""
    cause = one.stopped
    error = ProjectionStopped._make(
        f"generation {one.generation} of {name} stopped behind position {one.position}: {cause}",
        {
            "projection": name,
            "generation": one.generation,
            "position": one.position,
            "cause": cause.reason if cause is not None else "",
        },
    )
    assert isinstance(error, ProjectionStopped)
    return error


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A key whose events are set aside since one of them failed.

    Attributes:
        key: the key.
        error: why.
        position: position of the event that failed, the first on its list.
        events: number of events on its list.
        parked_at: when it was parked, in UTC.
    """

    key: str
    error: EventfoldError
    position: int
    events: int
    parked_at: dt.datetime

    @classmethod
    def _from_wire(cls, parked: pb.ParkedKey) -> "ParkedKey":
        return cls(
            key=parked.key,
            error=error_from_status(parked.error),
            position=parked.position,
            events=parked.events,
            parked_at=from_timestamp(parked.parked_at),
        )


@dataclass(frozen=True, slots=True)
class ProjectionRetry:
    """What a retry came to.

    Attributes:
        keys_mended: keys that are parked no longer.
        events_folded: events of parked keys that were folded.
        keys_failed: keys, of those that were asked for, that failed again.
        resumed: whether the generation had stopped, and goes on now.
    """

    keys_mended: int
    events_folded: int
    keys_failed: int
    resumed: bool

    @classmethod
    def _from_wire(cls, found: pb.RetryProjectionResponse) -> "ProjectionRetry":
        return cls(found.keys_mended, found.events_folded, found.keys_failed, found.resumed)
