"""Closing the books of streams."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from eventfold import _methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._closing import ClosedStream, close_request
from eventfold._expected import EXISTS, ExpectedVersion
from eventfold._fold import FoldLike


class AsyncClosingCalls:
    """The calls that end streams."""

    _connection: AsyncConnection

    async def close_stream(
        self,
        stream: str,
        *,
        successor: str | None,
        folds: Iterable[FoldLike] = (),
        expected_version: ExpectedVersion = EXISTS,
        closing_type: str = "",
        opening_type: str = "",
        closing_data: Mapping[str, Any] | None = None,
        opening_data: Mapping[str, Any] | None = None,
        closing_id: str | uuid.UUID | None = None,
        opening_id: str | uuid.UUID | None = None,
        follow: Literal["all"] | None = None,
        timeout: float | None = None,
    ) -> ClosedStream:
        """Closes the books of a stream, and opens the one that goes on with the states of folds.

            store.close_stream("account-123", successor="account-123@2018", folds=["account"])

        The stream refuses events from then on and stays readable. All happens in one transaction:
        every event that races with it is in the old books, and in the states, or is refused. It is
        repeated by itself when the connection breaks; a close that is done already is found.

        Args:
            stream: name of the stream.
            successor: name of the stream that goes on, of the same category and without events;
                None: none does, the stream only ends.
            folds: folds whose states the successor starts from, as in `hydrate`.
            expected_version: the version that the close was decided on. `eventfold.EXISTS`, the
                default: whichever it is; tried again while the stream moves.
            closing_type: type of the closing event. Default: `$Closed`.
            opening_type: type of the opening event. Default: `$Opened`.
            closing_data: what the closing event has beside `successor`. Default: nothing.
            opening_data: what the opening event has beside `predecessor` and `states`. Default:
                nothing.
            closing_id: id of the closing event. Default: a new one.
            opening_id: id of the opening event. Default: a new one.
            follow: `all`: a fold whose state the stream itself was not opened with is folded
                through all periods. Default: it is refused.
            timeout: seconds for the call with its repetitions. Default: that of the client.

        Raises:
            StreamNotFound, StreamDeleted: there is nothing to close.
            StreamClosed: it is closed, but with another successor or other folds.
            SuccessorExists: the successor has events.
            VersionConflict: the stream is at another version.
            StateNotCarried: it was opened with no state of the fold.
            EventTooLarge: the states are too large together.
            FoldFailed and the other errors of `hydrate`: a fold cannot be folded; nothing is
                closed.
            SchemaViolation, MappingFailed: an event does not fit the rules of its type.
            EventIdReused, InvalidEventType, InvalidJson, InvalidRequest, InvalidStreamName: see
                there.
        """
        request = close_request(
            stream,
            expected_version,
            successor,
            folds,
            (closing_type, opening_type),
            (closing_data, opening_data),
            (closing_id, opening_id),
            follow,
        )
        answer = await self._connection.unary(methods.CLOSE_STREAM, request, timeout)
        return ClosedStream._from_wire(stream, answer)
