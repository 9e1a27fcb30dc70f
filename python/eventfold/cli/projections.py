"""`eventfold projection put, list, show, rebuild, verify, switch, retry, parked, drop`; `query`,
`count` and `try` have a file of their own.
"""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from eventfold import Client, Generation, ProjectionInfo, SwitchWhen, Verification
from eventfold.cli import projection_rows
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
from eventfold.cli.projection_rows import Name, error_fields, print_parked
from eventfold.cli.text import joined, time_text

app = typer.Typer(help="Projections: folds kept as tables, and queries.", no_args_is_help=True)

# Whoever waits sees how far it is, and ends it with Ctrl-C.
_WAIT_TIMEOUT_S = 30 * 86_400.0

_File = Annotated[Path, typer.Argument(metavar="FILE", help="Document, YAML or JSON.")]
_Number = Annotated[
    int, typer.Option("--generation", min=0, help="Number of the generation; 0: the newest.")
]
_ActiveNumber = Annotated[
    int,
    typer.Option(
        "--generation",
        min=0,
        help="Number of the generation; 0: the active one, or the newest if none is active.",
    ),
]
_Switch = Annotated[
    Literal["when-verified", "when-caught-up", "by-hand"],
    typer.Option(
        help="When the new generation takes the place of the active one. The first one does so "
        "when it has caught up."
    ),
]
_Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until queries see the generation, or it is ready.")
]
_SWITCHES: dict[str, SwitchWhen] = {
    "when-verified": "when verified",
    "when-caught-up": "when caught up",
    "by-hand": "by hand",
}


def _verification_fields(found: Verification) -> dict[str, Any]:
    return {
        "verified_at": time_text(found.verified_at),
        "position": found.position,
        "rows_shown": found.rows_shown,
        "rows_hidden": found.rows_hidden,
        "keys_checked": found.keys_checked,
        "table_checksum": found.table_checksum,
        "fold_checksum": found.fold_checksum,
        "keys_differing": found.keys_differing,
        "differing": list(found.differing),
    }


def _generation_fields(one: Generation) -> dict[str, Any]:
    found = one.verification
    return {
        "generation": one.generation,
        "digest": one.digest,
        "state": one.state,
        "switch": one.switch,
        "position": one.position,
        "events": one.events,
        "positions_per_second": one.positions_per_second,
        "seconds_left": one.seconds_left,
        "parked_keys": one.parked_keys,
        "stopped": error_fields(one.stopped),
        "verification": None if found is None else _verification_fields(found),
        "put_at": time_text(one.put_at),
        "put_by": one.put_by,
        "caught_up_at": time_text(one.caught_up_at) or None,
        "switched_at": time_text(one.switched_at) or None,
        "fold": one.fold,
        "fold_revision": one.fold_revision,
        "remapped_types": list(one.remapped_types),
    }


def _fields(found: ProjectionInfo) -> dict[str, Any]:
    return {
        "name": found.name,
        "active": found.active,
        "head": found.head,
        "view": found.view,
        "generations": [_generation_fields(one) for one in found.generations],
    }


def _condition(one: Generation) -> str:
    """What is to be said of a generation in a few words."""
    words: list[str] = [one.state]
    if one.stopped is not None:
        words.append(f"stopped by {one.stopped.reason}")
    if one.parked_keys:
        words.append(f"{one.parked_keys:,} parked keys")
    if one.verification is not None and one.verification.keys_differing:
        words.append(f"{one.verification.keys_differing:,} keys differ")
    if one.remapped_types:
        words.append(f"mapping changed of {' '.join(one.remapped_types)}")
    return joined(words)


def _rate(one: Generation) -> str:
    if one.seconds_left is None:
        return ""
    return f"{one.positions_per_second:,.0f} positions/s, {one.seconds_left:,.0f} s left"


def _print(found: ProjectionInfo) -> None:
    print_fields(
        [
            ("projection", found.name),
            ("queries see", f"generation {found.active}" if found.active else "none yet"),
            ("head", found.head),
            ("view", found.view),
        ]
    )
    columns = ["generation", "position", "events", "put", "by", "rate", "state"]
    print()
    print_table(
        columns,
        (
            (
                one.generation,
                one.position,
                one.events,
                time_text(one.put_at),
                one.put_by,
                _rate(one),
                _condition(one),
            )
            for one in found.generations
        ),
    )
    for one in found.generations:
        if one.stopped is not None:
            error = one.stopped
            note(
                f"generation {one.generation} stopped behind position {one.position}: "
                + describe(error.reason, error.message, error.facts).removeprefix("error: ")
            )


def _wait(store: Client, found: ProjectionInfo) -> ProjectionInfo:
    """Waits for the generation of a document, with a bar on a terminal."""
    title = f"Building generation {found.generation}"
    with progress_bar(title, found.head) as steps:

        def show(now: ProjectionInfo) -> None:
            one = now.find(found.generation)
            detail = f"{one.events:,} events, {one.positions_per_second:,.0f}/s"
            steps.show(one.position, max(now.head, one.position), detail)

        store.wait_projection(
            found.name, generation=found.generation, on_progress=show, timeout=_WAIT_TIMEOUT_S
        )
    return store.get_projection(found.name)


def _tell(store: Client, put: ProjectionInfo, *, wait: bool, as_json: bool) -> None:
    """Prints a generation that is being built, after having waited for it if asked."""
    now = _wait(store, put) if wait else put
    if as_json:
        print_json({**_fields(now), "generation": put.generation, "created": put.created})
    else:
        _print(now)
        note(f"generation {put.generation} {'is new' if put.created else 'was there already'}")
    one = now.find(put.generation)
    if wait and one.state == "ready" and _differs(one.verification):
        raise typer.Exit(ExitCode.REFUSED)


def _differs(found: Verification | None) -> bool:
    return found is not None and found.keys_differing > 0


@app.command("put")
@with_store
def put(
    store: Client,
    file: _File,
    switch: _Switch = "when-verified",
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="Build nothing anew: the change alters nothing but what becomes of events that "
            "failed.",
        ),
    ] = False,
    wait: _Wait = False,
    as_json: AsJson = False,
) -> None:
    """Register a projection; the server builds a new generation of one that has changed.

    With --wait the exit code is 1 if the generation stopped, or was found to differ.
    """
    found = store.put_projection(
        as_document(source_of(file)), switch=_SWITCHES[switch], in_place=in_place
    )
    _tell(store, found, wait=wait, as_json=as_json)


@app.command("list")
@with_store
def list_projections(store: Client, as_json: AsJson = False) -> None:
    """List projections in byte order of their names."""
    if as_json:
        for found in store.list_projections():
            print_json(_fields(found))
        return
    rows = (
        (found.active or "none", len(found.generations), found.name, _summary(found))
        for found in store.list_projections()
    )
    if print_table(["active", "generations", "projection", "state"], rows) == 0:
        note("no projections")


def _summary(found: ProjectionInfo) -> str:
    """The condition of what queries see, and of what is being built."""
    told = [
        f"{one.generation}: {_condition(one)} at {one.position:,} of {found.head:,}"
        for one in found.generations
        if one.state != "standby"
    ]
    return "; ".join(told)


@app.command("show")
@with_store
def show(
    store: Client,
    name: Name,
    source: Annotated[
        bool, typer.Option("--source", help="Print the document as it came in.")
    ] = False,
    generation: _ActiveNumber = 0,
    as_json: AsJson = False,
) -> None:
    """Describe a projection with its generations, or print the document of one."""
    found = store.get_projection(name)
    one = found.find(generation or found.active)
    if as_json:
        print_json({**_fields(found), **({"source": one.source} if source else {})})
    elif not source:
        _print(found)
    else:
        print_document(one.source)


@app.command("rebuild")
@with_store
def rebuild(
    store: Client,
    name: Name,
    switch: _Switch = "when-verified",
    wait: _Wait = False,
    as_json: AsJson = False,
) -> None:
    """Begin a new generation of the same document, while queries see the old one.

    With --wait the exit code is 1 if the generation stopped, or was found to differ.
    """
    found = store.rebuild_projection(name, switch=_SWITCHES[switch])
    _tell(store, found, wait=wait, as_json=as_json)


@app.command("verify")
@with_store
def verify(
    store: Client,
    name: Name,
    generation: _Number = 0,
    keys: Annotated[
        int, typer.Option(min=1, max=10_000, help="Keys that are folded afresh, drawn at random.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Compare a generation with a fold from scratch; the exit code is 1 if they differ."""
    with progress_bar("Folding afresh", None) as steps:
        found = store.verify_projection(
            name,
            generation=generation,
            keys=keys,
            on_progress=steps.show,
            timeout=_WAIT_TIMEOUT_S,
        )
    fields = _verification_fields(found)
    if as_json:
        print_json(fields)
    else:
        fields["differing"] = joined(found.differing)
        print_fields((title.replace("_", " "), value) for title, value in fields.items())
    if _differs(found):
        raise typer.Exit(ExitCode.REFUSED)


@app.command("switch")
@with_store
def switch_to(store: Client, name: Name, generation: _Number = 0, as_json: AsJson = False) -> None:
    """Let queries see another generation, from one moment to the next."""
    found = store.switch_projection(name, generation=generation)
    if as_json:
        print_json(_fields(found))
    else:
        _print(found)


@app.command("retry")
@with_store
def retry(
    store: Client,
    name: Name,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Parked keys; default: all.")
    ] = None,
    generation: _ActiveNumber = 0,
    as_json: AsJson = False,
) -> None:
    """Go on after a failure, with parked keys and at the event that stopped the generation.

    The exit code is 1 if a key failed again.
    """
    found = store.retry_projection(name, generation=generation, keys=keys or None)
    fields = {name: getattr(found, name) for name in found.__slots__}
    if as_json:
        print_json(fields)
    else:
        fields["resumed"] = "yes" if found.resumed else "no, it had not stopped"
        print_fields((title.replace("_", " "), value) for title, value in fields.items())
    if found.keys_failed:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("parked")
@with_store
def parked(
    store: Client,
    name: Name,
    generation: _ActiveNumber = 0,
    limit: Annotated[int, typer.Option(min=0, help="Most keys to list; 0: no limit.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the keys whose events are set aside, and why."""
    found = store.list_parked_keys(name, generation=generation)
    listed = islice(found, limit) if limit else found
    if as_json:
        for one in listed:
            print_json(projection_rows.parked_fields(one))
        return
    if print_parked(listed) == 0:
        note("no parked keys")
    elif limit and next(found, None) is not None:
        note(f"there are more: --limit is {limit}")


@app.command("drop")
@with_store
def drop(
    store: Client,
    name: Name,
    generation: Annotated[
        int | None, typer.Option(min=1, help="A generation that queries do not see.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="The whole projection, with all of its rows.")
    ] = False,
) -> None:
    """Drop a generation, or a whole projection."""
    if (generation is None) != every:
        raise typer.BadParameter("name a --generation, or say --all")
    store.drop_projection(name, generation=generation)


app.command("query")(projection_rows.query)
app.command("count")(projection_rows.count)
app.command("try")(projection_rows.try_out)
