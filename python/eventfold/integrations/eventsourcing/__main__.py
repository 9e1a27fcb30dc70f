"""Moves an application to eventfold: `python -m eventfold.integrations.eventsourcing --help`."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import (
    InfrastructureFactory,
    InfrastructureFactoryError,
    PersistenceError,
)
from eventsourcing.utils import Environment

from eventfold.integrations.eventsourcing import (
    EventfoldProcessRecorder,
    Factory,
    copy_snapshots,
    copy_store,
    copy_tracking,
)

_DESCRIPTION = """
Copies the events of an application into a store. Where from and where to is said by the variables
of the environment that the recorders read: those of the source, such as SQLITE_DBNAME, and those
that begin with EVENTFOLD_. Run again, it goes on behind what is copied.
"""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m eventfold.integrations.eventsourcing", description=_DESCRIPTION
    )
    parser.add_argument(
        "--from", dest="source", required=True, metavar="MODULE",
        help="the persistence module so far, such as eventsourcing.sqlite",
    )  # fmt: skip
    parser.add_argument(
        "--name", required=True,
        help="name of the application, which is that of its class unless this says another: the "
        "category of the events is made of it, unless EVENTFOLD_CATEGORY names one",
    )  # fmt: skip
    parser.add_argument(
        "--renumber", action="store_true",
        help="do not keep notification ids; for a store that is not empty",
    )  # fmt: skip
    parser.add_argument(
        "--snapshots", action="store_true", help="copy snapshots too, at the very end"
    )
    parser.add_argument(
        "--tracking", action="append", default=[], metavar="APPLICATION",
        help="copy how far the notifications of this application are processed, at the very end",
    )  # fmt: skip
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Copies; returns the exit status."""
    arguments = _arguments(given)
    variables = dict(os.environ)
    names = Environment(arguments.name)
    # Those of the application, if it has any of its own, would win.
    for name in names.create_keys(Factory.PERSISTENCE_MODULE):
        variables[name] = arguments.source
    # Recorders make the tables that they miss: of a mistyped database came an empty one, whose
    # copy is a success.
    for name in names.create_keys("CREATE_TABLE"):
        variables[name] = "no"
    try:
        old: InfrastructureFactory[Any] = InfrastructureFactory.construct(
            Environment(arguments.name, variables)
        )
        with_old = old.process_recorder() if arguments.tracking else old.application_recorder()
        new = Factory(Environment(arguments.name, variables))
        try:
            _copy(arguments, old, with_old, new)
        finally:
            new.close()
            old.close()
    except (InfrastructureFactoryError, PersistenceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _copy(
    arguments: argparse.Namespace,
    old: InfrastructureFactory[Any],
    events: Any,
    new: Factory,
) -> None:
    # Not by the factory: variables may name the classes of the old recorders.
    target = EventfoldProcessRecorder(new.client, new.category)
    copied = copy_store(events, target, keep_ids=not arguments.renumber)
    print(f"{copied.events} events, {copied.fillers} fillers; up to {copied.max_notification_id}")
    if arguments.snapshots:
        snapshots = old.aggregate_recorder("snapshots"), new.aggregate_recorder("snapshots")
        print(f"{copy_snapshots(events, *snapshots)} snapshots")
    if arguments.tracking:
        copy_tracking(events, target, arguments.tracking)
        print(f"trackings of {', '.join(arguments.tracking)}")


if __name__ == "__main__":
    sys.exit(main())
