"""`eventfold version`."""

import platform
from importlib import metadata

from eventfold import _core
from eventfold.cli.output import AsJson, print_fields, print_json


def version(as_json: AsJson = False) -> None:
    """Print the versions of eventfold and of what it runs on. Needs no server."""
    facts = {
        "eventfold": metadata.version("eventfold"),
        "core": _core.version(),
        "python": platform.python_version(),
        "grpcio": metadata.version("grpcio"),
    }
    if as_json:
        print_json(facts)
    else:
        print_fields(facts.items())
