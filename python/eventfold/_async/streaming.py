"""Answers that come in many messages, and go on when the connection breaks."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._errors import UnexpectedAnswer
from eventfold._methods import Method, Safety
from eventfold._progress import ItemT_co, Progress


async def batches(
    connection: AsyncConnection,
    method: Method[Any, Any],
    progress: Progress[Any, ItemT_co],
    timeout: float | None,
    *,
    resumes: bool = True,
) -> AsyncIterator[Sequence[ItemT_co]]:
    """The items of an answer, those of a message together, each once, however often it breaks.

    Args:
        connection: the connection.
        method: the RPC.
        progress: what has come, and what is still to be asked for.
        timeout: seconds in which something new has to come; without `resumes`, for all of it.
        resumes: whether a call that broke goes on where it was, or begins anew.
    """
    seconds = connection.timeout(timeout)
    failures = 0
    while True:
        has_progress = False
        call = connection.stream(method, progress.request(), seconds)
        try:
            while (message := await call.next()) is not None:
                items = progress.accept(method.decode(message))
                if items:
                    has_progress = True
                    yield items
            if progress.finish():
                return
            if not (has_progress and resumes):
                raise UnexpectedAnswer("the answer stopped before its end")
            continue
        except CallError as error:
            failure = connection.failure(error, seconds, Safety.READ)
        finally:
            call.cancel()
        failures = 0 if has_progress and resumes else failures + 1
        await connection.pause_or_raise(failure, failures)
