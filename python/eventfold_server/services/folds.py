"""The service `eventfold.v1.Folds`."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold import _core
from eventfold.v1 import folds_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.folding import FoldRegistry, RegisteredFold
from eventfold_server.domain.history import Historian, Range
from eventfold_server.domain.hydrate import At, Hydrated, Hydrator
from eventfold_server.domain.many import FoldReport, Many, OfStream
from eventfold_server.domain.privacy.states import PersonalStates
from eventfold_server.domain.requests import Caller, Follow
from eventfold_server.domain.tail import Tail
from eventfold_server.domain.watch import Watcher
from eventfold_server.limits import PAGE_BYTES
from eventfold_server.services.blind_states import blind_states, withheld_from
from eventfold_server.services.fold_messages import fold_ref
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
        personal: PersonalStates,
    ) -> None:
        self._hydrator = hydrator
        self._historian = historian
        self._many = many
        self._watcher = watcher
        self._registry = registry
        self._tail = tail
        self._personal = personal

    async def hydrate(self, request: pb.HydrateRequest, caller: Caller) -> bytes:
        """`Folds.Hydrate`; the answer is serialised already."""
        ref, at = fold_ref(request.fold), _at(request)
        blinds = await self._personal.blinds(caller, [request.stream], ref)
        ref = blinds.ref if blinds else ref
        await self._tail.reach(requests.at_least_position(request.at_least_position), caller)
        follow = requests.follow(request.follow)
        if follow is Follow.ALONE:
            encoded = await self._hydrator.hydrate(request.stream, ref, at)
            if blinds is None:
                return encoded
            message = pb.HydrateResponse.FromString(encoded)
            await withheld_from(blinds, request.stream, [message])
            return message.SerializeToString()
        followed = await self._hydrator.follow(request.stream, ref, at, follow)
        message = pb.HydrateResponse.FromString(followed.encoded)
        if blinds is not None:
            await withheld_from(blinds, followed.stream, [message])
        message.stream = followed.stream
        message.events_read += followed.events_read
        message.events_folded += followed.events_folded
        return message.SerializeToString()

    async def hydrate_many(
        self, request: pb.HydrateManyRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Folds.HydrateMany`; yields serialised messages."""
        ref = fold_ref(request.fold)
        blinds = await self._personal.blinds(caller, request.streams, ref)
        ref = blinds.ref if blinds else ref
        await self._tail.reach(requests.at_least_position(request.at_least_position), caller)
        message = pb.HydrateManyResponse()
        size = 0
        async for one in self._many.states(list(request.streams), ref):
            encoded = _of_stream(one)
            if blinds is not None and encoded.HasField("hydrated"):
                await withheld_from(blinds, one.stream, [encoded.hydrated])
            if size and size + encoded.ByteSize() > PAGE_BYTES:
                yield message.SerializeToString()
                message = pb.HydrateManyResponse()
                size = 0
            message.streams.append(encoded)
            size += encoded.ByteSize()
        if size:
            yield message.SerializeToString()

    async def hydrate_history(
        self, request: pb.HydrateHistoryRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Folds.HydrateHistory`; yields serialised messages."""
        ref = fold_ref(request.fold)
        blinds = await self._personal.blinds(caller, [request.stream], ref)
        wanted = _range(request.stream, request.from_version, request.to_version)
        states = self._historian.states(wanted, blinds.ref if blinds else ref)
        async with aclosing(states):
            async for message in states:
                if blinds is not None:
                    message = await blind_states(blinds, request.stream, message)
                yield message

    async def explain(self, request: pb.ExplainRequest, caller: Caller) -> AsyncIterator[bytes]:
        """`Folds.Explain`; yields serialised messages."""
        ref = fold_ref(request.fold)
        blinds = await self._personal.blinds(caller, [request.stream], ref)
        if blinds is not None:
            ref = blinds.ref
        wanted = replace(
            _range(request.stream, request.from_version, request.to_version),
            recorded_at=_time(request, "recorded_at"),
            occurred_at=_time(request, "occurred_at"),
        )
        async with aclosing(self._historian.explain(wanted, ref)) as explained:
            async for message in explained:
                if blinds is not None:
                    # What was read has the rules that it was sealed under, or newer ones.
                    await blinds.refuse(request.stream)
                yield message

    async def watch(self, request: pb.WatchRequest, caller: Caller) -> AsyncIterator[bytes]:
        """`Folds.Watch`; yields serialised messages."""
        from_version = requests.at_least("from_version", request.from_version, 0)
        ref = fold_ref(request.fold)
        blinds = await self._personal.blinds(caller, [request.stream], ref)
        ref = blinds.ref if blinds else ref
        states = self._watcher.states(request.stream, from_version, ref)
        async with aclosing(states):
            async for state in states:
                message = state if isinstance(state, bytes) else _initial(state)
                if blinds is not None and message:
                    message = await blind_states(blinds, request.stream, message)
                yield message

    async def check_fold(
        self, request: pb.CheckFoldRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Folds.CheckFold`; yields serialised messages."""
        category, ref = requests.text("category", request.category), fold_ref(request.fold)
        blinds = await self._personal.blinds(caller, [category], ref)
        async for report in self._many.check(category, ref):
            if blinds is not None:
                # On which streams it fails would tell what it has read.
                blinds.refuse_reading(category)
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
    state = pb.HistoricState(
        version=0,
        exists=result.exists,
        state=result.public_state,
        erased_paths=result.erased_paths,
        withheld_paths=result.withheld_paths,
    )
    return pb.WatchResponse(states=[state]).SerializeToString()


def _hydrated(hydrated: Hydrated) -> pb.HydrateResponse:
    result = hydrated.result
    return pb.HydrateResponse(
        exists=result.exists,
        state=result.public_state,
        version=result.version,
        position=result.position,
        events_read=hydrated.events_read,
        events_folded=result.events_folded,
        fold_digest=hydrated.fold_digest,
        kept_version=hydrated.kept_version,
        erased_paths=result.erased_paths,
        withheld_paths=result.withheld_paths,
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
        message.unseen_fields.extend(_fields(report.unseen_fields))
        message.undeclared_fields.extend(_fields(report.undeclared_fields))
        message.personal_paths.extend(report.personal_paths)
    return message


def _fields(fields: Iterable[tuple[str, str]]) -> Iterator[pb.UnseenField]:
    return (pb.UnseenField(type=type_, field=field) for type_, field in fields)


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
