"""Calls that answer rows of projections."""

from collections.abc import AsyncIterator, Iterable
from typing import Any, overload

from eventfold import _methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._models import ModelT, converter
from eventfold._projection_rows import (
    Freshness,
    ProjectionCount,
    ProjectionPage,
    ProjectionRow,
    ProjectionTrial,
    order_to_wire,
    query_request,
)
from eventfold._requests import whole
from eventfold._sources import Document, source_or_file
from eventfold.v1 import projections_pb2 as pb


class AsyncProjectionQueries:
    """The calls of the service `Projections` that answer rows."""

    _connection: AsyncConnection

    @overload
    def query_projection(
        self,
        name: str,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        columns: Iterable[str] = (),
        at_least_position: int = 0,
        page_size: int = 100,
        into: None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[ProjectionRow]: ...

    @overload
    def query_projection(
        self,
        name: str,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        columns: Iterable[str] = (),
        at_least_position: int = 0,
        page_size: int = 100,
        into: type[ModelT],
        timeout: float | None = None,
    ) -> AsyncIterator[ProjectionRow[ModelT]]: ...

    async def query_projection(
        self,
        name: str,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        columns: Iterable[str] = (),
        at_least_position: int = 0,
        page_size: int = 100,
        into: type[Any] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[ProjectionRow[Any]]:
        """The rows of a projection that pass a filter, fetching page after page.

            for row in store.query_projection(
                "adult_users", "born_on <= years_before(today, 18)", order=["-born_on", "name"]
            ):
                print(row.key, row.columns["name"])

        Each page is consistent in itself; a row that is moved by an event between two pages can
        come twice, or not at all, if it is moved in the order.

        Args:
            name: name of the projection.
            filter: expression of the filter language that is true of the row, at most 4 KiB; values
                stand in it as literals. Empty, the default: all rows.
            order: up to 8 columns, or `key`, `version`, `position`; a leading `-` is descending.
                Rows without a value come last, either way. Default: by key.
            columns: columns to return. Default: all.
            at_least_position: waits until all events up to this position, such as the last of
                `AppendResult.positions`, are in the table: whoever was told of an append sees it.
                0, the default: does not wait.
            page_size: rows fetched at once, 1 to 1,000.
            into: class of `columns`: a dataclass, a pydantic model, a msgspec Struct. Default: a
                dict.
            timeout: seconds for each page. Default: that of the client.

        Returns:
            An iterator over `ProjectionRow`. Its errors come when it is used:

        Raises:
            InvalidExpression, ExpressionTooLong, ExpressionTooDeep: the filter.
            InvalidRequest: a column that the projection has not, or another parameter.
            ProjectionNotFound: there is none.
            ProjectionNotReady: no generation of it has caught up yet.
            ProjectionStopped: it stopped before `at_least_position`.
            DeadlineExceeded: it did not get to `at_least_position` in time.
        """
        convert = None if into is None else converter(into)
        numbers = self._connection.settings.numbers
        request = query_request(name, filter, order, columns, at_least_position, page_size)
        while True:
            page = await self._connection.unary(methods.QUERY_PROJECTION, request, timeout)
            for row in page.rows:
                yield ProjectionRow._from_wire(row, numbers, convert)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    @overload
    async def query_projection_page(
        self,
        name: str,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        columns: Iterable[str] = (),
        at_least_position: int = 0,
        page_size: int = 100,
        page_token: str = "",
        into: None = None,
        timeout: float | None = None,
    ) -> ProjectionPage: ...

    @overload
    async def query_projection_page(
        self,
        name: str,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        columns: Iterable[str] = (),
        at_least_position: int = 0,
        page_size: int = 100,
        page_token: str = "",
        into: type[ModelT],
        timeout: float | None = None,
    ) -> ProjectionPage[ModelT]: ...

    async def query_projection_page(
        self,
        name: str,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        columns: Iterable[str] = (),
        at_least_position: int = 0,
        page_size: int = 100,
        page_token: str = "",
        into: type[Any] | None = None,
        timeout: float | None = None,
    ) -> ProjectionPage[Any]:
        """One page of the rows that `query_projection` gives, and how fresh it is.

        Args:
            name: name of the projection.
            filter: as in `query_projection`, and so are the parameters that are not named here.
            order: as there.
            columns: as there.
            at_least_position: as there.
            page_size: most rows, 1 to 1,000; a page also ends at about 1 MiB.
            page_token: `next_page_token` of the page before, with the same filter and order. Empty,
                the default: the first page.
            into: as there.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            EventfoldError: as in `query_projection`.
        """
        convert = None if into is None else converter(into)
        numbers = self._connection.settings.numbers
        request = query_request(name, filter, order, columns, at_least_position, page_size)
        request.page_token = page_token
        answer = await self._connection.unary(methods.QUERY_PROJECTION, request, timeout)
        rows = (ProjectionRow._from_wire(row, numbers, convert) for row in answer.rows)
        fresh = Freshness._from_wire(answer.freshness)
        return ProjectionPage(tuple(rows), answer.next_page_token, fresh)

    async def count_projection(
        self,
        name: str,
        filter: str = "",
        *,
        at_least_position: int = 0,
        timeout: float | None = None,
    ) -> ProjectionCount:
        """Counts the rows of a projection that pass a filter. All as in `query_projection`."""
        request = pb.CountProjectionRequest(
            name=name,
            filter=filter,
            at_least_position=whole(at_least_position, "at_least_position"),
        )
        answer = await self._connection.unary(methods.COUNT_PROJECTION, request, timeout)
        return ProjectionCount(answer.rows, Freshness._from_wire(answer.freshness))

    @overload
    async def try_projection(
        self,
        source: Document,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        from_position: int = 0,
        events_max: int = 0,
        page_size: int = 100,
        into: None = None,
        timeout: float | None = None,
    ) -> ProjectionTrial: ...

    @overload
    async def try_projection(
        self,
        source: Document,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        from_position: int = 0,
        events_max: int = 0,
        page_size: int = 100,
        into: type[ModelT],
        timeout: float | None = None,
    ) -> ProjectionTrial[ModelT]: ...

    async def try_projection(
        self,
        source: Document,
        filter: str = "",
        *,
        order: Iterable[str] = (),
        from_position: int = 0,
        events_max: int = 0,
        page_size: int = 100,
        into: type[Any] | None = None,
        timeout: float | None = None,
    ) -> ProjectionTrial[Any]:
        """Folds a bounded number of events with a document that need not be registered, answers
        rows of that, and keeps nothing.

        Args:
            source: the document, as in `put_projection`.
            filter: as in `query_projection`.
            order: as in `query_projection`.
            from_position: position to begin with, inclusive. 0, the default: the beginning.
            events_max: most events of its source to fold, at most 100,000. 0, the default: 10,000.
            page_size: most rows to return, 1 to 1,000.
            into: as in `query_projection`.
            timeout: seconds for the call. Default: that of the client.

        Returns:
            The first rows, and what became of the events; one that fails is no error here:
            `stopped`.

        Raises:
            InvalidProjection, InvalidFold and the other errors of the document: as in
                `put_projection`.
            InvalidExpression: the filter.
            PositionAhead: `from_position` is beyond the head + 1.
            InvalidRequest: see there.
            OSError: the file cannot be read.
        """
        convert = None if into is None else converter(into)
        request = pb.TryProjectionRequest(
            source=source_or_file(source),
            from_position=whole(from_position, "from_position"),
            events_max=events_max,
            filter=filter,
            order=order_to_wire(order),
            page_size=page_size,
        )
        answer = await self._connection.unary(methods.TRY_PROJECTION, request, timeout)
        return ProjectionTrial._from_wire(answer, self._connection.settings.numbers, convert)
