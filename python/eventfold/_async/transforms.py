"""Calls on transforms: jobs that read streams and write new ones by a document."""

import time
from collections.abc import AsyncIterator, Callable

from eventfold import _methods as methods
from eventfold._async import _platform
from eventfold._async.connection import AsyncConnection
from eventfold._errors import EventfoldError
from eventfold._generated.errors import DeadlineExceeded
from eventfold._reconnects import Reconnects
from eventfold._requests import whole
from eventfold._settings import check_timeout
from eventfold._sources import Document, source_or_file
from eventfold._transforms import (
    SETTLED,
    TransformInfo,
    TransformPlan,
    TransformSource,
    TransformTarget,
    source_from_wire,
    target_from_wire,
)
from eventfold.v1 import transforms_pb2 as pb

# As long as a transform takes.
_LONG_TIMEOUT_S = 3_600.0
_POLL_FIRST_S = 0.05
_POLL_MAX_S = 1.0


class AsyncTransformCalls:
    """The calls of the service `Transforms`."""

    _connection: AsyncConnection

    async def start_transform(
        self,
        source: Document,
        *,
        dry_run: bool = False,
        states_max: int = 0,
        target: str = "",
        timeout: float | None = None,
    ) -> TransformInfo:
        """Starts a copy-transform, or a dry run of one; `wait_transform` waits for it.

        Either begins with trying the document on all events that are there, which stores nothing:
        a document that fails on one of them ends the job before anything is written. Then events
        are copied, and those that come meanwhile too, until the job is `verified`; it goes on with
        the log until `cut_over` or `cancel_transform`.

        Args:
            source: path of a YAML or JSON document, or the document as a mapping or as text of
                several lines; at most 64 KiB.
            dry_run: it is only tried.
            states_max: pairs of streams whose states are compared, where the document names two
                folds; at most 100,000. 0, the default: 1,000.
            target: another server that it copies to, by its name in the configuration of this one;
                such a job has no cut-over. Default: the same store.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            InvalidTransform: it does not compile; the facts have line, column and excerpt.
            TransformTooLarge, ExpressionTooLong, ExpressionTooDeep: see there.
            TransformIntoSource: it would write into a category that it reads.
            TransformTargetUnknown: the server knows no other one of that name.
            FoldNotFound: a fold that it names is not registered.
            StorageFull, OutcomeUnknown: see there.
            OSError: the file cannot be read.
        """
        request = pb.StartTransformRequest(
            source=source_or_file(source),
            dry_run=dry_run,
            states_max=whole(states_max, "states_max"),
            target=target,
        )
        answer = await self._connection.unary(methods.START_TRANSFORM, request, timeout)
        return TransformInfo._from_wire(answer.transform)

    async def get_transform(
        self, transform_id: str, *, timeout: float | None = None
    ) -> TransformInfo:
        """Describes a transform: how far it is, and what it found.

        Raises:
            TransformNotFound: there is none of this id.
        """
        request = pb.GetTransformRequest(transform_id=transform_id)
        answer = await self._connection.unary(methods.GET_TRANSFORM, request, timeout)
        return TransformInfo._from_wire(answer.transform)

    async def list_transforms(
        self, *, page_size: int = 100, timeout: float | None = None
    ) -> AsyncIterator[TransformInfo]:
        """Lists transforms, the newest first, fetching page after page.

        Args:
            page_size: transforms fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListTransformsRequest(page_size=page_size)
        while True:
            page = await self._connection.unary(methods.LIST_TRANSFORMS, request, timeout)
            for one in page.transforms:
                yield TransformInfo._from_wire(one)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def list_transform_streams(
        self, transform_id: str, *, page_size: int = 1_000, timeout: float | None = None
    ) -> AsyncIterator[TransformSource | TransformTarget]:
        """Lists the streams that a transform has read and written, fetching page after page; both
        kinds in byte order of their names.

        Args:
            transform_id: id of the transform.
            page_size: streams of each kind fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.

        Raises:
            TransformNotFound: there is none of this id.
        """
        request = pb.GetTransformRequest(transform_id=transform_id, page_size=page_size)
        while True:
            page = await self._connection.unary(methods.GET_TRANSFORM, request, timeout)
            for source in page.streams:
                yield source_from_wire(source)
            for target in page.targets:
                yield target_from_wire(target)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def wait_transform(
        self,
        transform_id: str,
        *,
        on_progress: Callable[[TransformInfo], object] | None = None,
        timeout: float = _LONG_TIMEOUT_S,
    ) -> TransformInfo:
        """Waits until a transform is where it stays by itself: `tried`, `verified`, `done`,
        `cancelled` or `failed`.

        It asks again and again, also while servers are restarted.

        Args:
            transform_id: id of the transform.
            on_progress: called with the transform each time that it was looked at.
            timeout: seconds for all of it. Default: an hour.

        Raises:
            TransformNotFound: there is none of this id.
            DeadlineExceeded: it has not come so far within `timeout`.
        """
        deadline = time.monotonic() + check_timeout(timeout)
        reconnects = Reconnects(f"wait for {transform_id}", self._connection.timeout(None))
        pause = _POLL_FIRST_S
        while True:
            reconnects.begin()
            try:
                found = await self.get_transform(transform_id)
            except EventfoldError as error:
                pause = reconnects.pause_s(error)
            else:
                reconnects.heard(is_new=True)
                if on_progress is not None:
                    on_progress(found)
                if found.state in SETTLED:
                    return found
                pause = min(_POLL_MAX_S, pause * 1.5)
            if time.monotonic() + pause > deadline:
                facts = {"deadline_ms": round(timeout * 1000)}
                raise DeadlineExceeded(f"{transform_id} does not settle in {timeout:g} s", facts)
            await _platform.sleep(pause)

    async def cut_over(
        self,
        transform_id: str,
        *,
        cutover_ms_max: int = 0,
        dry_run: bool = False,
        timeout: float | None = None,
    ) -> TransformInfo:
        """Begins to put the targets of a verified transform in the place of its sources, which are
        closed; `wait_transform` waits until it is `done`.

        Args:
            transform_id: id of the transform.
            cutover_ms_max: the longest that a step may hold up appends, in milliseconds, 20 to
                5,000. 0, the default: 250.
            dry_run: nothing is begun; `plan` of the answer says what is to be done along with it.
            timeout: seconds for the call. Default: that of the client.

        Returns:
            The transform, with `plan`.

        Raises:
            TransformNotFound: there is none of this id.
            TransformState: it is not verified, or its cut-over has begun already.
            OutcomeUnknown: see there.
        """
        request = pb.CutOverRequest(
            transform_id=transform_id,
            cutover_ms_max=whole(cutover_ms_max, "cutover_ms_max"),
            dry_run=dry_run,
        )
        answer = await self._connection.unary(methods.CUT_OVER, request, timeout)
        return TransformInfo._from_wire(answer.transform, TransformPlan._from_wire(answer.plan))

    async def cancel_transform(
        self, transform_id: str, *, timeout: float | None = None
    ) -> TransformInfo:
        """Ends a transform: sources that its cut-over has closed are opened again, targets stay and
        are closed. `wait_transform` waits until it is `cancelled`.

        Raises:
            TransformNotFound: there is none of this id.
            TransformState: its cut-over is done or nearly, or it has ended already.
            OutcomeUnknown: see there.
        """
        request = pb.CancelTransformRequest(transform_id=transform_id)
        answer = await self._connection.unary(methods.CANCEL_TRANSFORM, request, timeout)
        return TransformInfo._from_wire(answer.transform)
