"""`eventfold mapping put, list, show, check, drop`."""

from typing import Annotated, Any

import typer

from eventfold import Client, MappingInfo
from eventfold.cli.connection import with_store
from eventfold.cli.failures import ExitCode
from eventfold.cli.fold_check import source_of
from eventfold.cli.folds import as_document
from eventfold.cli.output import (
    AsJson,
    note,
    print_document,
    print_fields,
    print_json,
    print_table,
)
from eventfold.cli.text import time_text
from eventfold.cli.trials import (
    TRIAL_TIMEOUT_S,
    File,
    Misfits,
    Revision,
    print_stale,
    print_trial,
    stale_fields,
    trial_bar,
    trial_fields,
)

app = typer.Typer(help="Mappings: how old events are read.", no_args_is_help=True)

_Type = Annotated[str, typer.Argument(metavar="TYPE", help="The event type.")]


def _fields(one: MappingInfo) -> dict[str, Any]:
    return {
        "event_type": one.event_type,
        "revision": one.revision,
        "digest": one.digest,
        "put_at": time_text(one.put_at),
        "put_by": one.put_by,
    }


@app.command("put")
@with_store
def put(store: Client, file: File, as_json: AsJson = False) -> None:
    """Put a mapping in force for the event type that it names, unless it fails on stored events."""
    source = as_document(source_of(file, "INVALID_MAPPING"))
    with trial_bar() as show_progress:
        found = store.put_mapping(source, on_progress=show_progress, timeout=TRIAL_TIMEOUT_S)
    fields = _fields(found.mapping)
    if as_json:
        print_json({**fields, "created": found.created, "stale": stale_fields(found.stale)})
        return
    print_fields([*fields.items(), ("new", "yes" if found.created else "no, the same")])
    print_stale(found.stale)


@app.command("list")
@with_store
def list_mappings(store: Client, as_json: AsJson = False) -> None:
    """List the mappings in force in byte order of their event types."""
    if as_json:
        for found in store.list_mappings():
            print_json(_fields(found))
        return
    rows = (
        (one.revision, time_text(one.put_at), one.put_by, one.digest[:12], one.event_type)
        for one in store.list_mappings()
    )
    if print_table(["revision", "put", "by", "digest", "type"], rows) == 0:
        note("no mappings")


@app.command("show")
@with_store
def show(store: Client, type: _Type, revision: Revision = 0, as_json: AsJson = False) -> None:
    """Print the mapping of an event type as it came in."""
    found = store.get_mapping(type, revision=revision)
    if as_json:
        print_json({**_fields(found), "source": found.source})
    else:
        print_document(found.source)


@app.command("check")
@with_store
def check(store: Client, file: File, misfits: Misfits = 10, as_json: AsJson = False) -> None:
    """Try a mapping on all stored events of its type; nothing is changed.

    The exit code is 1 if it fails on one.
    """
    source = as_document(source_of(file, "INVALID_MAPPING"))
    with trial_bar() as show_progress:
        found = store.check_mapping(
            source, misfits_max=misfits, on_progress=show_progress, timeout=TRIAL_TIMEOUT_S
        )
    if as_json:
        print_json(
            {
                "trial": trial_fields(found.trial),
                "changed": found.changed,
                "stale": stale_fields(found.stale),
            }
        )
    else:
        print_fields([("changes", found.changed)])
        print_trial(found.trial)
        print_stale(found.stale)
    if found.trial.misfits:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("drop")
@with_store
def drop(store: Client, type: _Type, as_json: AsJson = False) -> None:
    """Take the mapping of an event type out of force: its events are read as they are stored."""
    stale = store.drop_mapping(type)
    if as_json:
        print_json({"stale": stale_fields(stale)})
    else:
        print_stale(stale)
