"""The service `eventfold.v1.Keys`."""

from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from eventfold.v1 import keys_pb2 as pb
from eventfold_server.domain import requests
from eventfold_server.domain.privacy.administration import KeyAdmin, Subject, SubjectStatus
from eventfold_server.domain.requests import Caller, invalid, page_of, page_size

_FIRST = UUID(int=0)


class KeysService:
    """Decodes requests, calls the domain, encodes answers."""

    def __init__(self, admin: KeyAdmin) -> None:
        self._admin = admin

    async def rotate_master_key(
        self, _request: pb.RotateMasterKeyRequest, caller: Caller
    ) -> pb.RotateMasterKeyResponse:
        """`Keys.RotateMasterKey`."""
        progress = await self._admin.rotate_master_key(caller)
        return pb.RotateMasterKeyResponse(
            master_key=progress.master_key,
            rewrapped=progress.rewrapped,
            failed=progress.failed,
            left=progress.left,
            done=progress.done,
        )

    async def rotate_data_key(
        self, request: pb.RotateDataKeyRequest, caller: Caller
    ) -> pb.RotateDataKeyResponse:
        """`Keys.RotateDataKey`."""
        match request.WhichOneof("target"):
            case "subject":
                if request.page_token:
                    raise invalid("page_token", "goes with a category")
                version = await self._admin.rotate_data_key(caller, request.subject)
                return pb.RotateDataKeyResponse(rotated=1, version=version)
            case "category":
                after = _place(request.page_token)
                category = requests.text("category", request.category)
                rotated, more = await self._admin.rotate_category(caller, category, after)
                token = "" if more is None else str(more)
                return pb.RotateDataKeyResponse(rotated=rotated, next_page_token=token)
        raise invalid("target", "is required")

    async def readmit_subject(
        self, request: pb.ReadmitSubjectRequest, caller: Caller
    ) -> pb.ReadmitSubjectResponse:
        """`Keys.ReadmitSubject`."""
        erased = await self._admin.readmit(caller, request.subject)
        return pb.ReadmitSubjectResponse(erased_subject_id=str(erased))

    async def get_subject(
        self, request: pb.GetSubjectRequest, _caller: Caller
    ) -> pb.GetSubjectResponse:
        """`Keys.GetSubject`."""
        match request.WhichOneof("subject"):
            case "name":
                subject = await self._admin.subject(request.name)
            case "subject_id":
                id_ = _uuid("subject_id", request.subject_id)
                subject = await self._admin.subject_of_id(id_)
            case _:
                raise invalid("subject", "is required")
        return pb.GetSubjectResponse(subject=subject_message(subject))

    async def list_subjects(
        self, request: pb.ListSubjectsRequest, _caller: Caller
    ) -> pb.ListSubjectsResponse:
        """`Keys.ListSubjects`."""
        size = page_size(request.page_size)
        status = None
        if request.status:
            if int(request.status) not in set(SubjectStatus):
                raise invalid("status", "is none of the known ones")
            status = SubjectStatus(request.status)
        category = requests.text("category", request.category) or None
        after = _place(request.page_token)
        rows = await self._admin.subjects(after, status, category, size + 1)
        page, more = page_of(rows, size)
        return pb.ListSubjectsResponse(
            subjects=[subject_message(subject) for subject in page],
            next_page_token=str(page[-1].subject_id) if more else "",
        )


def _place(page_token: str) -> UUID:
    """The id behind which a page begins."""
    return _uuid("page_token", page_token) if page_token else _FIRST


def _uuid(field: str, text: str) -> UUID:
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise invalid(field, "is a UUID in canonical form")
    return found


def subject_message(subject: Subject) -> pb.Subject:
    """A subject as it is sent."""
    message = pb.Subject(
        subject_id=str(subject.subject_id),
        name=subject.name or "",
        subject_hash=subject.subject_hash,
        status=pb.SubjectStatus.ValueType(subject.status),
        created_at=_time(subject.created_at),
        version=subject.newest_version,
        versions=subject.keys,
        versions_destroyed=subject.keys_destroyed,
    )
    if subject.erased_at is not None:
        message.erased_at.CopyFrom(_time(subject.erased_at))
    if subject.readmitted_at is not None:
        message.readmitted_at.CopyFrom(_time(subject.readmitted_at))
    return message


def _time(time: datetime) -> Timestamp:
    seconds, nanos = requests.to_seconds_nanos(time)
    return Timestamp(seconds=seconds, nanos=nanos)
