"""`eventfold privacy status, find, export`."""

import json
from typing import Annotated, Any

import typer

from eventfold import Client, ExportedSchema, PrivacyStatus
from eventfold.cli.connection import with_store
from eventfold.cli.events import event_fields
from eventfold.cli.output import AsJson, print_fields, print_json, print_table
from eventfold.cli.text import joined, time_text

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="The subject, as User-456.")]


def _status_fields(status: PrivacyStatus) -> dict[str, Any]:
    oldest = status.oldest_open_at
    return {
        "subjects": {
            "active": status.subjects_active,
            "fenced": status.subjects_fenced,
            "erased": status.subjects_erased,
        },
        "key_versions": {str(version): n for version, n in status.key_versions.items()},
        "master_keys": dict(status.master_keys),
        "erasures": {"open": status.erasures_open, "done": status.erasures_done},
        "oldest_open_at": None if oldest is None else time_text(oldest),
        "failed_openings": status.failed_openings,
        "exports": status.exports,
        "indexed_position": status.indexed_position,
        "head": status.head,
        "servers": status.servers,
    }


def status(store: Client, as_json: AsJson = False) -> None:
    """Tell how personal data fares: subjects, keys, erasures, failed openings."""
    found = store.get_privacy_status()
    if as_json:
        print_json(_status_fields(found))
        return
    oldest = found.oldest_open_at
    versions = found.key_versions.items()
    print_fields(
        [
            ("subjects with keys", found.subjects_active),
            ("being erased", found.subjects_fenced),
            ("erased", found.subjects_erased),
            ("by key version", joined(f"{version}: {n}" for version, n in versions)),
            ("data keys", joined(f"{name}: {n}" for name, n in found.master_keys.items())),
            ("erasures open", found.erasures_open),
            ("erasures done", found.erasures_done),
            ("oldest open since", None if oldest is None else time_text(oldest)),
            ("failed openings", found.failed_openings),
            ("exports", found.exports),
            ("indexed", f"{found.indexed_position} of {found.head}"),
            ("servers with keys", found.servers),
        ]
    )


def find(store: Client, subject: Subject, as_json: AsJson = False) -> None:
    """Tell in which streams events with personal values of a subject are."""
    found = store.find_subject(subject)
    rows = [
        {
            "stream": one.stream,
            "event_type": one.event_type,
            "events": one.events,
            "first_position": one.first_position,
            "last_position": one.last_position,
            "first_at": time_text(one.first_at),
            "last_at": time_text(one.last_at),
        }
        for one in found.events
    ]
    if as_json:
        print_json(
            {
                "subject_hash": found.subject.subject_hash.hex(),
                "status": found.subject.status,
                "key_versions": found.subject.versions,
                "position": found.position,
                "events": rows,
            }
        )
        return
    print_fields(
        [
            ("subject", found.subject.subject_hash.hex()),
            ("status", found.subject.status),
            ("key versions", found.subject.versions),
            ("up to position", found.position),
        ]
    )
    print_table(
        ["STREAM", "TYPE", "EVENTS", "FIRST", "LAST"],
        (
            [one.stream, one.event_type, one.events, one.first_position, one.last_position]
            for one in found.events
        ),
    )


def export(
    store: Client,
    subject: Subject,
    linked: Annotated[
        bool,
        typer.Option("--linked", help="Also all events of streams that belong to the subject."),
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="As events are stored.")] = False,
) -> None:
    """Print all that is stored of a subject, opened, as JSON lines: schemas and events. What is
    others' is withheld.
    """
    for one in store.export_subject(subject, linked=linked, raw=raw):
        if isinstance(one, ExportedSchema):
            resources = {id_: json.loads(text) for id_, text in one.resources.items()}
            schema = {
                "event_type": one.event_type,
                "revision": one.revision,
                "document": json.loads(one.source),
                "resources": resources,
            }
            print_json({"schema": schema})
            continue
        absent = {"erased_paths": one.erased_paths, "withheld_paths": one.withheld_paths}
        paths = {name: list(paths) for name, paths in absent.items() if paths}
        print_json({"event": event_fields(one) | paths})


def register(app: typer.Typer) -> None:
    """Adds the commands to `eventfold privacy`."""
    for command in (status, find, export):
        app.command(command.__name__)(with_store(command))
