"""Folding recorded events in this process, with the same core as the server."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from eventfold import _core
from eventfold._errors import EventfoldError
from eventfold._events import RecordedEvent
from eventfold._generated.errors import BY_REASON
from eventfold._json import Numbers
from eventfold._results import Hydrated
from eventfold._streams import FoldLike, fold_source

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


def _micros(value: "Timestamp") -> int:
    return value.seconds * 1_000_000 + value.nanos // 1000


def fold_locally(
    fold: FoldLike, stream: str, events: Iterable[RecordedEvent], numbers: Numbers = "decimal"
) -> Hydrated:
    """Folds the events of one stream as `hydrate` would.

    Raises:
        TypeError: `fold` is a name, which only a server can look up.
        InvalidFold, FoldFailed and the other errors of `hydrate`.
    """
    source = fold_source(fold)
    if source is None:
        raise TypeError(f"{fold!r} is the name of a registered fold; give its document here")
    try:
        compiled = _core.Fold(source)
        run = compiled.run(stream, stream)
        for event in events:
            message = event._message
            run.feed_event(
                type=message.type,
                data=message.data,
                metadata=message.metadata,
                tags=list(message.tags),
                event_id=message.id,
                version=message.version,
                position=message.position,
                recorded_us=_micros(message.recorded_at),
                occurred_us=_micros(message.occurred_at),
                writer=message.writer,
            )
        result = run.finish()
    except _core.CoreError as error:
        raise _as_error(error) from None
    return Hydrated(
        exists=result.exists,
        state_json=result.state,
        version=result.version,
        position=result.position,
        events_read=result.events_read,
        events_folded=result.events_folded,
        fold_digest=compiled.digest,
        _numbers=numbers,
    )


def _as_error(error: _core.CoreError) -> EventfoldError:
    cls = BY_REASON.get(error.reason)
    if cls is None:
        return EventfoldError(error.message, error.facts, reason=error.reason)
    return cls._make(error.message, error.facts)
