"""`eventfold fold put, list, show`; `check` and `explain` have files of their own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eventfold import Client, FoldInfo
from eventfold.cli import explain, fold_check
from eventfold.cli.connection import with_store
from eventfold.cli.fold_check import source_of
from eventfold.cli.output import AsJson, note, print_document, print_fields, print_json, print_table
from eventfold.cli.text import time_text

app = typer.Typer(help="The registry of folds, and what folds do.", no_args_is_help=True)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="Document, YAML or JSON.")]


def _fields(fold: FoldInfo) -> dict[str, Any]:
    return {
        "name": fold.name,
        "revision": fold.revision,
        "digest": fold.digest,
        "put_at": time_text(fold.put_at),
        "put_by": fold.put_by,
    }


@app.command("put")
@with_store
def put(store: Client, file: _File, as_json: AsJson = False) -> None:
    """Register a fold under the name that its document carries."""
    # As a path: a file may be of any name here, and the SDK knows folds by their suffixes.
    found = store.put_fold(as_document(source_of(file)))
    if as_json:
        print_json({**_fields(found), "created": found.created})
        return
    print_fields([*_fields(found).items(), ("new", "yes" if found.created else "no, the same")])


def as_document(source: str) -> str:
    """The text so that the SDK takes it for a document; a line break changes no fold."""
    return source if "\n" in source else source + "\n"


@app.command("list")
@with_store
def list_folds(store: Client, as_json: AsJson = False) -> None:
    """List the newest revision of every registered fold."""
    if as_json:
        for fold in store.list_folds():
            print_json(_fields(fold))
        return
    rows = (
        (one.revision, time_text(one.put_at), one.put_by, one.digest[:12], one.name)
        for one in store.list_folds()
    )
    if print_table(["revision", "put", "by", "digest", "fold"], rows) == 0:
        note("no folds")


@app.command("show")
@with_store
def show(
    store: Client,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the fold.")],
    revision: Annotated[
        int, typer.Option(min=0, help="Which revision, from 1; 0: the newest.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Print the document of a registered fold as it came in."""
    found = store.get_fold(name, revision=revision)
    if as_json:
        print_json({**_fields(found), "source": found.source})
        return
    print_document(found.source)


app.command("check")(fold_check.check)
app.command("explain")(explain.explain)
