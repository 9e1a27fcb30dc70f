"""The service `eventfold.v1.Subjects`."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold.v1 import subjects_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.privacy.status import PrivacyMonitor
from eventfold_server.domain.privacy.subjects import (
    End,
    Export,
    Schema,
    SubjectEvents,
    Subjects,
    SubjectStatus,
)
from eventfold_server.domain.requests import Caller, invalid, page_of, page_size
from eventfold_server.services.keys import subject_message


class SubjectsService:
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(self, subjects: Subjects, monitor: PrivacyMonitor) -> None:
        self._subjects = subjects
        self._monitor = monitor

    async def find_subject(
        self, request: pb.FindSubjectRequest, _caller: Caller
    ) -> pb.FindSubjectResponse:
        """`Subjects.FindSubject`."""
        size = page_size(request.page_size)
        found = await self._subjects.find(request.subject, _place(request.page_token), size + 1)
        page, more = page_of(found.rows, size)
        return pb.FindSubjectResponse(
            subject=subject_message(found.subject),
            events=[_events(row) for row in page],
            position=found.position,
            next_page_token=_token(page[-1]) if more else "",
        )

    async def export_subject(
        self, request: pb.ExportSubjectRequest, caller: Caller
    ) -> AsyncIterator[bytes]:
        """`Subjects.ExportSubject`; yields serialised messages."""
        after = requests.at_least("after_position", request.after_position, 0)
        export = Export(request.subject, request.linked, request.raw, after)
        parts = self._subjects.export(caller, export)
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, End):
                    end = pb.ExportEnd(position=part.position, events=part.events)
                    yield pb.ExportSubjectResponse(end=end).SerializeToString()
                    continue
                schemas = [_schema(row) for row in part.schemas]
                # The events stand in the same field as those of a read.
                rest = pb.ExportSubjectResponse(schemas=schemas).SerializeToString()
                yield part.events + rest

    async def get_privacy_status(
        self, _request: pb.GetPrivacyStatusRequest, _caller: Caller
    ) -> pb.GetPrivacyStatusResponse:
        """`Subjects.GetPrivacyStatus`."""
        status = await self._monitor.status()
        figures = status.figures
        message = pb.GetPrivacyStatusResponse(
            subjects_active=status.subjects.get(SubjectStatus.ACTIVE, 0),
            subjects_fenced=status.subjects.get(SubjectStatus.FENCED, 0),
            subjects_erased=status.subjects.get(SubjectStatus.ERASED, 0),
            key_versions=[
                pb.KeyVersionCount(version=version, subjects=subjects)
                for version, subjects in status.key_versions.items()
            ],
            master_keys=[
                pb.MasterKeyCount(master_key=name, data_keys=keys)
                for name, keys in status.master_keys.items()
            ],
            erasures_open=figures.open,
            erasures_done=figures.done,
            failed_openings=figures.failed_openings,
            exports=figures.exports,
            indexed_position=figures.indexed_position,
            head=figures.head,
            servers=figures.servers,
        )
        if figures.oldest_open_at is not None:
            message.oldest_open_at.CopyFrom(_time(figures.oldest_open_at))
        return message


def _events(row: SubjectEvents) -> pb.SubjectEvents:
    return pb.SubjectEvents(
        stream=row.stream,
        event_type=row.event_type,
        events=row.events,
        first_position=row.first_position,
        last_position=row.last_position,
        first_at=_time(row.first_at),
        last_at=_time(row.last_at),
    )


def _schema(row: Schema) -> pb.ExportedSchema:
    return pb.ExportedSchema(
        event_type=row.type or "",
        revision=row.revision,
        source=row.source,
        resources=dict(zip(row.resource_ids, row.resources, strict=True)),
    )


def _token(row: SubjectEvents) -> str:
    place = json.dumps([row.stream, row.event_type]).encode()
    return base64.urlsafe_b64encode(place).decode()


def _place(page_token: str) -> tuple[str, str]:
    """The stream and type behind which a page begins."""
    if not page_token:
        return ("", "")
    try:
        stream, event_type = json.loads(base64.urlsafe_b64decode(page_token.encode()))
    except ValueError:
        stream = event_type = None
    if not isinstance(stream, str) or not isinstance(event_type, str):
        raise invalid("page_token", "is none that this call has given")
    if "\0" in stream + event_type:
        raise invalid("page_token", "is none that this call has given")
    return (stream, event_type)


def _time(time: datetime) -> Timestamp:
    seconds, nanos = requests.to_seconds_nanos(time)
    return Timestamp(seconds=seconds, nanos=nanos)
