"""The service `eventfold.v1.Folds`."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold import _core
from eventfold.v1 import folds_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.folding import FoldRef, FoldRegistry, RegisteredFold
from eventfold_server.domain.history import Historian, Range
from eventfold_server.domain.hydrate import At, Hydrated, Hydrator
from eventfold_server.domain.many import FoldReport, Many, OfStream
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.tail import Tail
from eventfold_server.domain.watch import Watcher
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.status import to_status


class FoldsService:
    """Decodes requests, calls the domain, encodes answers. States pass as bytes."""

    def __init__(
        self,
        hydrator: Hydrator,
        historian: Historian,
        many: Many,
        watcher: Watcher,
        registry: FoldRegistry,
        tail: Tail,
    ) -> None:
        self._hydrator = hydrator
        self._historian = historian
        self._many = many
        self._watcher = watcher
        self._registry = registry
        self._tail = tail

    async def hydrate(self, request: pb.HydrateRequest, caller: Caller) -> bytes:
        """`Folds.Hydrate`; the answer is serialised already."""
        ref, at = _ref(request.fold), _at(request)
        await self._tail.reach(requests.at_least_position(request.at_least_position), caller)
        return await self._hydrator.hydrate(request.stream, ref, at)

    async def hydrate_many(
        self, request: pb.HydrateManyRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Folds.HydrateMany`; yields serialised messages."""
        await self._tail.reach(requests.at_least_position(request.at_least_position), caller)
        message = pb.HydrateManyResponse()
        size = 0
        async for one in self._many.states(list(request.streams), _ref(request.fold)):
            encoded = _of_stream(one)
            if size and size + encoded.ByteSize() > PAGE_BYTES:
                yield message.SerializeToString()
                message = pb.HydrateManyResponse()
                size = 0
            message.streams.append(encoded)
            size += encoded.ByteSize()
        if size:
            yield message.SerializeToString()

    def hydrate_history(
        self, request: pb.HydrateHistoryRequest, _caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Folds.HydrateHistory`; yields serialised messages."""
        wanted = _range(request.stream, request.from_version, request.to_version)
        return self._historian.states(wanted, _ref(request.fold))

    def explain(self, request: pb.ExplainRequest, _caller: Caller) -> AsyncIterator[bytes]:
        """`Folds.Explain`; yields serialised messages."""
        wanted = replace(
            _range(request.stream, request.from_version, request.to_version),
            recorded_at=_time(request, "recorded_at"),
            occurred_at=_time(request, "occurred_at"),
        )
        return self._historian.explain(wanted, _ref(request.fold))

    async def watch(self, request: pb.WatchRequest, _caller: Caller) -> AsyncIterator[bytes]:
        """`Folds.Watch`; yields serialised messages."""
        from_version = requests.at_least("from_version", request.from_version, 0)
        states = self._watcher.states(request.stream, from_version, _ref(request.fold))
        async with aclosing(states):
            async for state in states:
                yield state if isinstance(state, bytes) else _initial(state)

    async def check_fold(
        self, request: pb.CheckFoldRequest, _caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Folds.CheckFold`; yields serialised messages."""
        async for report in self._many.check(
            requests.text("category", request.category), _ref(request.fold)
        ):
            yield _report(report).SerializeToString()

    async def put_fold(self, request: pb.PutFoldRequest, caller: Caller) -> pb.PutFoldResponse:
        """`Folds.PutFold`."""
        row, created = await self._registry.put(caller, request.source)
        return pb.PutFoldResponse(fold=_fold(row), created=created)

    async def get_fold(self, request: pb.GetFoldRequest, _caller: Caller) -> pb.GetFoldResponse:
        """`Folds.GetFold`."""
        revision = requests.at_least("revision", request.revision, 0)
        name = requests.text("name", request.name)
        return pb.GetFoldResponse(fold=_fold(await self._registry.get(name, revision)))

    async def list_folds(
        self, request: pb.ListFoldsRequest, _caller: Caller
    ) -> pb.ListFoldsResponse:
        """`Folds.ListFolds`."""
        size = requests.page_size(request.page_size)
        after = requests.text("page_token", request.page_token)
        found = await self._registry.list(after, size + 1)
        rows, more = requests.page_of(found, size)
        return pb.ListFoldsResponse(
            folds=[_fold(row) for row in rows],
            next_page_token=rows[-1].name if more else "",
        )


def _ref(fold: pb.FoldRef) -> FoldRef:
    match fold.WhichOneof("kind"):
        case "name":
            return FoldRef(requests.text("fold.name", fold.name), None)
        case "source":
            return FoldRef(None, fold.source)
    raise requests.invalid("fold", "is required: a name or a source")


def _at(request: pb.HydrateRequest) -> At:
    match request.WhichOneof("at"):
        case "version":
            return At(version=requests.at_least("version", request.version, 0))
        case "position":
            return At(position=requests.at_least("position", request.position, 0))
        case "recorded_at":
            return At(recorded_at=_time(request, "recorded_at"))
        case "occurred_at":
            return At(occurred_at=_time(request, "occurred_at"))
    return At()


def _time(request: pb.HydrateRequest | pb.ExplainRequest, field: str) -> datetime | None:
    """The time in a field of the request; None if it is not set."""
    if not request.HasField(field):  # type: ignore[arg-type]
        return None
    time = request.recorded_at if field == "recorded_at" else request.occurred_at
    return requests.to_datetime(requests.time_us(time.seconds, time.nanos, field))


def _range(stream: str, from_version: int, to_version: int) -> Range:
    """The range of a request, in which 0 stands for the default."""
    return Range(
        stream=stream,
        from_version=requests.at_least("from_version", from_version, 0) or 1,
        to_version=requests.at_least("to_version", to_version, 0) or None,
    )


def _initial(result: _core.FoldResult) -> bytes:
    """The message of a watched stream without events."""
    state = pb.HistoricState(version=0, exists=result.exists, state=result.state)
    return pb.WatchResponse(states=[state]).SerializeToString()


def _hydrated(hydrated: Hydrated) -> pb.HydrateResponse:
    result = hydrated.result
    return pb.HydrateResponse(
        exists=result.exists,
        state=result.state,
        version=result.version,
        position=result.position,
        events_read=hydrated.events_read,
        events_folded=result.events_folded,
        fold_digest=hydrated.fold_digest,
        kept_version=hydrated.kept_version,
    )


def _of_stream(one: OfStream) -> pb.HydratedStream:
    if one.hydrated is not None:
        return pb.HydratedStream(stream=one.stream, hydrated=_hydrated(one.hydrated))
    assert one.error is not None
    return pb.HydratedStream(stream=one.stream, error=to_status(one.error))


def _report(report: FoldReport) -> pb.CheckFoldResponse:
    message = pb.CheckFoldResponse(
        streams=report.streams,
        events=report.events,
        done=report.done,
        failed_streams=report.failed_streams,
    )
    if report.done:
        message.failures.extend(
            pb.FoldFailure(stream=stream, error=to_status(error))
            for stream, error in report.failures
        )
        message.unused_handlers.extend(report.unused_handlers)
        message.unhandled_types.extend(report.unhandled_types)
        message.unseen_fields.extend(
            pb.UnseenField(type=type_, field=field) for type_, field in report.unseen_fields
        )
    return message


def _fold(row: RegisteredFold) -> pb.Fold:
    seconds, nanos = requests.to_seconds_nanos(row.put_at)
    return pb.Fold(
        name=row.name,
        revision=row.revision,
        digest=row.digest,
        source=row.source,
        put_at=Timestamp(seconds=seconds, nanos=nanos),
        put_by=row.put_by,
    )
