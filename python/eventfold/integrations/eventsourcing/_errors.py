"""From errors of eventfold to those of the library `eventsourcing`."""

from collections.abc import Iterator
from contextlib import contextmanager

from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)

import eventfold
from eventfold import EventfoldError

# The first that fits counts.
_KINDS: tuple[tuple[tuple[type[EventfoldError], ...], type[PersistenceError]], ...] = (
    ((eventfold.VersionConflict, eventfold.EventIdReused), IntegrityError),
    ((eventfold.UnexpectedAnswer,), InterfaceError),
    ((eventfold.Bug, eventfold.EventCorrupt), InternalError),
    (
        (eventfold.SchemaViolation, eventfold.MappingFailed, eventfold.ReferenceNotFound),
        DataError,
    ),
    (
        (
            eventfold.Overloaded,
            eventfold.StorageFull,
            eventfold.StoreIncarnationChanged,
            eventfold.PositionAhead,
        ),
        OperationalError,
    ),
    (
        (
            eventfold.StreamClosed,
            eventfold.StreamDeleted,
            eventfold.Unauthenticated,
            eventfold.PermissionDenied,
            eventfold.InsecureConnection,
        ),
        ProgrammingError,
    ),
)


def persistence_error(error: EventfoldError) -> PersistenceError:
    """The error that the library expects in the place of one of eventfold.

    `IntegrityError`: another writer was faster, or the version is stored already.
    `OperationalError`: the store cannot be reached, is overloaded or full, or an outcome is
    unknown. `DataError`: what was handed in is refused. `ProgrammingError`: the caller may not, or
    the stream takes no events. `InterfaceError`, `InternalError`: what answers is no eventfold, or
    is broken. Else `DatabaseError`.
    """
    if isinstance(error, eventfold.ChecksFailed) and error.failed:
        return persistence_error(error.failed[0].error)
    text = f"{error.reason}: {error.message}"
    for classes, kind in _KINDS:
        if isinstance(error, classes):
            return kind(text)
    if isinstance(error, ConnectionError | TimeoutError):
        return OperationalError(text)
    # All refusals of arguments are ValueErrors.
    return DataError(text) if isinstance(error, ValueError) else DatabaseError(text)


@contextmanager
def translated() -> Iterator[None]:
    """Raises errors of eventfold as those of the library, with the original as their cause; that
    the client is closed, or belongs to another process, as `InterfaceError`.
    """
    try:
        yield
    except EventfoldError as error:
        raise persistence_error(error) from error
    except RuntimeError as error:
        # The SDK has no class for a client that is closed or belongs to another process.
        if type(error) is not RuntimeError or not str(error).startswith("the client "):
            raise
        raise InterfaceError(str(error)) from error
    except UnicodeError as error:
        # Half of a surrogate pair in an id or a topic.
        raise DataError(str(error)) from error
