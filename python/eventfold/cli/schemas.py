"""`eventfold schema put, list, show, check`."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from eventfold import Client, SchemaDifference, SchemaInfo
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
)
from eventfold.cli.privacy_rules import (
    Plaintext,
    Undeclare,
    field_text,
    print_warnings,
    warning_fields,
)
from eventfold.cli.projection_rows import error_fields
from eventfold.cli.text import joined, time_text
from eventfold.cli.trials import (
    TRIAL_TIMEOUT_S,
    File,
    Misfits,
    Revision,
    print_trial,
    trial_bar,
    trial_fields,
)

app = typer.Typer(help="JSON Schemas of event types.", no_args_is_help=True)

_Type = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="The event type that it describes.")
]
_Shared = Annotated[
    bool, typer.Option("--shared", help="Of no event type: others refer to it by its `$id`.")
]
_Formats = Annotated[
    bool, typer.Option("--formats", help="Check `format`: uuid, date-time, email and the others.")
]


def _check_kind(type: str | None, *, shared: bool) -> None:
    if (type is None) != shared:
        raise typer.BadParameter("name the --type of events, or say --shared")
    if type == "":
        raise typer.BadParameter("--type is empty; a schema of no event type is --shared")


def _fields(one: SchemaInfo) -> dict[str, Any]:
    return {
        "event_type": one.event_type,
        "id": one.id,
        "revision": one.revision,
        "digest": one.digest,
        "draft": one.draft,
        "formats": one.formats,
        "refers_to": list(one.refers_to),
        "put_at": time_text(one.put_at),
        "put_by": one.put_by,
        "accepted_misfits": one.accepted_misfits,
    }


def _difference_fields(found: Iterable[SchemaDifference]) -> list[dict[str, Any]]:
    return [{name: getattr(one, name) for name in SchemaDifference.__slots__} for one in found]


def _print_differences(found: Iterable[SchemaDifference]) -> None:
    rows = ((one.change, one.keyword, one.pointer or "the whole", one.message) for one in found)
    print_table(["change", "keyword", "where", "what"], rows)


@app.command("put")
@with_store
def put(
    store: Client,
    file: File,
    type: _Type = None,
    shared: _Shared = False,
    formats: _Formats = False,
    accept_misfits: Annotated[
        bool,
        typer.Option(
            "--accept-misfits", help="Put it although stored events do not fit, or need not."
        ),
    ] = False,
    existing_plaintext: Plaintext = False,
    undeclare: Undeclare = False,
    as_json: AsJson = False,
) -> None:
    """Put the schema of an event type in force, or register one that others refer to.

    Stored events decide where the schemas alone do not.
    """
    _check_kind(type, shared=shared)
    source = as_document(source_of(file, "INVALID_SCHEMA"))
    with trial_bar() as show_progress:
        found = store.put_schema(
            type,
            source,
            formats=formats,
            accept_misfits=accept_misfits,
            existing="plaintext" if existing_plaintext else "refuse",
            undeclare=undeclare,
            on_progress=show_progress,
            timeout=TRIAL_TIMEOUT_S,
        )
    fields = _fields(found.schema)
    if as_json:
        differences = _difference_fields(found.differences)
        told = {"created": found.created, "differences": differences}
        print_json({**fields, **told, "warnings": warning_fields(found.warnings)})
        return
    fields["refers_to"] = joined(found.schema.refers_to)
    print_fields([*fields.items(), ("new", "yes" if found.created else "no, the same")])
    if found.privacy is not None:
        print_fields([("personal", joined(map(field_text, found.privacy.fields)))])
    _print_differences(found.differences)
    print_warnings(found.warnings)


@app.command("list")
@with_store
def list_schemas(store: Client, as_json: AsJson = False) -> None:
    """List the newest revisions of all schemas: those of event types, then the shared ones."""
    if as_json:
        for found in store.list_schemas():
            print_json(_fields(found))
        return
    rows = (
        (
            one.revision,
            one.draft,
            "yes" if one.formats else "no",
            time_text(one.put_at),
            one.put_by,
            one.digest[:12],
            one.event_type or "",
            one.id,
        )
        for one in store.list_schemas()
    )
    columns = ["revision", "draft", "formats", "put", "by", "digest", "type", "id"]
    if print_table(columns, rows) == 0:
        note("no schemas")


@app.command("show")
@with_store
def show(
    store: Client,
    type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="The event type; or --id.")
    ] = None,
    id: Annotated[str | None, typer.Option(help="`$id` of a shared schema.")] = None,
    revision: Revision = 0,
    as_json: AsJson = False,
) -> None:
    """Print a schema as it came in."""
    if (type is None) == (id is None):
        raise typer.BadParameter("name the TYPE of events, or the --id of a shared schema")
    found = store.get_schema(type, id=id, revision=revision)
    if as_json:
        more = {"source": found.source, "resources": dict(found.resources)}
        print_json({**_fields(found), **more})
    else:
        print_document(found.source)


@app.command("check")
@with_store
def check(
    store: Client,
    file: File,
    type: _Type = None,
    shared: _Shared = False,
    formats: _Formats = False,
    misfits: Misfits = 10,
    as_json: AsJson = False,
) -> None:
    """Say what `put` would do, and try all stored events of the type; nothing is changed.

    The exit code is 1 if `put` would refuse it.
    """
    _check_kind(type, shared=shared)
    source = as_document(source_of(file, "INVALID_SCHEMA"))
    with trial_bar() as show_progress:
        found = store.check_schema(
            type,
            source,
            formats=formats,
            misfits_max=misfits,
            on_progress=show_progress,
            timeout=TRIAL_TIMEOUT_S,
        )
    refused = found.refused
    if as_json:
        print_json(
            {
                "differences": _difference_fields(found.differences),
                "trial": None if found.trial is None else trial_fields(found.trial),
                "refused": error_fields(refused),
            }
        )
    else:
        _print_differences(found.differences)
        if found.trial is None:
            note("a shared schema: there are no events to be tried")
        else:
            print_trial(found.trial)
        if refused is not None:
            note(describe(refused.reason, refused.message, refused.facts))
    if refused is not None:
        raise typer.Exit(ExitCode.REFUSED)
