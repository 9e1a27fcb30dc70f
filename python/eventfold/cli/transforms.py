"""`eventfold transform start, show, list, cut-over, cancel`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from eventfold import (
    Client,
    TransformCount,
    TransformExample,
    TransformInfo,
    TransformPlan,
    TransformSource,
)
from eventfold.cli.connection import with_store
from eventfold.cli.failures import ExitCode, describe
from eventfold.cli.fold_check import source_of
from eventfold.cli.folds import as_document
from eventfold.cli.output import (
    AsJson,
    note,
    print_document,
    print_fields,
    print_json,
    print_table,
    progress_bar,
)
from eventfold.cli.projection_rows import error_fields
from eventfold.cli.text import time_text

app = typer.Typer(help="Copy-transforms: jobs that write new streams.", no_args_is_help=True)

# Whoever waits sees how far it is, and ends it with Ctrl-C; the transform goes on.
_WAIT_TIMEOUT_S = 30 * 86_400.0

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the transform.")]
_File = Annotated[Path, typer.Argument(metavar="FILE", help="Document, YAML or JSON.")]
_Wait = Annotated[bool, typer.Option("--wait", help="Wait until it stays where it is.")]


def _plan_fields(plan: TransformPlan) -> dict[str, Any]:
    return {
        "projections": list(plan.projections),
        "groups": list(plan.groups),
        "successors": plan.successors,
        "without_successor": plan.without_successor,
    }


def _fields(one: TransformInfo) -> dict[str, Any]:
    trial, found = one.trial, one.verification
    return {
        "transform_id": one.transform_id,
        "name": one.name,
        "digest": one.digest,
        "dry_run": one.dry_run,
        "state": one.state,
        "position": one.position,
        "head": one.head,
        "events_read": one.events_read,
        "events_written": one.events_written,
        "counts": [_count_fields(count) for count in one.counts],
        "sources": one.sources,
        "sources_closed": one.sources_closed,
        "successors": one.successors,
        "targets": one.targets,
        "trial": {
            "position": trial.position,
            "to_position": trial.to_position,
            "events_read": trial.events_read,
            "events_written": trial.events_written,
            "counts": [_count_fields(count) for count in trial.counts],
            "examples": [_example_fields(example) for example in trial.examples],
            "failures_count": trial.failures_count,
            "failures": [error_fields(failure) for failure in trial.failures],
        },
        "verification": {
            "position": found.position,
            "events": found.events,
            "targets_equal": found.targets_equal,
            "targets": found.targets,
            "states_compared": found.states_compared,
            "states_differing": found.states_differing,
            "differing": list(found.differing),
        },
        "failure": error_fields(one.failure),
        "target": one.target,
        "waiting": one.waiting,
        "cutover_ms_max": one.cutover_ms_max,
        "held_ms": one.held_ms,
        "started_at": time_text(one.started_at),
        "started_by": one.started_by,
        "caught_up_at": time_text(one.caught_up_at) or None,
        "verified_at": time_text(one.verified_at) or None,
        "cut_over_at": time_text(one.cut_over_at) or None,
        "ended_at": time_text(one.ended_at) or None,
        **({"plan": _plan_fields(one.plan)} if one.plan is not None else {}),
    }


def _count_fields(count: TransformCount) -> dict[str, Any]:
    return dataclasses.asdict(count)


def _example_fields(example: TransformExample) -> dict[str, Any]:
    return {
        "stream": example.stream,
        "version": example.version,
        "event_id": example.event_id,
        "type": example.type,
        "data": example.data.decode(),
        "copies": [
            {"stream": copy.stream, "type": copy.type, "data": copy.data.decode()}
            for copy in example.copies
        ],
    }


def _print(one: TransformInfo) -> None:
    found, trial = one.verification, one.trial
    remote = []
    if one.target is not None:
        waits = "" if one.waiting is None else f", which is waited for: {one.waiting}"
        remote = [("into", f"the server {one.target}{waits}")]
    print_fields(
        [
            ("transform", one.transform_id),
            ("name", one.name),
            *remote,
            ("state", one.state + (", a dry run" if one.dry_run else "")),
            ("tried", f"{trial.events_read:,} events, {trial.events_written:,} copies"),
            ("position", f"{one.position} of {one.head}"),
            ("copied", f"{one.events_read:,} events, {one.events_written:,} copies"),
            ("compared", f"{found.events:,} copies, {found.targets_equal:,} streams equal"),
            ("sources", f"{one.sources:,} streams, {one.sources_closed:,} closed"),
            ("targets", f"{one.targets:,} streams, {one.successors:,} successors"),
            ("started", f"{time_text(one.started_at)} by {one.started_by}"),
        ]
    )
    counts = one.counts or trial.counts
    if counts:
        print()
        rows = (
            (count.read, count.written, count.renamed, count.split, count.dropped, count.type)
            for count in counts
        )
        print_table(["events", "copies", "renamed", "split", "dropped", "type"], rows)
    if found.states_compared:
        note(f"{found.states_compared:,} states compared, {found.states_differing:,} differ")
    for failure in (one.failure,) if one.failure is not None else trial.failures:
        note(describe(failure.reason, failure.message, failure.facts))
    if one.plan is not None:
        _print_plan(one.plan)


def _print_plan(plan: TransformPlan) -> None:
    note(f"{plan.successors:,} streams get a successor, {plan.without_successor:,} get none")
    for projection in plan.projections:
        note(f"projection {projection} reads a source: put a document that reads the targets")
    for group in plan.groups:
        note(f"consumer group {group} reads a source")


def _wait_for(store: Client, one: TransformInfo) -> TransformInfo:
    """Waits until a transform stays where it is, with a bar on a terminal."""
    with progress_bar(f"Transform {one.name}", None) as steps:

        def show(now: TransformInfo) -> None:
            done, total = now.progress()
            waits = "" if now.waiting is None else f", waits: {now.waiting}"
            told = f"{now.state}, {now.events_written:,} copies{waits}"
            steps.show(done, max(done, total), told)

        return store.wait_transform(one.transform_id, on_progress=show, timeout=_WAIT_TIMEOUT_S)


def _tell(store: Client, one: TransformInfo, *, wait: bool, as_json: bool) -> None:
    """Prints a transform, after having waited for it if asked; exit code 1 if it failed."""
    now = _wait_for(store, one) if wait else one
    if as_json:
        print_json(_fields(now))
    else:
        _print(now)
    if wait and (now.state == "failed" or (now.dry_run and now.trial.failures_count)):
        raise typer.Exit(ExitCode.REFUSED)


@app.command("start")
@with_store
def start(
    store: Client,
    file: _File,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only try the document; nothing is written.")
    ] = False,
    states_max: Annotated[
        int,
        typer.Option(
            "--states", min=0, max=100_000, help="Pairs of streams whose states are compared."
        ),
    ] = 1_000,
    other_server: Annotated[
        str,
        typer.Option(
            "--target", metavar="NAME", help="Another server that this one knows; no cut-over then."
        ),
    ] = "",
    wait: _Wait = False,
    as_json: AsJson = False,
) -> None:
    """Start a copy-transform: try it, copy, compare, and go on with the log.

    With --wait the exit code is 1 if it failed, or the dry run found failures.
    """
    document = as_document(source_of(file))
    started = store.start_transform(
        document, dry_run=dry_run, states_max=states_max, target=other_server
    )
    _tell(store, started, wait=wait, as_json=as_json)


@app.command("list")
@with_store
def list_transforms(store: Client, as_json: AsJson = False) -> None:
    """List transforms, the newest first."""
    if as_json:
        for found in store.list_transforms():
            print_json(_fields(found))
        return
    rows = (
        (one.transform_id, one.name, time_text(one.started_at), one.events_written, one.state)
        for one in store.list_transforms()
    )
    if print_table(["transform", "name", "started", "copies", "state"], rows) == 0:
        note("no transforms")


@app.command("show")
@with_store
def show(
    store: Client,
    transform_id: _Id,
    source: Annotated[
        bool, typer.Option("--source", help="Print the document as it came in.")
    ] = False,
    streams: Annotated[
        bool, typer.Option("--streams", help="List which streams went where.")
    ] = False,
    wait: _Wait = False,
    as_json: AsJson = False,
) -> None:
    """Describe a transform, or print its document, or its streams."""
    found = store.get_transform(transform_id)
    if source:
        print_document(found.source)
    elif streams:
        _print_streams(store, found, as_json=as_json)
    else:
        _tell(store, found, wait=wait, as_json=as_json)


def _print_streams(store: Client, found: TransformInfo, *, as_json: bool) -> None:
    sources = (
        one
        for one in store.list_transform_streams(found.transform_id)
        if isinstance(one, TransformSource)
    )
    if as_json:
        for one in sources:
            print_json(
                {
                    "stream": one.stream,
                    "version": one.version,
                    "closed": one.closed,
                    "successor": one.successor,
                    "targets": list(one.targets),
                    "targets_count": one.targets_count,
                }
            )
        return
    print_table(
        ["stream", "version", "closed", "successor", "targets"],
        (
            (
                one.stream,
                one.version,
                "yes" if one.closed else "",
                one.successor or "",
                " ".join(one.targets) + (" ..." if one.targets_count > len(one.targets) else ""),
            )
            for one in sources
        ),
    )


@app.command("cut-over")
@with_store
def cut_over(
    store: Client,
    transform_id: _Id,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what is to be done along with it.")
    ] = False,
    ms_max: Annotated[
        int,
        typer.Option(
            "--ms-max", min=20, max=5_000, help="How long a step may hold up appends, in ms."
        ),
    ] = 250,
    wait: _Wait = False,
    as_json: AsJson = False,
) -> None:
    """Close the sources of a verified transform, and name their successors.

    With --wait the exit code is 1 if it failed.
    """
    found = store.cut_over(transform_id, cutover_ms_max=ms_max, dry_run=dry_run)
    if not as_json and found.plan is not None and wait:
        _print_plan(found.plan)
    _tell(store, found, wait=wait and not dry_run, as_json=as_json)


@app.command("cancel")
@with_store
def cancel(store: Client, transform_id: _Id, wait: _Wait = False, as_json: AsJson = False) -> None:
    """End a transform: sources are opened again, targets stay and are closed."""
    _tell(store, store.cancel_transform(transform_id), wait=wait, as_json=as_json)
