"""Calls on projections: their documents, generations and failures."""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Literal

from eventfold import _methods as methods
from eventfold._async import _platform
from eventfold._async.projection_queries import AsyncProjectionQueries
from eventfold._async.streaming import last_report
from eventfold._errors import EventfoldError
from eventfold._generated.errors import DeadlineExceeded
from eventfold._projections import (
    Generation,
    ParkedKey,
    ProjectionInfo,
    ProjectionRetry,
    SwitchWhen,
    Verification,
    is_settled,
    stopped_error,
    switch_to_wire,
)
from eventfold._reconnects import Reconnects
from eventfold._requests import texts, whole
from eventfold._settings import check_timeout
from eventfold._sources import Document, source_or_file
from eventfold.v1 import projections_pb2 as pb

# As long as a projection takes.
_LONG_TIMEOUT_S = 3_600.0
_POLL_FIRST_S = 0.05
_POLL_MAX_S = 1.0


class AsyncProjectionCalls(AsyncProjectionQueries):
    """The calls of the service `Projections`."""

    async def put_projection(
        self,
        source: Document,
        *,
        switch: SwitchWhen = "when verified",
        in_place: bool = False,
        timeout: float | None = None,
    ) -> ProjectionInfo:
        """Registers a projection under the name that its document carries.

        The same document again changes nothing but `switch` and what it says of errors. Another one
        begins a new generation, which the server builds while queries see the old one;
        `wait_projection` waits for it. A generation that is not active yet gives way to what is
        put, also to the document of the active one.

        Args:
            source: path of a YAML or JSON document, or the document as a mapping or as text of
                several lines; at most 64 KiB.
            switch: when the new generation takes the place of the active one: `when verified`, the
                default: as soon as it has caught up and a verification found no difference; `when
                caught up`; `by hand`: only by `switch_projection`. The first generation of a
                projection does so when it has caught up, in any case.
            in_place: the document takes the place of the active one, and nothing is built anew:
                for a change that alters nothing but what becomes of events that failed. Source,
                key, columns and indexes must be the same.
            timeout: seconds for the call. Default: that of the client.

        Returns:
            The projection; `generation` has the document, `created` says whether it is new.

        Raises:
            InvalidProjection, InvalidFold: it does not compile; the facts have line, column and
                excerpt.
            ProjectionTooLarge, ExpressionTooLong, ExpressionTooDeep: see there.
            FoldNotFound: the fold that it names is not registered.
            InvalidRequest: `in_place`, and more has changed.
            StorageFull, OutcomeUnknown: see there.
            OSError: the file cannot be read.
        """
        request = pb.PutProjectionRequest(
            source=source_or_file(source), switch=switch_to_wire(switch), in_place=in_place
        )
        answer = await self._connection.unary(methods.PUT_PROJECTION, request, timeout)
        return ProjectionInfo._from_wire(answer.projection, answer.generation, answer.created)

    async def get_projection(self, name: str, *, timeout: float | None = None) -> ProjectionInfo:
        """Describes a projection with its generations, and how far they are.

        Raises:
            ProjectionNotFound: there is none.
        """
        request = pb.GetProjectionRequest(name=name)
        answer = await self._connection.unary(methods.GET_PROJECTION, request, timeout)
        return ProjectionInfo._from_wire(answer.projection)

    async def list_projections(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[ProjectionInfo]:
        """Lists projections in byte order of their names, fetching page after page.

        Args:
            page_size: projections fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListProjectionsRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_PROJECTIONS, request, timeout)
            for projection in page.projections:
                yield ProjectionInfo._from_wire(projection)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def rebuild_projection(
        self, name: str, *, switch: SwitchWhen = "when verified", timeout: float | None = None
    ) -> ProjectionInfo:
        """Begins a new generation of the document that was put last: from the first event on, and
        with the newest revision of the fold that it names.

        Args:
            name: name of the projection.
            switch: as in `put_projection`.
            timeout: seconds for the call. Default: that of the client.

        Returns:
            The projection; `generation` is the new one.

        Raises:
            ProjectionNotFound: there is none.
            InvalidProjection, InvalidFold, FoldNotFound: the fold has changed, and both do not
                compile together any more.
            StorageFull, OutcomeUnknown: see there.
        """
        request = pb.RebuildProjectionRequest(name=name, switch=switch_to_wire(switch))
        answer = await self._connection.unary(methods.REBUILD_PROJECTION, request, timeout)
        return ProjectionInfo._from_wire(answer.projection, answer.generation, True)

    async def wait_projection(
        self,
        name: str,
        *,
        generation: int = 0,
        until: Literal["active", "caught up"] = "active",
        on_progress: Callable[[ProjectionInfo], object] | None = None,
        timeout: float = _LONG_TIMEOUT_S,
    ) -> Generation:
        """Waits until a generation has come as far as it does by itself.

        It asks again and again, also while servers are restarted.

        Args:
            name: name of the projection.
            generation: number of the generation. 0, the default: the newest.
            until: `active`, the default: queries see it; or it has caught up, and is switched to
                only by hand, or its verification found differences: look at `state`. `caught up`:
                it has caught up with the log.
            on_progress: called with the projection each time that it was looked at.
            timeout: seconds for all of it. Default: an hour.

        Raises:
            ProjectionStopped: it stopped at an event that fails; `__cause__` is why.
            ProjectionNotFound: there is none, or the generation was dropped or superseded.
            DeadlineExceeded: it has not come so far within `timeout`.
        """
        if until not in ("active", "caught up"):
            raise ValueError(f"until is 'active' or 'caught up', not {until!r}")
        deadline = time.monotonic() + check_timeout(timeout)
        reconnects = Reconnects(f"wait for {name}", self._connection.timeout(None))
        pause, number = _POLL_FIRST_S, whole(generation, "generation")
        while True:
            reconnects.begin()
            try:
                found = await self.get_projection(name)
            except EventfoldError as error:
                pause = reconnects.pause_s(error)
            else:
                reconnects.heard(is_new=True)
                one = found.find(number)
                number = one.generation
                if on_progress is not None:
                    on_progress(found)
                if is_settled(found, one, until):
                    return one
                if one.stopped is not None:
                    raise stopped_error(name, one) from one.stopped
                pause = min(_POLL_MAX_S, pause * 1.5)
            if time.monotonic() + pause > deadline:
                facts = {"deadline_ms": round(timeout * 1000)}
                raise DeadlineExceeded(f"{name} is not {until} within {timeout:g} s", facts)
            await _platform.sleep(pause)

    async def verify_projection(
        self,
        name: str,
        *,
        generation: int = 0,
        keys: int = 0,
        on_progress: Callable[[int, int], object] | None = None,
        timeout: float = _LONG_TIMEOUT_S,
    ) -> Verification:
        """Compares a generation with a fold from scratch: counts rows, folds a sample of them
        afresh, and compares byte for byte.

        Args:
            name: name of the projection.
            generation: number of the generation. 0, the default: the newest.
            keys: keys that are folded afresh, drawn at random; at most 10,000. 0, the default: 100.
            on_progress: called with the position up to which events were looked at, and the one at
                which the comparison is made.
            timeout: seconds for all of it. Default: an hour.

        Returns:
            What was found; it is kept with the generation. A difference is no error.

        Raises:
            ProjectionNotFound: there is no such projection, or generation.
        """
        request = pb.VerifyProjectionRequest(
            name=name, generation=whole(generation, "generation"), keys=keys
        )

        def tell(report: pb.VerifyProjectionResponse) -> None:
            if on_progress is not None:
                on_progress(report.position, report.to_position)

        answer = await last_report(
            self._connection, methods.VERIFY_PROJECTION, request, tell, timeout
        )
        return Verification._from_wire(answer.verification)

    async def switch_projection(
        self, name: str, *, generation: int = 0, timeout: float | None = None
    ) -> ProjectionInfo:
        """Lets queries see another generation, from one moment to the next.

        The one that they saw until then is kept up to date, so that switching back is as quick.

        Args:
            name: name of the projection.
            generation: number of a generation that is ready or on standby. 0, the default: the
                newest.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            ProjectionNotFound: there is no such projection, or generation.
            ProjectionNotReady: the generation has not caught up yet.
            ProjectionInUse: a transaction reads its view for long, or other objects of the database
                depend on it.
            OutcomeUnknown: see there.
        """
        request = pb.SwitchProjectionRequest(name=name, generation=whole(generation, "generation"))
        answer = await self._connection.unary(methods.SWITCH_PROJECTION, request, timeout)
        return ProjectionInfo._from_wire(answer.projection)

    async def drop_projection(
        self, name: str, *, generation: int | None = None, timeout: float | None = None
    ) -> None:
        """Drops a projection with all of its rows, or one generation that queries do not see.

        Args:
            name: name of the projection.
            generation: number of the generation, from 1. Default: the whole projection.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            ProjectionNotFound: there is no such projection, or generation.
            ProjectionInUse: queries see the generation; or its view cannot be dropped, as in
                `switch_projection`.
            OutcomeUnknown: see there.
        """
        if generation is not None and whole(generation, "generation") < 1:
            # 0 is the whole projection on the wire, which nobody should say by mistake.
            raise ValueError(f"generations count from 1, not {generation}")
        request = pb.DropProjectionRequest(name=name, generation=generation or 0)
        await self._connection.unary(methods.DROP_PROJECTION, request, timeout)

    async def retry_projection(
        self,
        name: str,
        *,
        generation: int = 0,
        keys: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> ProjectionRetry:
        """Goes on after a failure: parked keys get exactly the events on their lists, in order, and
        a generation that stopped tries the event at which it did again.

        Of many keys a call may not come to the end within its timeout; then call again.

        Args:
            name: name of the projection.
            generation: number of the generation. 0, the default: the active one, or the newest if
                none is active.
            keys: parked keys, 1 to 1,000. Default: all.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            ProjectionNotFound: there is no such projection, or generation.
            OutcomeUnknown: see there; it may be repeated.
        """
        names = None if keys is None else texts(keys, "keys")
        if names == []:
            # No keys mean all of them on the wire.
            raise ValueError("name the keys, or leave them out for all")
        request = pb.RetryProjectionRequest(
            name=name, generation=whole(generation, "generation"), keys=names
        )
        answer = await self._connection.unary(methods.RETRY_PROJECTION, request, timeout)
        return ProjectionRetry._from_wire(answer)

    async def list_parked_keys(
        self,
        name: str,
        *,
        generation: int = 0,
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncIterator[ParkedKey]:
        """Lists the parked keys of a generation in byte order, fetching page after page.

        Args:
            name: name of the projection.
            generation: as in `retry_projection`.
            page_size: keys fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.

        Raises:
            ProjectionNotFound: there is no such projection, or generation.
        """
        request = pb.ListParkedKeysRequest(
            name=name, generation=whole(generation, "generation"), page_size=page_size
        )
        while True:
            page = await self._connection.unary(methods.LIST_PARKED_KEYS, request, timeout)
            for parked in page.keys:
                yield ParkedKey._from_wire(parked)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
