"""`eventfold privacy rules put, list, show, check, drop`."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from eventfold import Client, PersonalField, PrivacyRules, PrivacyWarning
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
from eventfold.cli.projection_rows import error_fields
from eventfold.cli.text import joined, time_text
from eventfold.cli.trials import TRIAL_TIMEOUT_S, File, Misfits, Revision, trial_bar

app = typer.Typer(help="Privacy rules: which values of events are personal.", no_args_is_help=True)

_Type = Annotated[str | None, typer.Argument(metavar="TYPE", help="The event type; or --category.")]
_Category = Annotated[str | None, typer.Option(help="The category.")]
Undeclare = Annotated[
    bool, typer.Option("--undeclare", help="Fields that it leaves out are personal no more.")
]
Plaintext = Annotated[
    bool,
    typer.Option(
        "--existing-plaintext",
        help="Put them although stored events hold plaintext, which stays as it is.",
    ),
]


def _name(one: PrivacyRules) -> str:
    return one.event_type or f"category {one.category}"


def field_text(one: PersonalField) -> str:
    """A personal field for people."""
    if one.subject_pointer is None:
        return one.pointer
    prefix = "" if one.subject_category is None else f"{one.subject_category}-"
    return f"{one.pointer} of {prefix}{one.subject_pointer}"


def _fields(one: PrivacyRules) -> dict[str, Any]:
    return {
        "event_type": one.event_type,
        "category": one.category,
        "revision": one.revision,
        "digest": one.digest,
        "origin": one.origin,
        "fields": [
            {name: getattr(field, name) for name in PersonalField.__slots__} for field in one.fields
        ],
        "plaintext_events": one.plaintext_events,
        "plaintext_until": one.plaintext_until,
        "put_at": time_text(one.put_at),
        "put_by": one.put_by,
        "in_force": one.in_force,
    }


def warning_fields(warnings: Iterable[PrivacyWarning]) -> list[dict[str, Any]]:
    """Warnings for programs."""
    return [{name: getattr(one, name) for name in PrivacyWarning.__slots__} for one in warnings]


def print_warnings(warnings: Iterable[PrivacyWarning]) -> None:
    """Says what rules do not protect, or change."""
    for one in warnings:
        note(f"warning: {one.message}")


def _check_named(type: str | None, category: str | None) -> None:
    if (type is None) == (category is None):
        raise typer.BadParameter("name the TYPE of events, or a --category")


@app.command("put")
@with_store
def put(
    store: Client,
    file: File,
    existing_plaintext: Plaintext = False,
    undeclare: Undeclare = False,
    as_json: AsJson = False,
) -> None:
    """Put the privacy rules of the event type or category that they name in force, unless stored
    events hold plaintext.
    """
    source = as_document(source_of(file, "INVALID_PRIVACY_RULES"))
    with trial_bar() as show_progress:
        found = store.put_privacy_rules(
            source,
            existing="plaintext" if existing_plaintext else "refuse",
            undeclare=undeclare,
            on_progress=show_progress,
            timeout=TRIAL_TIMEOUT_S,
        )
    fields = _fields(found.rules)
    if as_json:
        print_json({**fields, "created": found.created, "warnings": warning_fields(found.warnings)})
        return
    fields["fields"] = joined(map(field_text, found.rules.fields))
    print_fields([*fields.items(), ("new", "yes" if found.created else "no, the same")])
    print_warnings(found.warnings)


@app.command("list")
@with_store
def list_rules(store: Client, as_json: AsJson = False) -> None:
    """List the privacy rules in force: those of event types, then those of categories."""
    if as_json:
        for found in store.list_privacy_rules():
            print_json(_fields(found))
        return
    rows = (
        (
            one.revision,
            one.origin,
            one.plaintext_events or "",
            time_text(one.put_at),
            one.put_by,
            _name(one),
            joined(map(field_text, one.fields)),
        )
        for one in store.list_privacy_rules()
    )
    columns = ["revision", "origin", "plaintext", "put", "by", "of", "personal"]
    if print_table(columns, rows) == 0:
        note("no privacy rules")


@app.command("show")
@with_store
def show(
    store: Client,
    type: _Type = None,
    category: _Category = None,
    revision: Revision = 0,
    as_json: AsJson = False,
) -> None:
    """Print privacy rules as they came in."""
    _check_named(type, category)
    found = store.get_privacy_rules(type, category=category, revision=revision)
    if as_json:
        print_json({**_fields(found), "source": found.source})
    else:
        print_document(found.source)


@app.command("check")
@with_store
def check(store: Client, file: File, misfits: Misfits = 10, as_json: AsJson = False) -> None:
    """Say what `put` would do, and try all stored events; nothing is changed.

    The exit code is 1 if `put` would refuse them.
    """
    source = as_document(source_of(file, "INVALID_PRIVACY_RULES"))
    with trial_bar() as show_progress:
        found = store.check_privacy_rules(
            source, events_max=misfits, on_progress=show_progress, timeout=TRIAL_TIMEOUT_S
        )
    refused = found.refused
    if as_json:
        print_json(
            {
                "events": found.events,
                "plaintext": found.plaintext,
                "position": found.position,
                "first": [
                    {name: getattr(one, name) for name in type(one).__slots__}
                    for one in found.first
                ],
                "warnings": warning_fields(found.warnings),
                "refused": error_fields(refused),
            }
        )
    else:
        print_fields(
            [
                ("events", found.events),
                ("up to position", found.position),
                ("with plaintext", found.plaintext or "none"),
            ]
        )
        if found.first:
            rows = ((one.position, one.version, one.stream) for one in found.first)
            print_table(["position", "version", "stream"], rows)
        print_warnings(found.warnings)
        if refused is not None:
            note(describe(refused.reason, refused.message, refused.facts))
    if refused is not None:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("drop")
@with_store
def drop(
    store: Client, type: _Type = None, category: _Category = None, as_json: AsJson = False
) -> None:
    """Take privacy rules out of force: values of later events are stored as plaintext."""
    _check_named(type, category)
    store.drop_privacy_rules(type, category=category)
    if as_json:
        print_json({"event_type": type, "category": category})
    else:
        note(f"no privacy rules of {type or f'category {category}'} are in force")
