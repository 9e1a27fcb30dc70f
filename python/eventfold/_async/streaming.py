"""Answers that come in many messages, and go on when the connection breaks."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from eventfold._async.connection import AsyncConnection
from eventfold._core import CallError
from eventfold._errors import UnexpectedAnswer
from eventfold._methods import Method, RequestT
from eventfold._progress import ItemT_co, Progress, Report, ReportT


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
    deadline = None if resumes else time.monotonic() + seconds
    failures = 0
    while True:
        has_progress = False
        left = seconds if deadline is None else max(0.001, deadline - time.monotonic())
        call = connection.stream(method, progress.request(), left)
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
            failure = connection.failure(error, seconds, method.safety)
        finally:
            call.cancel()
        failures = 0 if has_progress and resumes else failures + 1
        await connection.pause_or_raise(failure, failures, method.safety, deadline)


async def last_report(
    connection: AsyncConnection,
    method: Method[RequestT, ReportT],
    request: RequestT,
    on_report: Callable[[ReportT], object] | None,
    timeout: float | None,
) -> ReportT:
    """The last message of an answer whose messages tell how far a long work is.

    Args:
        connection: the connection.
        method: the RPC.
        request: its request.
        on_report: called with each message, the last included.
        timeout: seconds for all of it, however often it begins anew.
    """
    last: ReportT | None = None
    async for messages in batches(connection, method, Report(request), timeout, resumes=False):
        for message in messages:
            last = message
            if on_report is not None:
                on_report(message)
    if last is None or not last.done:
        raise UnexpectedAnswer("the answer stopped without its last message")
    return last
