"""Calls on keys: new ones, and whose there are."""

from collections.abc import AsyncIterator

from eventfold import _privacy_methods as methods
from eventfold._async.connection import AsyncConnection
from eventfold._keys import MasterKeyRotation, SubjectInfo, SubjectStatus, status_to_wire
from eventfold.v1 import keys_pb2 as pb


class AsyncKeyCalls:
    """The calls of the service `Keys`; each can raise `KeysNotConfigured`."""

    _connection: AsyncConnection

    async def rotate_master_key(self, *, timeout: float | None = None) -> MasterKeyRotation:
        """Wraps all data keys anew, under the newest master key, while appends run; the older
        master key can be thrown away after that, if none failed. Ended half-way, it goes on there.

        Args:
            timeout: seconds for each of the calls that it takes. Default: that of the client.
        """
        rewrapped = 0
        while True:
            answer = await self._connection.unary(
                methods.ROTATE_MASTER_KEY, pb.RotateMasterKeyRequest(), timeout
            )
            rewrapped += answer.rewrapped
            if answer.done:
                return MasterKeyRotation(answer.master_key, rewrapped, answer.failed)

    async def rotate_data_key(self, subject: str, *, timeout: float | None = None) -> int:
        """Makes a new version of the data key of a subject, which later values are sealed under;
        which one.

        Args:
            subject: name of the subject, such as `User-456`.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            SubjectNotFound: it has no key yet.
            SubjectNotActive: it is fenced or erased.
            OutcomeUnknown: see there.
        """
        request = pb.RotateDataKeyRequest(subject=subject)
        answer = await self._connection.unary(methods.ROTATE_DATA_KEY, request, timeout)
        return answer.version

    async def rotate_data_keys(self, category: str, *, timeout: float | None = None) -> int:
        """Makes a new version of the data key of each active subject of a category; how many.

        Args:
            category: such as `User`.
            timeout: seconds for each of the calls that it takes. Default: that of the client.
        """
        request = pb.RotateDataKeyRequest(category=category)
        rotated = 0
        while True:
            answer = await self._connection.unary(methods.ROTATE_DATA_KEY, request, timeout)
            rotated += answer.rotated
            if not answer.next_page_token:
                return rotated
            request.page_token = answer.next_page_token

    async def readmit_subject(self, subject: str, *, timeout: float | None = None) -> str:
        """Lets a subject that was erased have keys again, under a new id; the id that was erased.
        What was erased stays so.

        Raises:
            SubjectNotErased: it is not erased.
            OutcomeUnknown: see there.
        """
        request = pb.ReadmitSubjectRequest(subject=subject)
        answer = await self._connection.unary(methods.READMIT_SUBJECT, request, timeout)
        return answer.erased_subject_id

    async def get_subject(
        self,
        name: str | None = None,
        *,
        subject_id: str | None = None,
        timeout: float | None = None,
    ) -> SubjectInfo:
        """Describes a subject.

        Args:
            name: the name that it has now, also if it is erased.
            subject_id: its id, instead of the name.
            timeout: seconds for the call. Default: that of the client.

        Raises:
            SubjectNotFound: there is none.
            TypeError: neither of both is told, or both.
        """
        if (name is None) == (subject_id is None):
            raise TypeError("tell a name or an id")
        request = pb.GetSubjectRequest()
        if name is not None:
            request.name = name
        else:
            request.subject_id = subject_id or ""
        answer = await self._connection.unary(methods.GET_SUBJECT, request, timeout)
        return SubjectInfo._from_wire(answer.subject)

    async def list_subjects(
        self,
        *,
        status: SubjectStatus | None = None,
        category: str = "",
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncIterator[SubjectInfo]:
        """Lists subjects in the order of their ids, fetching page after page.

        Args:
            status: only those that are `active`, `fenced` or `erased`.
            category: only those of this category; erased ones have none.
            page_size: subjects fetched at once, 1 to 1,000.
            timeout: seconds for each page. Default: that of the client.
        """
        request = pb.ListSubjectsRequest(
            status=status_to_wire(status), category=category, page_size=page_size
        )
        while True:
            page = await self._connection.unary(methods.LIST_SUBJECTS, request, timeout)
            for subject in page.subjects:
                yield SubjectInfo._from_wire(subject)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
