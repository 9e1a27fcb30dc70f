"""The service `eventfold.v1.Folds`."""

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold.v1 import folds_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.folding import At, Folder, RegisteredFold
from eventfold_server.domain.requests import Caller


class FoldsService:
    """Decodes requests, calls the domain, encodes answers. States pass as bytes."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    async def hydrate(self, request: pb.HydrateRequest, _caller: Caller) -> pb.HydrateResponse:
        """`Folds.Hydrate`."""
        name = source = None
        match request.fold.WhichOneof("kind"):
            case "name":
                name = requests.text("fold.name", request.fold.name)
            case "source":
                source = request.fold.source
            case _:
                raise requests.invalid("fold", "is required: a name or a source")
        hydrated = await self._folder.hydrate(request.stream, name, source, _at(request))
        result = hydrated.result
        return pb.HydrateResponse(
            exists=result.exists,
            state=result.state,
            version=result.version,
            position=result.position,
            events_read=result.events_read,
            events_folded=result.events_folded,
            fold_digest=hydrated.fold_digest,
        )

    async def put_fold(self, request: pb.PutFoldRequest, caller: Caller) -> pb.PutFoldResponse:
        """`Folds.PutFold`."""
        row, created = await self._folder.put(caller, request.source)
        return pb.PutFoldResponse(fold=_fold(row), created=created)

    async def get_fold(self, request: pb.GetFoldRequest, _caller: Caller) -> pb.GetFoldResponse:
        """`Folds.GetFold`."""
        revision = requests.at_least("revision", request.revision, 0)
        name = requests.text("name", request.name)
        return pb.GetFoldResponse(fold=_fold(await self._folder.get(name, revision)))

    async def list_folds(
        self, request: pb.ListFoldsRequest, _caller: Caller
    ) -> pb.ListFoldsResponse:
        """`Folds.ListFolds`."""
        size = requests.page_size(request.page_size)
        after = requests.text("page_token", request.page_token)
        found = await self._folder.list(after, size + 1)
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
            time = request.recorded_at
            us = requests.time_us(time.seconds, time.nanos, "recorded_at")
            return At(recorded_at=requests.to_datetime(us))
        case "occurred_at":
            time = request.occurred_at
            us = requests.time_us(time.seconds, time.nanos, "occurred_at")
            return At(occurred_at=requests.to_datetime(us))
    return At()


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
