"""`eventfold generate python, typescript`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from eventfold._codegen import (
    Bundle,
    GenerateFailed,
    of_folder,
    of_store,
    to_python,
    to_typescript,
)
from eventfold.cli.connection import Target, with_target
from eventfold.cli.failures import ExitCode, Failure
from eventfold.cli.output import note

app = typer.Typer(
    help="Code for the data of event types, made of their schemas.", no_args_is_help=True
)

_From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FOLDER",
        file_okay=False,
        exists=True,
        help="Schemas of a folder, TYPE.schema.json, in place of those of a server.",
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write it there; default: stdout."),
]
_Check = Annotated[
    bool,
    typer.Option("--check", help="Write nothing; the exit code is 1 if --output is stale."),
]


@app.command("python")
@with_target
def python(
    target: Target,
    folder: _From = None,
    output: _Output = None,
    style: Annotated[
        Literal["dataclass", "pydantic"], typer.Option(help="Kind of the classes.")
    ] = "dataclass",
    check: _Check = False,
) -> None:
    r"""Write a class for each event type that has a schema, and a table of them.

    It needs datamodel-code-generator: pip install 'eventfold\[generate]'.
    """
    _write(target, folder, output, lambda bundle: to_python(bundle, style), check=check)


@app.command("typescript")
@with_target
def typescript(
    target: Target, folder: _From = None, output: _Output = None, check: _Check = False
) -> None:
    """Write an interface for each event type that has a schema, and one of them all.

    It needs Node.js with npx, or json2ts of json-schema-to-typescript on the PATH.
    """
    _write(target, folder, output, to_typescript, check=check)


def _write(
    target: Target,
    folder: Path | None,
    output: Path | None,
    generate: Callable[[Bundle], str],
    *,
    check: bool,
) -> None:
    if check and output is None:
        raise typer.BadParameter("--check needs the --output that it looks at")
    try:
        if folder is not None:
            documents = of_folder(folder)
        else:
            with target.client() as store:
                documents = of_store(store)
        bundle = Bundle(documents)
        if not bundle.event_types:
            raise GenerateFailed("no event type has a schema")
        text = generate(bundle)
    except GenerateFailed as error:
        raise Failure("GENERATE", error.message, ExitCode.INVALID_INPUT, error.facts) from error
    if output is None:
        sys.stdout.write(text)
    elif not check:
        output.write_text(text, encoding="utf-8")
    elif not output.exists() or output.read_text(encoding="utf-8") != text:
        facts = {"file": str(output)}
        raise Failure("STALE", "generate it again", ExitCode.REFUSED, facts)
    else:
        note(f"{output} is fresh")
