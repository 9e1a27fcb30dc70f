"""`eventfold privacy`: what is personal, whose it is, and what becomes of it."""

import typer

from eventfold.cli import erasures, privacy_rules, subjects

app = typer.Typer(help="Personal data: what is declared, and its keys.", no_args_is_help=True)
app.add_typer(privacy_rules.app, name="rules")
erasures.register(app)
subjects.register(app)
