"""All commands, put together."""

import typer

from eventfold.cli import (
    append,
    cel,
    closing,
    compensate,
    deletion,
    folds,
    generate,
    groups,
    hydrate,
    importing,
    links,
    mappings,
    privacy,
    projections,
    read,
    refs,
    schemas,
    serve,
    streams,
    transforms,
    types,
    version,
    watch,
)
from eventfold.cli.failures import Commands

app = typer.Typer(
    name="eventfold",
    cls=Commands,
    help="An event store: append events to streams, read them, fold them into states.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("serve")(serve.serve)
app.command("append")(append.append)
app.command("compensate")(compensate.compensate)
app.command("read")(read.read)
app.command("refs")(refs.refs)
app.command("close")(closing.close)
app.command("delete")(deletion.delete)
app.command("deletions")(deletion.deletions)
app.command("hydrate")(hydrate.hydrate)
app.command("watch")(watch.watch)
app.command("streams")(streams.streams)
app.command("stream")(streams.stream)
app.add_typer(folds.app, name="fold")
app.add_typer(groups.app, name="group")
app.add_typer(projections.app, name="projection")
app.add_typer(transforms.app, name="transform")
app.add_typer(links.app, name="links")
app.add_typer(schemas.app, name="schema")
app.add_typer(mappings.app, name="mapping")
app.add_typer(types.app, name="types")
app.add_typer(privacy.app, name="privacy")
app.add_typer(generate.app, name="generate")
app.command("cel")(cel.cel)
app.command("import")(importing.import_file)
app.command("version")(version.version)


def main() -> None:
    """Runs the command that the arguments of the process name."""
    app(prog_name="eventfold")
