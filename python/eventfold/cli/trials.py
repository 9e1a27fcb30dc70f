"""What stored events say of a schema or a mapping: how far the trial is, and what it found."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from eventfold import Misfit, StaleProjection, Trial, TrialProgress, Violation
from eventfold.cli.failures import describe
from eventfold.cli.output import note, print_fields, print_table, progress_bar
from eventfold.cli.projection_rows import error_fields
from eventfold.cli.text import joined

# Whoever waits sees how far it is, and ends it with Ctrl-C.
TRIAL_TIMEOUT_S = 30 * 86_400.0

File = Annotated[Path, typer.Argument(metavar="FILE", help="The document.")]
Revision = Annotated[int, typer.Option(min=0, help="Which revision, from 1; 0: the newest.")]
Misfits = Annotated[
    int,
    typer.Option(
        "--misfits", min=1, max=1_000, help="Most stored events to print that do not fit."
    ),
]


@contextmanager
def trial_bar() -> Iterator[Callable[[TrialProgress], None]]:
    """Shows how far a trial is, on a terminal."""
    with progress_bar("Trying stored events", None) as steps:

        def show(now: TrialProgress) -> None:
            detail = f"{now.events:,} events"
            if now.misfits:
                detail += f", {now.misfits:,} do not fit"
            steps.show(now.position, max(now.head, now.position), detail)

        yield show


def violation_fields(one: Violation) -> dict[str, Any]:
    """A violation for programs."""
    return {name: getattr(one, name) for name in Violation.__slots__}


def trial_fields(trial: Trial) -> dict[str, Any]:
    """A trial for programs."""
    return {
        "events": trial.events,
        "misfits": trial.misfits,
        "position": trial.position,
        "first": [
            {
                "stream": one.stream,
                "version": one.version,
                "position": one.position,
                "event_id": one.event_id,
                "violations": [violation_fields(violation) for violation in one.violations],
                "error": error_fields(one.error),
            }
            for one in trial.first
        ],
    }


def stale_fields(stale: tuple[StaleProjection, ...]) -> list[dict[str, Any]]:
    """Generations that should be rebuilt, for programs."""
    return [{"projection": one.projection, "generation": one.generation} for one in stale]


def print_trial(trial: Trial) -> None:
    """Prints a trial for people."""
    print_fields(
        [
            ("events", trial.events),
            ("up to position", trial.position),
            ("do not fit", trial.misfits or "none"),
        ]
    )
    if not trial.first:
        return
    rows = ((one.position, one.version, one.stream, _why(one)) for one in trial.first)
    print_table(["position", "version", "stream", "why"], rows)
    if trial.misfits > len(trial.first):
        note(f"{trial.misfits - len(trial.first):,} more do not fit")


def _why(one: Misfit) -> str:
    if one.error is not None:
        told = describe(one.error.reason, one.error.message, one.error.facts)
        return told.partition("\n")[0].removeprefix("error: ")
    return joined(f"{found.pointer or 'the whole'}: {found.message}" for found in one.violations)


def print_stale(stale: tuple[StaleProjection, ...]) -> None:
    """Says which generations should be rebuilt."""
    for one in stale:
        note(
            f"generation {one.generation} of {one.projection} read events otherwise: "
            f"`eventfold projection rebuild {one.projection}`"
        )
