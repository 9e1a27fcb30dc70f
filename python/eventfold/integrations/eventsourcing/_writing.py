"""Appends that store events of several streams, and what concerns them, all or none."""

from collections.abc import Sequence
from typing import Protocol

from eventsourcing.persistence import IntegrityError, OperationalError

from eventfold import AppendResult, ChecksFailed, Client, StreamAppend, VersionConflict
from eventfold.integrations.eventsourcing._errors import persistence_error

# Each round is lost to a writer that stored something meanwhile; so many in a row mean that
# something else is wrong.
_ROUNDS_MAX = 50


class Part(Protocol):
    """What one insertion stores in one stream."""

    def planned(self) -> StreamAppend:
        """The append, with the version that the stream is believed to have.

        Raises:
            IntegrityError: it can never be stored.
        """
        ...

    def plan_again(self) -> None:
        """Looks again, after the stream turned out to be at another version.

        Raises:
            IntegrityError: it can never be stored.
        """
        ...


def store(client: Client, parts: Sequence[Part]) -> list[AppendResult]:
    """Stores the parts in their order, all or none; returns the result of each.

    Every event has an id, so the client repeats an append of unknown outcome without storing it
    twice. A conflict means that nothing was stored.

    Raises:
        IntegrityError: another writer was faster, or a version is stored already.
        EventfoldError: as `Client.append`.
    """
    conflicts: dict[int, VersionConflict] = {}
    for _ in range(_ROUNDS_MAX):
        for index, conflict in conflicts.items():
            try:
                parts[index].plan_again()
            except IntegrityError as error:
                raise error from conflict
        appends = [part.planned() for part in parts]
        try:
            if len(appends) > 1:
                return list(client.append_many(appends))
            stream, events, expected = appends[0]
            return [client.append(stream, events, expected_version=expected)]
        except VersionConflict as error:
            conflicts = {0: error}
        except ChecksFailed as error:
            conflicts = _conflicts(error)
    raise OperationalError(f"other writers were faster {_ROUNDS_MAX} times in a row")


def _conflicts(error: ChecksFailed) -> dict[int, VersionConflict]:
    found = {}
    for check in error.failed:
        if not isinstance(check.error, VersionConflict) or check.append_index is None:
            raise persistence_error(check.error) from error
        found[check.append_index] = check.error
    return found
